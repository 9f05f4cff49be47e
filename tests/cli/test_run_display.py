"""What `batchcolor run` prints: the closing lines, the dry run, lists of sources."""

import io
import json
import sys
from pathlib import Path

import pytest
from PIL import Image

from batchcolor.cli.next_steps import suggest_next_steps
from batchcolor.cli.progress_line import counts, fit_line
from batchcolor.cli.run_display import closing_sentence, describe_earlier_failures
from batchcolor.hooks.types import Outcome
from batchcolor.pipeline.report import Report


def test_the_summary_counts_and_names_the_full_path(command, flat, album, tmp_path):
    source = album(3)
    (source / "bad.jpg").write_bytes(b"no picture")
    first = command("run", source, "-m", flat, "-o", "out", COLUMNS="40")
    assert first.returncode == 3
    assert f"failed: {source / 'bad.jpg'}: " in first.stderr
    assert "3 coloured, 1 failed in " in first.stderr
    assert f"Results: {tmp_path / 'out'}" in first.stderr
    assert "Next: " not in first.stderr  # nothing makes it a picture
    again = command("run", source, "-m", flat, "-o", "out", COLUMNS="40")
    assert "0 coloured, 3 skipped, 1 failed in " in again.stderr
    earlier = "1 failed in an earlier run and was not tried again: bad.jpg (-v has the reason)"
    assert earlier in again.stderr
    assert earlier in command("run", source, "-m", flat, "-o", "out", "-q").stderr
    assert "failed: " not in again.stderr
    assert (
        f"failed: {source / 'bad.jpg'}: "
        in command("run", source, "-m", flat, "-o", "out", "-v").stderr
    )


def test_the_summary_has_the_command_that_reviews_the_results(command, flat, album):
    pytest.importorskip("starlette")
    pytest.importorskip("uvicorn")
    words = ("run", album(1), "-m", flat, "-o", "the results")
    assert "Review: batchcolor review 'the results'\n" in command(*words).stderr
    assert "Review: " not in command(*words).stderr  # nothing new to look at
    assert "Review: " not in command(*words, "--if-exists", "overwrite", "-q").stderr


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


@pytest.mark.parametrize("width", [30, 50, 80, 120])
def test_the_line_of_progress_fits_the_terminal_and_keeps_the_rate_and_time_left(width):
    report = Report("flat", "out", scanned=1, is_scanning=False, frames=4050, frames_expected=9000)
    report.started -= 810
    name = "holiday at the seaside.mkv 0:02:42, frame 4050 of 9000"
    text, has_bar, shown = fit_line(report, name, width)
    assert 2 + len(text) + has_bar * 21 + bool(shown) * (1 + len(shown)) < max(width, 49)
    assert text.endswith("5.0 frames/s, 0:16:30 left")
    assert ("frames, " in text) == (width >= 80)
    assert has_bar == (width >= 80)
    assert bool(shown) == (width >= 120)


def test_a_stopped_job_keeps_its_total_and_says_how_many_remain():
    report = Report("flat", "out", scanned=20, counted=120, done=5, skipped=2, failed=1)
    assert report.as_json()["remaining"] == 112
    assert ", 1 failed, 112 not processed in " in closing_sentence(report)
    assert "of 120 done" in counts(report)


def test_a_complete_job_has_nothing_left(command, flat, album):
    result = command("run", album(1), "-m", flat, "--json")
    assert json.loads(result.stdout)["remaining"] == 0
    assert "not processed" not in result.stderr


def test_up_to_five_failures_of_an_earlier_run_are_named():
    names = [f"{letter}.jpg" for letter in "abcdefg"]
    assert describe_earlier_failures(names[:2]) == (
        "2 failed in an earlier run and were not tried again: a.jpg, b.jpg (-v has the reasons)"
    )
    assert describe_earlier_failures(names).endswith("d.jpg, e.jpg, ... (-v lists all)")


