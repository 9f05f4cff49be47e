"""`run --watch` as a process: files that arrive, that are being written, restart, signals."""

from __future__ import annotations

import io
import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

import batchcolor
from batchcolor.storage.journal import Journal

pytest.importorskip("watchfiles")
PATIENCE = """
    import os
    import batchcolor.pipeline.watch.arrivals

    batchcolor.pipeline.watch.arrivals.PATIENCE = float(os.environ.get("PATIENCE", "3600"))
"""
"""A slow machine must not turn a file that is being written into a damaged one."""

UNWATCHED = """
    import watchfiles
    import batchcolor.pipeline.watch.watch_job

    def watch(*paths, **options):
        raise ERROR
        yield

    watchfiles.watch = watch
    batchcolor.pipeline.watch.watch_job.POLL_MS = 100
"""


@pytest.fixture
def inbox(tmp_path: Path) -> Path:
    folder = tmp_path / "inbox"
    folder.mkdir()
    return folder


@pytest.fixture
def watch(plugin, flat, environment, tmp_path, started, inbox):
    """Starts `run inbox --watch`, and returns its process when it waits for pictures."""
    plugin("patience", PATIENCE)

    def start(*options: str, **more: str) -> subprocess.Popen[str]:
        words = ["run", "inbox", "--watch", "--settle", "0.3", "-m", flat, "-o", "out", *options]
        log = (tmp_path / "log").open("w")
        process = subprocess.Popen(
            [sys.executable, "-m", "batchcolor", *words],
            env={**environment, **more},
            cwd=tmp_path,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
        log.close()
        started.append(process)
        wait_for(lambda: "waiting for pictures" in read_log(tmp_path), process, tmp_path)
        return process

    return start


def read_log(tmp_path: Path) -> str:
    return (tmp_path / "log").read_text()


def wait_for(condition: Callable[[], bool], process: subprocess.Popen[str], where: Path) -> None:
    end = time.monotonic() + 300
    while not condition():
        assert process.poll() is None, read_log(where)
        assert time.monotonic() < end, read_log(where)
        time.sleep(0.05)


def jpeg(seed: int, make: Callable[..., Image.Image]) -> bytes:
    file = io.BytesIO()
    make(96, 64, seed).save(file, "JPEG")
    return file.getvalue()


def end(process: subprocess.Popen[str], number: int = signal.SIGINT) -> int:
    process.send_signal(number)
    process.communicate(timeout=300)
    return process.returncode


def test_what_arrives_is_coloured_and_ctrl_c_ends_with_zero(watch, inbox, tmp_path, grey_picture):
    process = watch()
    (inbox / "one.jpg").write_bytes(jpeg(1, grey_picture))
    below = inbox / "1931" / "summer"
    below.mkdir(parents=True)
    (below / "two.jpg").write_bytes(jpeg(2, grey_picture))
    (inbox / "notes.txt").write_text("no picture")
    out = tmp_path / "out"
    wait_for((out / "one.jpg").exists, process, tmp_path)
    wait_for((out / "1931" / "summer" / "two.jpg").exists, process, tmp_path)
    assert end(process) == 0
    log = read_log(tmp_path)
    assert "2 coloured, 0 failed" in log
    assert "failed:" not in log


@pytest.mark.parametrize("share", [0.02, 0.9])
def test_a_file_that_is_still_being_written_is_waited_for(
    watch, inbox, tmp_path, grey_picture, share
):
    process = watch()
    content, path = jpeg(1, grey_picture), inbox / "slow.jpg"
    written = int(len(content) * share)
    path.write_bytes(content[:written])
    (inbox / "later.jpg").write_bytes(jpeg(2, grey_picture))
    out = tmp_path / "out"
    wait_for((out / "later.jpg").exists, process, tmp_path)
    entry = Journal(out, lock=False).find_target(path)
    assert entry is None, entry
    with path.open("ab") as file:
        file.write(content[written:])
    wait_for((out / "slow.jpg").exists, process, tmp_path)
    assert end(process) == 0
    assert "failed:" not in read_log(tmp_path)


def test_a_damaged_file_fails_once_and_is_coloured_when_it_is_replaced(
    watch, inbox, tmp_path, grey_picture
):
    process = watch(PATIENCE="0.5")
    content, path = jpeg(1, grey_picture), inbox / "torn.jpg"
    path.write_bytes(content[: len(content) // 2])
    wait_for(lambda: "failed:" in read_log(tmp_path), process, tmp_path)
    path.write_bytes(content)
    wait_for((tmp_path / "out" / "torn.jpg").exists, process, tmp_path)
    assert end(process) == 0
    assert "0 failed" in read_log(tmp_path)


def test_a_restart_colours_what_arrived_meanwhile_and_nothing_twice(
    watch, inbox, tmp_path, grey_picture
):
    (inbox / "one.jpg").write_bytes(jpeg(1, grey_picture))
    out = tmp_path / "out"
    process = watch()
    assert (out / "one.jpg").exists()
    assert end(process, signal.SIGTERM) == 0
    former = (out / "one.jpg").stat().st_mtime_ns, (out / "one.jpg").stat().st_ino
    (inbox / "two.jpg").write_bytes(jpeg(2, grey_picture))
    process = watch("--report", "report.json")
    assert (out / "two.jpg").exists()
    assert end(process) == 0
    assert ((out / "one.jpg").stat().st_mtime_ns, (out / "one.jpg").stat().st_ino) == former
    report = json.loads((tmp_path / "report.json").read_text())
    assert (report["done"], report["skipped"]) == (1, 1)


def test_the_output_is_free_for_another_job_while_nothing_arrives(
    watch, inbox, tmp_path, grey_picture, process
):
    (inbox / "one.jpg").write_bytes(jpeg(1, grey_picture))
    watching = watch()
    other = process("run", inbox, "-o", tmp_path / "out", "-m", "flat")
    assert other.returncode == 0, other.stderr
    assert end(watching) == 0


def test_a_source_folder_that_vanishes_ends_the_job_with_its_name(watch, inbox, tmp_path):
    process = watch()
    inbox.rmdir()
    process.wait(timeout=300)
    assert process.returncode == 4
    assert "inbox is gone" in read_log(tmp_path)


def test_a_decision_that_arrives_with_its_picture_is_applied(watch, inbox, tmp_path, grey_picture):
    process = watch()
    for number in (1, 2):
        name = f"{number}.jpg"
        if number == 2:
            (inbox / "2.jpg.batchcolor.json").write_text('{"state": "rejected"}')
        (inbox / name).write_bytes(jpeg(number, grey_picture))
        wait_for((tmp_path / "out" / name).exists, process, tmp_path)
    assert end(process) == 0
    assert (tmp_path / "out" / "2.jpg").read_bytes() == (inbox / "2.jpg").read_bytes()
    assert (tmp_path / "out" / "1.jpg").read_bytes() != (inbox / "1.jpg").read_bytes()


@pytest.mark.parametrize("error", ["OSError(28, 'limit reached')", "RuntimeError('inotify')"])
def test_folders_that_the_system_cannot_watch_are_listed_again_and_again(
    watch, plugin, inbox, tmp_path, grey_picture, error
):
    plugin("unwatched", UNWATCHED.replace("ERROR", error))
    process = watch()
    (inbox / "one.jpg").write_bytes(jpeg(1, grey_picture))
    wait_for((tmp_path / "out" / "one.jpg").exists, process, tmp_path)
    assert end(process) == 0
    assert "Traceback" not in read_log(tmp_path)


def test_only_folders_can_be_watched(command, flat, album):
    path = next(album(1).rglob("*.jpg"))
    result = command("run", path, "--watch", "-m", flat)
    assert result.returncode == 2
    assert "--watch takes folders" in result.stderr


def test_without_watchfiles_the_message_names_the_extra(command, flat, album, monkeypatch):
    monkeypatch.setitem(sys.modules, "watchfiles", None)
    result = command("run", album(1), "--watch", "-m", flat)
    assert result.returncode == 2
    assert "pip install 'batchcolor[watch]'" in result.stderr


def test_from_python_an_exception_in_progress_ends_it(flat, inbox, tmp_path, grey_picture):
    (inbox / "one.jpg").write_bytes(jpeg(1, grey_picture))

    class EnoughError(Exception):
        pass

    def progress(report: batchcolor.Report) -> None:
        if report.done:
            raise EnoughError

    with pytest.raises(EnoughError):
        batchcolor.run(
            [inbox], output=tmp_path / "out", model=flat, watch=True, settle=0, progress=progress
        )
    assert batchcolor.run([inbox], output=tmp_path / "out", model=flat).exit_code == 0
