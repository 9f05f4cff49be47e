"""`batchcolor verify`: results are compared with the checksums in the journal."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest


@pytest.fixture
def out(command, flat, album, tmp_path: Path) -> Path:
    done = command("run", album(3), "-o", tmp_path / "out", "-m", flat)
    assert done.returncode == 0, done.stderr
    return tmp_path / "out"


def entries(out: Path) -> list[dict]:
    lines = (out / ".batchcolor" / "journal.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


def test_the_journal_has_checksum_and_size_of_each_result(out):
    for entry in entries(out):
        content = (out / entry["target"]).read_bytes()
        assert entry["result_sha256"] == hashlib.sha256(content).hexdigest()
        assert entry["result_size"] == len(content)


def test_intact_results_give_exit_code_0(command, out):
    done = command("verify", out)

    assert (done.returncode, done.stdout.strip()) == (0, "3 intact")


def test_changed_and_missing_results_are_listed(command, out):
    first, second, _ = (out / entry["target"] for entry in entries(out))
    content = bytearray(first.read_bytes())
    content[-20] ^= 1
    first.write_bytes(content)
    second.unlink()

    done = command("verify", out, "--json")

    document = json.loads(done.stdout)
    assert done.returncode == document["exit_code"] == 3
    assert (document["intact"], document["changed"], document["missing"]) == (1, 1, 1)
    assert {row["state"] for row in document["results"]} == {"changed", "missing"}
    assert f"missing: {second.relative_to(out)}" in command("verify", out).stdout


def test_entries_of_earlier_versions_have_no_checksum(command, out):
    journal = out / ".batchcolor" / "journal.jsonl"
    lines = entries(out)
    for entry in lines:
        del entry["result_sha256"], entry["result_size"]
    journal.write_text("".join(json.dumps(entry) + "\n" for entry in lines))

    done = command("verify", out)

    assert (done.returncode, done.stdout.strip()) == (0, "3 no checksum")


def test_a_film_and_a_folder_of_frames_are_checked(command, flat, make_clip, tmp_path):
    clip, out = make_clip(tmp_path / "clip.mp4", frames=3), tmp_path / "out"
    command("run", clip, "-o", out, "-m", flat)
    command("run", clip, "-o", out, "-m", flat, "--to-frames")
    folder = next(path for path in out.iterdir() if path.is_dir() and path.name[0] != ".")

    assert command("verify", out).returncode == 0
    next(iter(folder.iterdir())).unlink()
    assert command("verify", out).returncode == 3


def test_a_folder_without_a_journal_is_refused(command, tmp_path):
    done = command("verify", tmp_path)

    assert done.returncode == 2
    assert "not an output folder" in done.stderr


def test_files_that_are_not_in_the_journal_are_counted_and_listed(command, out):
    target = entries(out)[0]["target"]
    (out / f"{target}.json").write_text("{}")
    (out / "added.txt").write_text("by another program")

    done = command("verify", out)
    assert done.returncode == 0
    assert "1 other file is not in the journal and not checked" in done.stdout
    assert "not in the journal: added.txt" in command("verify", out, "-v").stdout
    assert json.loads(command("verify", out, "--json").stdout)["other_files"] == 1