@pytest.mark.parametrize(
    ("name", "step", "reason", "advice"),
    [
        ("a.jpg", "decode", "truncated: its data end early", "--salvage colours"),
        ("a.tif", "decode", "page 2: damaged: strip 3", "--salvage colours"),
        ("a.bmp", "decode", "truncated: 12 rows", "--salvage colours"),
        ("a.webp", "decode", "truncated: 12 rows", ""),
        ("a.jpg", "decode", "the file is empty", ""),
        ("a.jpg", "decode", "damaged, or not a picture in a known format", ""),
        ("a.jpg", "limits", "9 x 9 pixels exceed --max-pixels 80", "raise --max-pixels"),
        ("a.jpg", "limits", "needs 9 MiB, more than --max-memory allows", "raise --max-memory"),
        ("a.mkv", "limits", "damaged at 0:01 (--strict)", "without --strict"),
        ("a.png", "decode", "cannot be read (permission denied)", "correct the cause, then"),
        ("a.png", "scan", "vanished while the job ran", "correct the cause, then"),
        ("a.png", "plan", "its result would replace it; choose another --output", ""),
    ],
)
def test_the_next_step_fits_the_failure(name, step, reason, advice):
    steps = suggest_next_steps([Outcome(Path(name), None, "failed", step, reason)], salvages=False)
    assert [line.startswith(advice) for line in steps] == [True] * bool(advice)


def test_the_next_steps_are_two_at_most_and_salvage_is_not_suggested_twice():
    failures = [
        Outcome(Path("a.jpg"), None, "failed", "decode", "truncated: no end"),
        Outcome(Path("b.jpg"), None, "failed", "limits", "exceed --max-pixels 5"),
        Outcome(Path("c.jpg"), None, "failed", "commit", "permission denied"),
        Outcome(Path("d.jpg"), None, "failed", "commit", "permission denied"),
    ]
    steps = suggest_next_steps(failures, salvages=False)
    assert len(steps) == 2
    assert steps[0].endswith("--retry-failed")
    assert not suggest_next_steps(failures[:1], salvages=True)


def test_failures_of_real_files_have_the_steps_that_colour_them(command, flat, album, tmp_path):
    source = album(1)
    good = next(source.rglob("*.jpg")).read_bytes()
    (source / "cut.jpg").write_bytes(good[: len(good) // 2])
    pages = [Image.new("L", (40, 30), level) for level in (50, 90)]
    pages[0].save(source / "pages.tif", save_all=True, append_images=pages[1:])
    words = ("run", source, "-m", flat, "-o", "out", "--format", "png")
    steps = [line for line in command(*words).stderr.splitlines() if line.startswith("Next: ")]
    assert len(steps) == 2
    assert any("--salvage" in line for line in steps)
    assert any("--pages first" in line and "--format tiff" in line for line in steps)
    assert command(*words, "--salvage", "--pages", "first").returncode == 0


def test_hidden_notes_are_counted_with_the_path_of_the_journal(command, flat, album, tmp_path):
    source = album(1)
    good = next(source.rglob("*.jpg")).read_bytes()
    (source / "cut.jpg").write_bytes(good[: len(good) // 2])
    shown = command("run", source, "-m", flat, "-o", "out", "--salvage").stderr
    journal = tmp_path / "out" / ".batchcolor" / "journal.jsonl"
    assert f"1 note on a file (-v lists it; {journal} has it)" in shown


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


def test_a_missing_file_of_a_list_fails_alone(command, flat, listed, tmp_path):
    (tmp_path / "list.txt").write_text("\n".join(["in/gone.png", *listed]))
    arguments = ("run", "--from", "list.txt", "-m", flat, "--json")
    planned = json.loads(command(*arguments, "--dry-run").stdout)["planned"]
    result = command(*arguments)
    document = json.loads(result.stdout)
    assert (result.returncode, document["done"]) == (3, 2), result.stderr
    (failure,) = document["failures"]
    assert (failure["source"], failure["step"]) == ("in/gone.png", "scan")
    assert failure["reason"] == "no such file (named in list.txt)"
    assert [one["source"] for one in planned if one["action"] == "refused"] == ["in/gone.png"]


def test_all_missing_sources_are_named(command, flat, listed, tmp_path):
    (tmp_path / "list.txt").write_text("gone.png\nlost.png")
    result = command("run", "--from", "list.txt", "-m", flat)
    assert result.returncode == 2
    assert "nothing of the list exists" in result.stderr
    result = command("run", "x.png", listed[0], "y.png", "-m", flat)
    assert result.returncode == 2
    assert "no such file or folder: x.png, y.png; correct" in result.stderr


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
