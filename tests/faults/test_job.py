"""Faults around a job: signals, kills, full disks, two jobs at once, closed standard output."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from filelock import FileLock
from PIL import Image

GATED = """
    import os, threading, time
    from pathlib import Path

    import batchcolor
    from batchcolor.pipeline.executor import Pipeline

    GATE = Path(__file__).parent / "gate"
    interrupt, fsync = Pipeline.interrupt, os.fsync
    calls = 0

    def wait_at(name):
        (GATE / name).touch()
        while not (GATE / "open").exists():
            time.sleep(0.01)

    def record_interrupt(pipeline, code):
        interrupt(pipeline, code)
        (GATE / "interrupted").touch()

    def wait_to_fsync(handle):
        if {gates_fsync} and threading.current_thread() is not threading.main_thread():
            wait_at("fsync")
        fsync(handle)

    Pipeline.interrupt, os.fsync = record_interrupt, wait_to_fsync

    class Gated:
        def __call__(self, luma):
            import torch
            global calls
            calls += 1
            if calls == {first_gated}:
                wait_at("colorizer")
            return torch.full((len(luma), 2, 4, 4), 0.1)

    @batchcolor.hookimpl
    def batchcolor_colorizers():
        return [batchcolor.ColorizerSpec("gated", "waits", 16, lambda options: Gated())]
