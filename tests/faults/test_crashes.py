"""A decoder that ends the process costs its own picture, at the latest in the next run."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest
from PIL import Image

from batchcolor.hooks.manager import load_plugins
from batchcolor.images.scan import ScannedFile, scan
from batchcolor.pipeline import decode_watch
from batchcolor.pipeline.pictures import picture_decoder

READER = """
    import batchcolor, os, signal, time
    import numpy as np
    from pathlib import Path

    def decode(path):
        what = path.read_text().split()[1]
        if what == "abort":
            os.abort()
        if what == "exit":
            os._exit(7)
        if what == "once":  # crashes in the job, and not in the child process
            flag = Path(os.environ["FLAG"])
            if not flag.exists():
                flag.touch()
                os.kill(os.getpid(), signal.SIGSEGV)
        if what == "hang":
            while not Path(os.environ["RELEASE"]).exists():
                time.sleep(0.05)
        if what == "greedy":
            np.ones(2 << 30, np.uint8)
        return batchcolor.ReadImage(np.full((24, 32), 128, np.uint8))

    @batchcolor.hookimpl
    def batchcolor_readers():
        return [batchcolor.Reader("odd", (".odd",), lambda head: head.startswith(b"ODD"), decode)]
"""

CRASH_AT_THE_FOURTH_FRAME = """
import os, signal
from batchcolor.video.input.decoder import VideoDecoder

plain = VideoDecoder.__iter__

def crash(self):
    for number, frame in enumerate(plain(self)):
        if number == 3:
            os.kill(os.getpid(), signal.SIGSEGV)
        yield frame

