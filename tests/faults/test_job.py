"""Faults around a job: full disks, two jobs at once, closed standard output, internal errors."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from filelock import FileLock
from PIL import Image


def results(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and ".batchcolor" not in path.parts
    }


def temporaries(folder: Path) -> list[Path]:
    return list(folder.rglob("*.batchcolor-tmp"))


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
    assert "cannot be written (Read-only file system)" in result.stderr


def test_a_second_job_on_the_same_output_is_refused(flat, command, album, tmp_path):
    (tmp_path / "out" / ".batchcolor").mkdir(parents=True)
    with FileLock(tmp_path / "out" / ".batchcolor" / "lock"):
        result = command("run", album(2), "-m", flat, "-o", "out")
    assert result.returncode == 2
    assert "another job" in result.stderr
    assert command("run", tmp_path / "album", "-m", flat, "-o", "out").returncode == 0


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