"""
"""Waits before a picture, or before a result is flushed to the disk, until a file appears."""
ONE_BY_ONE = ["--batch-size", "1", "--workers", "1", "--max-memory", "16M"]


@dataclass
class Gate:
    """The files by which a test follows and controls a gated job."""

    folder: Path

    def wait_for(self, name: str, process: subprocess.Popen[str]) -> None:
        """Waits until the job reaches a point: `colorizer`, `fsync` or `interrupted`."""
        end = time.monotonic() + 60
        while not (self.folder / name).exists():
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < end, f"the job does not reach {name}"
            time.sleep(0.01)

    def open(self) -> None:
        """Lets the job continue to its end."""
        (self.folder / "open").touch()


@pytest.fixture
def gate(plugin, site):
    """Installs the model `gated`, which waits before its picture number `first_gated`."""

    def install(first_gated=3, gates_fsync=False):
        plugin(
            "gatedpack",
            GATED.replace("{first_gated}", str(first_gated)).replace(
                "{gates_fsync}", str(gates_fsync)
            ),
        )
        (site / "gate").mkdir()
        return Gate(site / "gate")

    return install


def results(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and ".batchcolor" not in path.parts
    }


def temporaries(folder: Path) -> list[Path]:
    return list(folder.rglob("*.batchcolor-tmp"))


@pytest.fixture
def start(environment, tmp_path, started):
    """Starts `batchcolor run` without waiting for it."""

    def run(*arguments, ignored=()):
        def ignore_signals():
            for number in ignored:
                signal.signal(number, signal.SIG_IGN)

        process = subprocess.Popen(
            [sys.executable, "-m", "batchcolor", "run", *map(str, arguments)],
            preexec_fn=ignore_signals,
            env=environment,
            cwd=tmp_path,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        started.append(process)
        return process

    return run


def wait_for(condition, seconds=60.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 143)]
)
def test_one_signal_finishes_what_is_in_flight_and_the_next_run_resumes(
    gate, start, command, album, tmp_path, number, code
):
    job, source, out = gate(), album(30), tmp_path / "out"
    process = start(source, "-m", "gated", "-o", out, "--json", *ONE_BY_ONE)
    job.wait_for("colorizer", process)
    process.send_signal(number)
    job.wait_for("interrupted", process)
    job.open()
    printed, shown = process.communicate(timeout=60)
    assert process.returncode == code, shown
    report = json.loads(printed)
    assert report["failed"] == 0
    assert 2 < report["done"] < 30
    assert report["done"] == len(results(out))
    assert not temporaries(out)
    assert "run the same command again" in report["message"]
    again = command("run", source, "-m", "gated", "-o", out, "--json")
    assert again.returncode == 0
    assert len(results(out)) == 30
    assert json.loads(again.stdout)["skipped"] == report["done"]


def test_a_second_sigint_ends_the_process_at_once_and_leaves_no_temporaries(
    gate, start, album, tmp_path
):
    job, out = gate(first_gated=0, gates_fsync=True), tmp_path / "out"
    process = start(album(8), "-m", "gated", "-o", out, *ONE_BY_ONE)
    job.wait_for("fsync", process)
    process.send_signal(signal.SIGINT)
    job.wait_for("interrupted", process)
    assert temporaries(out)  # the first signal waits for the result that is being written
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)  # the gate stays closed: no other way to end
    assert process.returncode == 130
    assert not temporaries(out)


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGINT])
def test_a_signal_that_is_ignored_at_the_start_does_not_stop_the_job(
    gate, start, album, tmp_path, number
):
    job, out = gate(), tmp_path / "out"
    process = start(album(8), "-m", "gated", "-o", out, "--json", *ONE_BY_ONE, ignored=[number])
    job.wait_for("colorizer", process)
    process.send_signal(number)
    process.send_signal(number)
    job.open()
    printed, shown = process.communicate(timeout=60)
    assert process.returncode == 0, shown
    assert not (job.folder / "interrupted").exists()
    assert json.loads(printed)["done"] == len(results(out)) == 8


@pytest.mark.slow
def test_a_job_killed_at_random_moments_gives_the_results_of_an_uninterrupted_one(
    flat, start, command, album, tmp_path
):
    source = album(80)
    originals = results(source)
    assert command("run", source, "-m", flat, "-o", "whole").returncode == 0
    out, generator = tmp_path / "killed", random.Random(0)
    journal = out / ".batchcolor" / "journal.jsonl"

    def journal_size():
        return journal.stat().st_size if journal.exists() else 0

    for _ in range(6):
        size = journal_size() + generator.randint(1, 3000)
        process = start(source, "-m", flat, "-o", out, "--workers", "2")
        wait_for(lambda p=process, n=size: p.poll() is not None or journal_size() > n)
        process.kill()
        process.communicate()
        for path in out.rglob("*.jpg"):
            with Image.open(path) as image:
                image.load()  # no partial file under a final name
    last = command("run", source, "-m", flat, "-o", out)
    assert last.returncode == 0, last.stderr
    assert results(out) == results(tmp_path / "whole")
    assert not temporaries(out)
    assert results(source) == originals


def test_a_torn_journal_line_is_ignored(flat, command, album, tmp_path):
    source = album(3)
    command("run", source, "-m", flat, "-o", "out")
    journal = tmp_path / "out" / ".batchcolor" / "journal.jsonl"
    lines = journal.read_bytes().splitlines()
    journal.write_bytes(b"\n".join([*lines[:2], lines[2][: len(lines[2]) // 2]]))
    for _ in range(2):
        again = command("run", source, "-m", flat, "-o", "out", "--json")
        assert again.returncode == 0
        assert json.loads(again.stdout)["skipped"] == 3


def test_a_temporary_of_a_process_that_no_longer_runs_is_removed(flat, command, album, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    for owner in ("1", f"{os.getpid()}-1"):
        (out / f".a.jpg.{owner}.batchcolor-tmp").write_bytes(b"half")
    assert command("run", album(1), "-m", flat, "-o", out).returncode == 0
    assert temporaries(out) == []


def test_a_full_disk_exits_with_4_and_the_same_command_resumes_after_space_is_freed(
    flat, command, album, tmp_path, small_disk
):
    source, out = album(40, 400, 300), small_disk / "out"
    result = command("run", source, "-m", flat, "-o", out, "--report", tmp_path / "report.json")
    assert result.returncode == 4, result.stderr
    assert "is full" in result.stderr
    assert "are left" in result.stderr
    assert not temporaries(out)
    for path in out.rglob("*.jpg"):
        with Image.open(path) as image:
            image.load()
    subprocess.run(["mount", "-o", "remount,size=20m", str(small_disk)], check=True)
    again = command("run", source, "-m", flat, "-o", out)
    assert again.returncode == 0, again.stderr
    assert len(results(out)) == 40


def test_a_disk_filled_by_packed_pictures_stops_training_with_exit_4(command, tmp_path, small_disk):
    folder = tmp_path / "photographs"
    folder.mkdir()
    for seed in range(200):
        colours = np.random.default_rng(seed).integers(0, 256, (3, 3, 3), dtype=np.uint8)
        Image.fromarray(colours).resize((64, 64)).save(folder / f"{seed}.jpg")
    arguments = ("train", "beta", "--data", folder, "-o", "run", "--size", "64")
    result = command(*arguments, BATCHCOLOR_CACHE=str(small_disk))
    assert result.returncode == 4, result.stderr
    assert f"{small_disk / 'stores'} is full" in result.stderr
    assert list((small_disk / "stores").iterdir()) == []


def test_a_read_only_target_exits_with_4(flat, command, album, small_disk):
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    result = command("run", album(2), "-m", flat, "-o", small_disk / "out")
    assert result.returncode == 4
    assert "cannot be written" in result.stderr


def test_a_second_job_on_the_same_output_is_refused(flat, command, album, tmp_path):
    (tmp_path / "out" / ".batchcolor").mkdir(parents=True)
    with FileLock(tmp_path / "out" / ".batchcolor" / "lock"):
        result = command("run", album(2), "-m", flat, "-o", "out")
    assert result.returncode == 2
    assert "another job" in result.stderr
    assert command("run", tmp_path / "album", "-m", flat, "-o", "out").returncode == 0


def test_a_source_that_vanishes_while_the_job_runs_fails_alone_and_is_reported(
    gate, start, album, tmp_path
):
    job, source, out = gate(), album(30), tmp_path / "out"
    process = start(source, "-m", "gated", "-o", out, "--json", *ONE_BY_ONE)
    job.wait_for("colorizer", process)
    vanished = sorted(source.glob("*.jpg"))[-1]  # far behind: no more than six are in flight
    vanished.unlink()
    job.open()
    printed, shown = process.communicate(timeout=60)
    report = json.loads(printed)
    assert process.returncode == 3, shown
    assert [Path(failure["source"]).name for failure in report["failures"]] == [vanished.name]
    assert (report["done"], report["failed"]) == (29, 1)


@pytest.mark.parametrize("setting", [{"TERM": "dumb"}, {"NO_COLOR": "1"}, {"COLUMNS": "20"}])
def test_terminals_without_colour_get_plain_lines(flat, command, album, setting):
    result = command("run", album(2), "-m", flat, "-o", "out", **setting)
    assert result.returncode == 0, result.stderr
    assert "\x1b" not in result.stderr


@pytest.mark.parametrize("arguments", ["models", "run --help", "--help"])
def test_a_pipe_that_its_reader_closes_is_no_error(arguments, environment):
    line = f"{sys.executable} -m batchcolor {arguments} | true; echo ${{PIPESTATUS[0]}}"
    result = subprocess.run(["bash", "-c", line], env=environment, capture_output=True, check=True)
    assert result.stdout == b"0\n"
    assert result.stderr == b""


def test_a_closed_pipe_keeps_the_exit_code_of_a_job_with_failures(flat, environment, tmp_path):
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"\xff\xd8\xff no picture")
    line = (
        f"{sys.executable} -m batchcolor run {broken} -m {flat} --json --quiet | true; "
        f"echo ${{PIPESTATUS[0]}}"
    )
    result = subprocess.run(["bash", "-c", line], env=environment, capture_output=True, check=True)
    assert result.stdout == b"3\n"


def test_an_internal_error_exits_with_1_one_line_and_a_log_file(plugin, process, album, tmp_path):
    plugin(
        "defect",
        """
        import batchcolor

        @batchcolor.hookimpl
        def batchcolor_commands(app):
            @app.command()
            def stumble():
                raise KeyError("over nothing")
        """,
    )
    result = process("stumble", TMPDIR=str(tmp_path))
    assert result.returncode == 1
    assert result.stderr.strip().count("\n") == 0
    (log,) = tmp_path.glob("batchcolor-*.log")
    assert "over nothing" in log.read_text()
    assert str(log) in result.stderr