VideoDecoder.__iter__ = crash
"""
"""`sitecustomize.py` for processes that start with it."""

Run = Callable[..., CompletedProcess[str]]


@pytest.fixture
def folder(tmp_path: Path, plugin: Callable[..., Path], flat: str) -> Path:
    """Two photographs and room for files of the reader."""
    plugin("oddpack", READER)
    folder = tmp_path / "in"
    folder.mkdir()
    for name in ("a.png", "z.png"):
        Image.new("L", (32, 24), 90).save(folder / name)
    return folder


def entries(out: Path) -> dict[str, dict[str, str]]:
    lines = (out / ".batchcolor" / "journal.jsonl").read_text().splitlines()
    return {Path(entry["source"]).name: entry for entry in map(json.loads, lines)}


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BATCHCOLOR_CACHE", str(tmp_path / "cache"))


def records(out: Path) -> list[Path]:
    early = (out.parent / "cache" / "in-flight").rglob("in-flight-*")
    return [*(out / ".batchcolor").glob("in-flight-*"), *early]


def test_file_that_kills_the_job_fails_in_the_next_run(
    tmp_path: Path, folder: Path, process: Run, command: Run
) -> None:
    (folder / "0.odd").write_text("ODD abort")
    out = tmp_path / "out"
    first = process("run", folder, "-o", out, "-m", "flat")
    assert first.returncode < 0
    assert records(out)
    second = command("run", folder, "-o", out, "-m", "flat")
    assert second.returncode == 3, second.stderr
    assert "0.odd: its decoder crashed (SIGABRT)" in second.stderr
    assert {path.name for path in out.glob("*.*g")} == {"a.png", "z.png"}
    failed = entries(out)["0.odd"]
    assert (failed["outcome"], failed["step"]) == ("failed", "decode")
    assert not records(out)
    again = command("run", folder, "-o", out, "-m", "flat", "--retry-failed")
    assert "0.odd: its decoder crashed (SIGABRT)" in again.stderr


def test_file_that_crashes_only_in_the_job_is_coloured_by_the_next_run(
    tmp_path: Path, folder: Path, process: Run, command: Run
) -> None:
    (folder / "0.odd").write_text("ODD once")
    out = tmp_path / "out"
    more = {"FLAG": str(tmp_path / "flag")}
    assert process("run", folder, "-o", out, "-m", "flat", **more).returncode < 0
    second = command("run", folder, "-o", out, "-m", "flat", **more)
    assert second.returncode == 0, second.stderr
    assert {path.name for path in out.glob("*.*g")} == {"0.png", "a.png", "z.png"}


@pytest.mark.parametrize(
    ("what", "reason"),
    [
        ("abort", "its decoder crashed (SIGABRT)"),
        ("exit", "its decoder crashed (it ended the process with exit code 7)"),
        ("greedy", "plugin oddpack (oddpack 1.0): decode of reader odd"),
    ],
)
def test_file_that_was_in_flight_is_tried_in_a_child_process(
    tmp_path: Path, folder: Path, command: Run, what: str, reason: str
) -> None:
    (folder / "0.odd").write_text(f"ODD {what}")
    out = tmp_path / "out"
    _leave_record(out, folder / "0.odd")
    result = command("run", folder, "-o", out, "-m", "flat", "--max-memory", "64M")
    assert result.returncode == 3
    assert f"0.odd: {reason}" in result.stderr
    assert {path.name for path in out.glob("*.png")} == {"a.png", "z.png"}


def test_photograph_that_was_in_flight_at_a_kill_is_coloured(
    tmp_path: Path, folder: Path, command: Run
) -> None:
    out = tmp_path / "out"
    _leave_record(out, folder / "a.png", step="encode")
    result = command("run", folder, "-o", out, "-m", "flat")
    assert result.returncode == 0, result.stderr
    assert {path.name for path in out.glob("*.png")} == {"a.png", "z.png"}
    assert not records(out)


def test_pages_first_holds_for_a_file_that_is_tried_in_a_child_process(
    tmp_path: Path, folder: Path, command: Run
) -> None:
    frames = [Image.new("L", (32, 24), level) for level in (40, 90, 140)]
    frames[0].save(folder / "0.webp", save_all=True, append_images=frames[1:])
    out = tmp_path / "out"
    _leave_record(out, folder / "0.webp")
    result = command("run", folder, "-o", out, "-m", "flat", "--pages", "first")
    assert result.returncode == 0, result.stderr
    with Image.open(out / "0.webp") as image:
        assert getattr(image, "n_frames", 1) == 1


def test_file_in_flight_in_three_runs_that_died_has_failed(
    tmp_path: Path, folder: Path, command: Run
) -> None:
    out = tmp_path / "out"
    _leave_record(out, folder / "a.png", attempts=3)
    result = command("run", folder, "-o", out, "-m", "flat")
    assert result.returncode == 3
    assert "a.png: its decoder crashed or was killed in 3 runs one after another" in result.stderr


def test_record_of_a_running_process_is_left_alone(
    tmp_path: Path, folder: Path, command: Run
) -> None:
    from batchcolor.storage.in_flight import InFlightRecord, take_interrupted

    state = tmp_path / "out" / ".batchcolor"
    state.mkdir(parents=True)
    record = InFlightRecord(state)
    record.open({})
    with record.hold(folder / "a.png", "decode"):
        assert not take_interrupted(state, is_exclusive=True)
    record.close()
    assert not list(state.iterdir())


def test_crash_prone_format_is_decoded_in_a_child_process(
    tmp_path: Path, folder: Path, command: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "0.odd").write_text("ODD exit")
    kind = next(one for one in scan(folder / "0.odd", readers=load_plugins().readers()))
    assert isinstance(kind, ScannedFile)
    monkeypatch.setattr(picture_decoder, "CRASH_PRONE_FORMATS", (kind.format,))
    result = command("run", folder, "-o", tmp_path / "out", "-m", "flat")
    assert result.returncode == 3
    assert "0.odd: its decoder crashed" in result.stderr
    assert {path.name for path in (tmp_path / "out").glob("*.png")} == {"a.png", "z.png"}


def _leave_record(out: Path, source: Path, step: str = "decode", attempts: int = 1) -> None:
    """What a process leaves that dies while it has a source in work."""
    state = out / ".batchcolor"
    state.mkdir(parents=True)
    content = b"\t".join((step.encode(), b"%d" % attempts, os.fsencode(source))) + b"\0"
    (state / "in-flight-elsewhere-1-1").write_bytes(content)


def test_film_whose_decoder_crashes_fails_in_the_next_run(
    tmp_path: Path,
    folder: Path,
    site: Path,
    make_clip: Callable[..., Path],
    process: Run,
    command: Run,
) -> None:
    film = make_clip(folder / "film.mp4")
    (site / "sitecustomize.py").write_text(CRASH_AT_THE_FOURTH_FRAME)
    out = tmp_path / "out"
    assert process("run", folder, "-o", out, "-m", "flat").returncode < 0
    second = command("run", folder, "-o", out, "-m", "flat")
    assert second.returncode == 3, second.stderr
    assert "an earlier run crashed (Segmentation fault)" in second.stderr
    assert f"{film.name}: its decoder crashed (SIGSEGV)" in second.stderr
    assert {path.name for path in out.glob("*.png")} == {"a.png", "z.png"}
    assert not records(out)


def test_film_in_flight_at_a_kill_is_not_tried_in_a_child_process(
    tmp_path: Path, folder: Path, make_clip: Callable[..., Path], command: Run
) -> None:
    out = tmp_path / "out"
    _leave_record(out, make_clip(folder / "film.mp4"), step="film", attempts=5)
    result = command("run", folder, "-o", out, "-m", "flat")
    assert result.returncode == 0, result.stderr
    assert (out / "film.mp4").exists()


def test_a_decoder_that_does_not_return_fails_its_picture(
    command: Run,
    plugin: Callable[..., object],
    album: Callable[[int], Path],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.setattr(decode_watch, "MAX_SECONDS", 3.0)
    monkeypatch.setenv("RELEASE", str(tmp_path / "release"))
    before = set(threading.enumerate())
    plugin("oddpack", READER)
    folder = album(4)
    for name in ("first", "second"):
        (folder / f"{name}.odd").write_text("ODD hang")
    result = command("run", folder, "-m", "beta", "-o", "out", "--workers", "1", "--json")
    (tmp_path / "release").touch()
    for thread in set(threading.enumerate()) - before:  # for the tests that follow
        thread.join(300)
    assert result.returncode == 3, result.stderr
    report = json.loads(result.stdout)
    assert report["done"] == 4
    assert {Path(failure["source"]).name for failure in report["failures"]} == {
        "first.odd",
        "second.odd",
    }
    assert all("does not return" in failure["reason"] for failure in report["failures"])
