"""Jobs that a signal or a kill interrupts, and sources that vanish while a job runs."""

import json
import random
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest
from PIL import Image

GATED = """
    import os, threading, time
    from pathlib import Path

    import batchcolor

    GATE = os.environ.get("GATE_FOLDER")  # only in processes that `start` starts
    calls = 0

    def wait_at(point):
        Path(GATE, point).touch()
        while not Path(GATE, "open").exists():
            time.sleep(0.01)

    if GATE:
        from batchcolor.pipeline.executor import Pipeline

        interrupt, fsync = Pipeline.interrupt, os.fsync

        def record_interrupt(pipeline, code):
            interrupt(pipeline, code)
            Path(GATE, "interrupted").touch()

        def fsync_behind_gate(handle):
            is_main = threading.current_thread() is threading.main_thread()
            if os.environ["GATE_POINT"] == "fsync" and not is_main:
                wait_at("fsync")
            fsync(handle)

        Pipeline.interrupt, os.fsync = record_interrupt, fsync_behind_gate

    class Gated:
        def __call__(self, luma):
            import torch
            global calls
            calls += 1
            if GATE and os.environ["GATE_POINT"] == "colorizer" and calls == 3:
                wait_at("colorizer")
            return torch.full((len(luma), 2, 4, 4), 0.1)

    @batchcolor.hookimpl
    def batchcolor_colorizers():
        return [batchcolor.ColorizerSpec("gated", "waits", 16, lambda options: Gated())]
"""
"""Waits in the third call of the colorizer, or before results are flushed to the disk."""
ONE_BY_ONE = ["--batch-size", "1", "--workers", "1", "--max-memory", "16M"]


@dataclass
class Gate:
    """The files by which a test follows and controls a gated gate."""

    folder: Path

    def wait_for(self, name: str, process: subprocess.Popen[str]) -> None:
        """Waits until the job reaches a point: `colorizer`, `fsync` or `interrupted`."""
        end = time.monotonic() + 300
        while not (self.folder / name).exists():
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < end, f"the job does not reach {name}"
            time.sleep(0.01)

    def open(self) -> None:
        """Lets the job continue to its end."""
        (self.folder / "open").touch()


@pytest.fixture
def gate(plugin, tmp_path):
    """Installs the model `gated`, whose job waits at a gate where it is started with `start`."""
    plugin("gatedpack", GATED)
    folder = tmp_path / "gate"
    folder.mkdir()
    return Gate(folder)


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
    """Starts `batchcolor run` without waiting for it; a gated job waits at `gate_point`."""

    def run(*arguments, ignored=(), gate_point="colorizer"):
        def ignore_signals():
            for number in ignored:
                signal.signal(number, signal.SIG_IGN)

        gate = {"GATE_FOLDER": str(tmp_path / "gate"), "GATE_POINT": gate_point}
        process = subprocess.Popen(
            [sys.executable, "-m", "batchcolor", "run", *map(str, arguments)],
            preexec_fn=ignore_signals,
            env={**environment, **gate},
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
    source, out = album(30), tmp_path / "out"
    process = start(source, "-m", "gated", "-o", out, "--json", *ONE_BY_ONE)
    gate.wait_for("colorizer", process)
    process.send_signal(number)
    gate.wait_for("interrupted", process)
    gate.open()
    printed, shown = process.communicate(timeout=300)
    assert process.returncode == code, shown
    report = json.loads(printed)
    assert report["failed"] == 0
    assert 2 < report["done"] < 30
    assert report["done"] == len(results(out))
    assert report["remaining"] == 30 - report["done"]
    assert f"{report['remaining']} not processed in " in shown
    assert not temporaries(out)
    assert "run the same command again" in report["message"]
    again = command("run", source, "-m", "gated", "-o", out, "--json")
    assert again.returncode == 0
    assert len(results(out)) == 30
    assert json.loads(again.stdout)["skipped"] == report["done"]


def test_a_second_sigint_ends_the_process_at_once_and_leaves_no_temporaries(
    gate, start, album, tmp_path
):
    out = tmp_path / "out"
    process = start(album(8), "-m", "gated", "-o", out, *ONE_BY_ONE, gate_point="fsync")
    gate.wait_for("fsync", process)
    process.send_signal(signal.SIGINT)
    gate.wait_for("interrupted", process)
    assert temporaries(out)  # the first signal waits for the result that is being written
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=300)  # the gate stays closed: no other way to end
    assert process.returncode == 130
    assert not temporaries(out)


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGINT])
def test_a_signal_that_is_ignored_at_the_start_does_not_stop_the_job(
    gate, start, album, tmp_path, number
):
    out = tmp_path / "out"
    process = start(album(8), "-m", "gated", "-o", out, "--json", *ONE_BY_ONE, ignored=[number])
    gate.wait_for("colorizer", process)
    process.send_signal(number)
    process.send_signal(number)
    gate.open()
    printed, shown = process.communicate(timeout=300)
    assert process.returncode == 0, shown
    assert not (gate.folder / "interrupted").exists()
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

    for _ in range(3):
        size = journal_size() + generator.randint(1, 6000)
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


def test_a_source_that_vanishes_while_the_job_runs_fails_alone_and_is_reported(
    gate, start, album, tmp_path
):
    source, out = album(30), tmp_path / "out"
    process = start(source, "-m", "gated", "-o", out, "--json", *ONE_BY_ONE)
    gate.wait_for("colorizer", process)
    vanished = sorted(source.glob("*.jpg"))[-1]  # far behind: no more than six are in flight
    vanished.unlink()
    gate.open()
    printed, shown = process.communicate(timeout=300)
    report = json.loads(printed)
    assert process.returncode == 3, shown
    assert [Path(failure["source"]).name for failure in report["failures"]] == [vanished.name]
    assert (report["done"], report["failed"]) == (29, 1)
