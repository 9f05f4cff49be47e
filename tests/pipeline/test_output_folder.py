"""The output folder: made with the first result, never left empty, never coloured by mistake."""

import json
import os

import pytest
from PIL import Image

from batchcolor.errors import OutputError, UsageError
from batchcolor.storage.journal import Journal, JournalEntry


def entry(outcome, source="/in/a.png"):
    return JournalEntry(source, 1, 1, "", "settings", "weights", "a.png", outcome)


def names_in(folder):
    return sorted(path.name for path in folder.iterdir() if path.name != "site")


@pytest.fixture
def broken(tmp_path):
    folder = tmp_path / "broken"
    folder.mkdir()
    (folder / "a.jpg").write_bytes(b"\xff\xd8\xff no picture")
    return folder


def test_a_job_without_results_leaves_no_folder(flat, command, broken, tmp_path):
    made = command("run", broken, "-m", flat)
    assert made.returncode == 3
    assert names_in(tmp_path) == ["broken"]


FAILING = """
from batchcolor import ColorizerSpec, hookimpl


def fail(luma):
    raise RuntimeError("no colour")


@hookimpl
def batchcolor_colorizers():
    return [ColorizerSpec("failing", "Fails.", 32, lambda options: fail)]
"""


def test_a_failed_film_leaves_no_folder(plugin, command, make_clip, tmp_path):
    plugin("failing", FAILING)
    films = tmp_path / "films"
    films.mkdir()
    make_clip(films / "a.mp4")
    made = command("run", films, "-m", "failing", "-o", "deep/out", "--json")
    (failure,) = json.loads(made.stdout)["failures"]
    assert failure["step"] == "chroma"
    assert names_in(tmp_path) == ["films"]


def test_a_failure_before_the_first_result_is_in_the_journal(flat, command, broken, tmp_path):
    Image.new("L", (40, 30), 90).save(broken / "b.png")
    command("run", broken, "-m", flat, "-o", "out")
    lines = (tmp_path / "out" / ".batchcolor" / "journal.jsonl").read_text().splitlines()
    assert sorted(json.loads(line)["outcome"] for line in lines) == ["done", "failed"]
    again = command("run", broken, "-m", flat, "-o", "out", "--json")
    (failure,) = json.loads(again.stdout)["failures"]
    assert "as before" in failure["reason"]


def test_an_existing_folder_is_kept_without_results(flat, command, broken, tmp_path):
    (tmp_path / "out").mkdir()
    command("run", broken, "-m", flat, "-o", "out")
    assert list((tmp_path / "out").iterdir()) == []


def test_failures_wait_until_the_folder_is_opened(tmp_path):
    with Journal(tmp_path / "out") as journal:
        journal.append(entry("failed"))
        assert not journal.folder.exists()
        journal.append(entry("done", "/in/b.png"))
        assert len(journal.path.read_text().splitlines()) == 2


def test_two_jobs_cannot_open_one_folder(tmp_path):
    with Journal(tmp_path / "out") as first, Journal(tmp_path / "out") as second:
        first.open()
        with pytest.raises(UsageError, match="another job"):
            second.open()


def test_a_folder_that_cannot_be_made_is_reported_before_any_work(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="cannot be written"), Journal(tmp_path / "file" / "out"):
        pass


def test_the_segments_of_a_film_keep_the_folder(tmp_path):
    with Journal(tmp_path / "out") as journal:
        journal.open()
        (journal.film_folder("/in/a.mp4")).mkdir(parents=True)
    assert journal.folder.exists()


@pytest.mark.parametrize("name", ["album-colorized", "album-colorized/inner", "album-colorized/*"])
def test_results_are_no_sources_unless_asked_for(name, flat, command, tmp_path):
    (tmp_path / "album" / "inner").mkdir(parents=True)
    for place in ("a.png", "inner/b.png"):
        Image.new("L", (40, 30), 90).save(tmp_path / "album" / place)
    command("run", "album", "-m", flat)
    refused = command("run", name, "-m", flat)
    assert refused.returncode == 2
    assert "--include-results" in refused.stderr
    made = command("run", name, "-m", flat, "--include-results", "-o", "again")
    assert made.returncode == 0, made.stderr
    assert names_in(tmp_path / "again")


def test_pictures_beside_results_in_the_output_folder_are_sources(flat, command, tmp_path):
    Image.new("L", (40, 30), 90).save(tmp_path / "scan.png")
    folder = tmp_path / "scans"
    folder.mkdir()
    Image.new("L", (40, 30), 90).save(folder / "a.png")
    assert command("run", "scans", "-m", flat, "-o", ".").returncode == 0
    assert command("run", "scans", "-m", flat, "-o", ".").returncode == 0  # resumes
    assert command("run", "scan.png", "-m", flat, "-o", "out").returncode == 0


def test_a_result_of_another_size_is_replaced_on_request(flat, command, tmp_path):
    (tmp_path / "in").mkdir()
    Image.new("L", (40, 30), 90).save(tmp_path / "in" / "a.png")
    command("run", "in", "-m", flat, "-o", "out")
    result = tmp_path / "out" / "a.png"
    whole = result.read_bytes()
    result.write_bytes(whole + b"\0")
    kept = json.loads(command("run", "in", "-m", flat, "-o", "out", "--json").stdout)
    assert (kept["skipped"], kept["existed"]) == (1, 1)
    assert "changed after it was made" in kept["picture_notes"][0]["note"]
    again = command("run", "in", "-m", flat, "-o", "out", "--if-exists", "overwrite")
    assert again.returncode == 0
    assert result.read_bytes() == whole


def test_a_report_that_cannot_be_written_stops_the_job_before_it_begins(
    flat, command, tmp_path, monkeypatch
):
    Image.new("L", (40, 30), 90).save(tmp_path / "a.png")
    folder = tmp_path / "read-only"
    folder.mkdir()
    access = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: path != folder and access(path, mode))
    made = command("run", "a.png", "-m", flat, "-o", "out", "--report", folder / "r.json")
    assert made.returncode == 4
    assert "--report" in made.stderr
    assert not (tmp_path / "out").exists()
