"""What `batchcolor run` prints: the closing lines, the dry run, lists of sources."""

import io
import json
import sys

import pytest
from PIL import Image

from batchcolor.cli.run_display import counts
from batchcolor.pipeline.report import Report


def test_the_summary_counts_names_the_full_path_and_the_next_command(
    command, flat, album, tmp_path
):
    source = album(3)
    (source / "bad.jpg").write_bytes(b"no picture")
    first = command("run", source, "-m", flat, "-o", "out", COLUMNS="40")
    assert first.returncode == 3
    assert f"failed: {source / 'bad.jpg'}: " in first.stderr
    assert "3 coloured, 1 failed in " in first.stderr
    assert f"Results: {tmp_path / 'out'}" in first.stderr
    assert "--retry-failed" in first.stderr
    again = command("run", source, "-m", flat, "-o", "out", COLUMNS="40")
    assert "0 coloured, 3 skipped, 1 failed in " in again.stderr
    assert "1 failed in an earlier run" in again.stderr
    assert "failed: " not in again.stderr
    assert (
        f"failed: {source / 'bad.jpg'}: "
        in command("run", source, "-m", flat, "-o", "out", "-v").stderr
    )


def test_a_job_without_failures_suggests_no_retry(command, flat, album):
    result = command("run", album(1), "-m", flat)
    assert "1 coloured, 0 failed" in result.stderr
    assert "--retry-failed" not in result.stderr


def test_the_dry_run_reports_empty_and_unknown_files_and_says_where_results_would_be(
    command, flat, album, tmp_path
):
    source = album(1)
    (source / "empty.jpg").touch()
    (source / "text.png").write_text("words")
    result = command("run", source, "-m", flat, "--dry-run")
    lines = result.stdout.splitlines()
    assert f"refused: {source / 'empty.jpg'} (the file is empty)" in lines
    assert f"refused: {source / 'text.png'} (not a known picture or film)" in lines
    assert "1 of 3 pictures and films would be coloured" in lines
    assert f"Results would be in {tmp_path / 'album-colorized'}" in lines
    assert not (tmp_path / "album-colorized").exists()


def test_progress_shows_done_total_rate_and_time_left():
    report = Report("flat", "out", scanned=100, is_scanning=False, done=50)
    report.started -= 10
    line = counts(report)
    assert line.startswith("50 of 100 done, ")
    assert line.endswith("0:00:10 left")


def test_progress_of_films_counts_frames_per_second():
    report = Report("flat", "out", scanned=1, is_scanning=False, frames=50, frames_expected=150)
    report.started -= 10
    line = counts(report)
    assert "50 frames, 5.0 frames/s" in line
    assert line.endswith("0:00:20 left")


@pytest.fixture
def listed(tmp_path):
    """Two pictures with odd names."""
    names = ["with space.png", "-dash.png"]
    (tmp_path / "in").mkdir()
    for name in names:
        Image.new("L", (9, 9), 70).save(tmp_path / "in" / name)
    return [f"in/{name}" for name in names]


def give_standard_input(monkeypatch, content):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))


@pytest.mark.parametrize("arguments", [["-"], ["--from", "-"]])
def test_sources_are_read_from_standard_input(command, flat, listed, monkeypatch, arguments):
    give_standard_input(monkeypatch, "\n".join(listed).encode())
    result = command("run", *arguments, "-m", flat, "-o", "out", "--json")
    assert json.loads(result.stdout)["done"] == 2, result.stderr


def test_sources_separated_by_nul_are_read_with_their_odd_names(
    command, flat, tmp_path, monkeypatch
):
    (tmp_path / "in").mkdir()
    Image.new("L", (9, 9), 70).save(tmp_path / "in" / "line\nbreak.png")
    give_standard_input(monkeypatch, b"in/line\nbreak.png\0")
    result = command("run", "-", "-0", "-m", flat, "-o", "out", "--json")
    assert json.loads(result.stdout)["done"] == 1, result.stderr


def test_sources_of_a_file_are_added_to_those_of_the_command_line(command, flat, listed, tmp_path):
    (tmp_path / "list.txt").write_text(listed[0])
    result = command("run", listed[1], "--from", "list.txt", "-m", flat, "-o", "out", "--json")
    assert json.loads(result.stdout)["done"] == 2, result.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--from", "absent.txt"], "--from absent.txt: cannot be read"),
        (["--from", "empty.txt"], "the list is empty"),
        (["in", "-0"], "--null goes with a list of sources"),
    ],
)
def test_a_list_that_cannot_be_used_is_refused_in_one_line(command, tmp_path, arguments, message):
    (tmp_path / "empty.txt").touch()
    result = command("run", *arguments)
    assert result.returncode == 2
    assert message in result.stderr
    assert result.stderr.strip().count("\n") == 0
