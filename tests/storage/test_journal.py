"""The journal after failures that follow a success."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path

from batchcolor.storage.journal import Journal, JournalEntry


def entry(
    outcome: str, target: str = "a.png", source: str = "/in/a.png", sha256: str = ""
) -> JournalEntry:
    return JournalEntry(
        source, 1, 1, "", "settings", "weights", target, outcome, result_sha256=sha256
    )


def write(output: Path, *entries: JournalEntry) -> Journal:
    journal = Journal(output)
    journal.folder.mkdir(parents=True)
    journal.path.write_text("".join(json.dumps(asdict(one)) + "\n" for one in entries))
    return Journal(output)


def test_a_failed_run_does_not_hide_the_result_of_an_earlier_one(tmp_path):
    made = entry("done", sha256="x")
    journal = write(tmp_path / "out", made, entry("failed"), entry("skipped"))
    assert journal.results() == [made]
    assert journal.find_result(Path("A.png")) == made


def test_results_of_one_source_under_two_names_are_both_listed(tmp_path):
    first, second = entry("done"), entry("copied", "a.jpg")
    journal = write(tmp_path / "out", first, second, entry("failed", "a.webp"))
    assert journal.results() == [first, second]


def test_the_last_success_of_a_name_is_listed(tmp_path):
    last = entry("done", source="/in/b.png", sha256="y")
    journal = write(tmp_path / "out", entry("done", sha256="x"), last, entry("failed"))
    assert journal.results() == [last]


def test_a_result_is_verified_and_found_again_after_a_failed_run(
    command, flat, album, tmp_path, monkeypatch
):
    folder, out = album(1), tmp_path / "out"
    assert command("run", folder, "-o", out, "-m", flat).returncode == 0
    (source,) = folder.rglob("*.jpg")
    (result,) = out.rglob("*.jpg")
    content, status = source.read_bytes(), source.stat()

    def fail(*arguments: object) -> None:
        raise MemoryError

    other = ("run", folder, "-o", out, "-m", flat, "--strength", "0.5", "--if-exists", "overwrite")
    with monkeypatch.context() as patch:
        patch.setattr("batchcolor.pipeline.pictures.picture_decoder.decode", fail)
        assert command(*other).returncode != 0
    assert (source.read_bytes(), source.stat().st_mtime_ns) == (content, status.st_mtime_ns)
    verified = command("verify", out, "--json")
    assert json.loads(verified.stdout)["intact"] == 1
    again = json.loads(command("run", folder, "-o", out, "-m", flat, "--json").stdout)
    assert (again["skipped"], again["existed"], again["failed"]) == (1, 0, 0)
    result.write_bytes(b"damaged")
    assert command("verify", out).returncode != 0


def test_a_file_that_exists_after_a_mere_failure_is_not_called_a_result(command, flat, tmp_path):
    folder, out = tmp_path / "in", tmp_path / "out"
    folder.mkdir()
    out.mkdir()
    (folder / "a.jpg").write_bytes(b"\xff\xd8\xff no picture")
    assert command("run", folder, "-o", out, "-m", flat).returncode == 3
    (out / "a.jpg").write_bytes(b"of another program")
    words = ("run", folder, "-o", out, "-m", flat, "--retry-failed", "--json")
    (note,) = json.loads(command(*words).stdout)["picture_notes"]
    assert "not made by this job" in note["note"]
    assert (out / "a.jpg").read_bytes() == b"of another program"


def test_a_result_of_an_earlier_version_of_its_source_is_kept_and_named_so(
    command, flat, album, tmp_path
):
    folder, out = album(2), tmp_path / "out"
    assert command("run", folder, "-o", out, "-m", flat).returncode == 0
    one, other = sorted(folder.rglob("*.jpg"))
    one.write_bytes(other.read_bytes())
    words = ("run", folder, "-o", out, "-m", flat, "--json")
    (note,) = json.loads(command(*words).stdout)["picture_notes"]
    assert note["note"] == "result kept: it exists and was made before its source changed"
    report = json.loads(command(*words, "--if-exists", "overwrite").stdout)
    assert (report["done"], report["skipped"]) == (1, 1)


def test_a_line_has_optional_keys_only_where_they_have_a_value():
    values = replace(entry("done"), doubt=0.0, run=3).as_values()
    assert (values["doubt"], values["run"]) == (0.0, 3)
    assert entry("done").as_values().keys().isdisjoint({"doubt", "run", "decision", "result_tag"})
