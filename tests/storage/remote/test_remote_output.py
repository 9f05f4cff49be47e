"""Results on remote storage: whole, recorded, skipped, resumed."""

import io
import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import fsspec
import pytest
from PIL import Image

import batchcolor
from batchcolor.storage.journal import JournalEntry
from batchcolor.storage.remote.object_index import ObjectIndex
from batchcolor.storage.remote.store import RemoteObject

GATED = """
    import batchcolor

    def gated(luma):
        pass_gate()
        return (luma[:, :, ::4, ::4] - 0.5).mul(0.4).expand(-1, 2, 4, 4)

    @batchcolor.hookimpl
    def batchcolor_colorizers():
        return [batchcolor.ColorizerSpec("gated", "can wait", 16, lambda options: gated)]
"""


def objects(system, folder: str) -> dict[str, bytes]:
    """The objects below a folder, without the state folder."""
    return {
        path.partition(f"{folder}/")[2]: system.cat_file(path)
        for path in system.find(folder)
        if path.startswith(f"{folder}/") and "/.batchcolor/" not in path  # s3fs may list the folder
    }


def local_results(source: Path, folder: Path, model: str) -> dict[str, bytes]:
    assert batchcolor.run(source, output=folder, model=model).exit_code == 0
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and ".batchcolor" not in path.parts
    }


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("BATCHCOLOR_CACHE", str(tmp_path / "cache"))


def test_objects_are_those_of_a_local_job_and_are_skipped_afterwards(bucket, album, flat, tmp_path):
    source = album(5)
    expected = local_results(source, tmp_path / "local", flat)
    report = batchcolor.run(source, output="s3://album/out", model=flat)
    assert (report.done, report.output) == (5, "s3://album/out"), report.as_json()
    assert objects(bucket, "album/out") == expected
    journal = bucket.cat_file("album/out/.batchcolor/journal.jsonl").splitlines()
    tags = {entry["target"]: entry["result_tag"] for entry in map(json.loads, journal)}
    assert tags == {name: bucket.info(f"album/out/{name}")["ETag"].strip('"') for name in expected}
    again = batchcolor.run(source, output="s3://album/out", model=flat)
    assert (again.done, again.skipped, again.existed) == (0, 5, 0)
    assert not list((tmp_path / "cache" / "outputs").rglob("*.jpg"))


def test_another_computer_goes_on_from_the_journal_on_the_storage(bucket, album, flat, tmp_path):
    source = album(4)
    assert batchcolor.run(source, output="s3://album/out", model=flat).done == 4
    shutil.rmtree(tmp_path / "cache")
    again = batchcolor.run(source, output="s3://album/out", model=flat)
    assert (again.done, again.skipped, again.existed) == (0, 4, 0)


def test_a_missing_object_is_made_again_and_a_changed_one_is_kept(bucket, album, flat):
    source = album(4)
    assert batchcolor.run(source, output="s3://album/out", model=flat).done == 4
    bucket.rm_file("album/out/001.jpg")
    bucket.pipe_file("album/out/003.jpg", b"edited by another program")
    again = batchcolor.run(source, output="s3://album/out", model=flat)
    assert (again.done, again.skipped, again.existed) == (1, 3, 1), again.as_json()
    assert bucket.cat_file("album/out/003.jpg") == b"edited by another program"
    forced = batchcolor.run(
        source, output="s3://album/out", model=flat, if_exists="overwrite", strength=0.5
    )
    assert forced.done == 4
    assert bucket.cat_file("album/out/003.jpg") != b"edited by another program"


def test_from_bucket_to_bucket_with_sidecars_and_pictures_in_colour(bucket, album, flat):
    source = album(2)
    buffer = io.BytesIO()
    Image.effect_noise((64, 64), 90).convert("RGB").save(buffer, "PNG")
    colored = Image.merge("RGB", [Image.effect_noise((64, 64), 90 + i) for i in range(3)])
    colored.save(source / "colour.png")
    bucket.put(f"{source}/", "album/in/", recursive=True)
    report = batchcolor.run("s3://album/in", model=flat, sidecar=True)
    assert (report.done, report.copied, report.failed) == (2, 1, 0), report.as_json()
    assert report.output == "s3://album/in-colorized"
    found = objects(bucket, "album/in-colorized")
    assert sorted(found) == sorted(
        name + end
        for name in ("001.jpg", "1931 summer/000.jpg", "colour.png")
        for end in ("", ".json")
    )
    assert found["colour.png"] == (source / "colour.png").read_bytes()
    again = batchcolor.run("s3://album/in", model=flat, sidecar=True)
    assert (again.done, again.skipped) == (0, 3), again.as_json()


def test_results_are_put_into_the_memory_file_system(album, flat):
    report = batchcolor.run(album(3), output="memory://made", model=flat)
    assert report.done == 3
    assert len(objects(fsspec.filesystem("memory"), "/made")) == 3
    assert batchcolor.run(album(3), output="memory://made", model=flat).skipped == 3


def test_a_killed_job_leaves_whole_objects_and_ends_like_an_uninterrupted_one(
    bucket, album, plugin, environment, command, gate_code, tmp_path, started
):
    plugin("gatedpack", gate_code + GATED)
    source = album(12)
    expected = local_results(source, tmp_path / "local", "gated")
    words = [sys.executable, "-m", "batchcolor", "run", str(source), "-o", "s3://album/out"]
    words += ["-m", "gated", "--batch-size", "1"]
    gate = {"GATE_AFTER": "5", "GATE_FILE": str(tmp_path / "gate")}
    job = subprocess.Popen(
        words,
        env={**environment, **gate},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    started.append(job)
    end = time.monotonic() + 300
    while not objects(bucket, "album/out"):
        assert job.poll() is None, job.communicate()
        assert time.monotonic() < end
        time.sleep(0.05)
    job.send_signal(signal.SIGKILL)
    job.wait()
    for name, content in objects(bucket, "album/out").items():
        assert content == expected[name]
    result = command(*words[3:])
    assert result.returncode == 0, result.stderr
    assert objects(bucket, "album/out") == expected
    entries = bucket.cat_file("album/out/.batchcolor/journal.jsonl").splitlines()
    assert len(entries) == 12


@pytest.mark.parametrize(
    ("output", "code", "message"),
    [
        ("s3://no-such-bucket/out", 4, "s3://no-such-bucket/out"),
        ("http://127.0.0.1:1/out", 2, "cannot be written; choose another --output"),
        ("s3://album/in/below", 2, "lies inside the source"),
        ("s3://album/in", 2, "is the source itself"),
    ],
)
def test_an_output_that_cannot_be_used_is_named_before_work(
    bucket, album, command, output, code, message
):
    bucket.put(f"{album(1)}/", "album/in/", recursive=True)
    result = command("run", "s3://album/in", "-o", output, "--retries", "0")
    assert result.returncode == code, result.stderr
    assert message in result.stderr


def test_a_dry_run_puts_nothing(bucket, album, command, flat):
    result = command("run", album(2), "-o", "s3://album/out", "-m", flat, "--dry-run")
    assert result.returncode == 0, result.stderr
    assert "Results would be in s3://album/out" in result.stdout
    assert "-> s3://album/out/001.jpg" in result.stdout
    assert bucket.find("album") == []


def test_the_index_knows_names_sizes_and_tags():
    index = ObjectIndex([RemoteObject("b/x.jpg", "x.jpg", 5, tag="t")])
    assert "x.jpg" in index
    assert "y.jpg" not in index
    assert index.has("x.jpg", 5, "t")
    assert not index.has("x.jpg", 6, "t")
    assert not index.has("x.jpg", 5, "u")
    assert len(index) == 1


def test_a_line_of_a_local_result_has_no_tag():
    entry = JournalEntry("a", 1, 2, "e", "s", "w", "t", "done")
    assert "result_tag" not in entry.as_values()


def test_a_film_goes_through_a_local_file_from_bucket_to_bucket(bucket, make_clip, flat, tmp_path):
    clip = make_clip(tmp_path / "reel.mp4", frames=12)
    bucket.put_file(str(clip), "album/films/reel.mp4")
    local = batchcolor.run(clip, output=tmp_path / "local", model=flat)
    assert local.done == 1
    report = batchcolor.run("s3://album/films", output="s3://album/out", model=flat, strip=True)
    assert (report.done, report.frames) == (1, 12), report.as_json()
    found = objects(bucket, "album/out")
    assert sorted(found) == ["reel-strip.jpg", "reel.mp4"]
    assert len(found["reel.mp4"]) == (tmp_path / "local" / "reel.mp4").stat().st_size
    again = batchcolor.run("s3://album/films", output="s3://album/out", model=flat)
    assert (again.done, again.skipped) == (0, 1)
    small = batchcolor.run(
        "s3://album/films", output="s3://album/small", model=flat, temporary_space=1000
    )
    (failure,) = small.as_json()["failures"]
    assert failure["source"] == "s3://album/films/reel.mp4"
    assert "MiB of temporary space" in failure["reason"]


def test_objects_are_compared_with_the_checksums_in_the_journal(bucket, album, flat, command):
    assert batchcolor.run(album(3), output="s3://album/out", model=flat).done == 3
    intact = command("verify", "s3://album/out")
    assert (intact.returncode, "3 intact" in intact.stdout) == (0, True), intact.stderr
    content = bucket.cat_file("album/out/001.jpg")
    bucket.pipe_file("album/out/001.jpg", content[:-1] + b"\0")
    bucket.rm_file("album/out/1931 summer/000.jpg")
    bucket.pipe_file("album/out/other.txt", b"text")
    result = command("verify", "s3://album/out", "--json")
    document = json.loads(result.stdout)
    assert result.returncode == 3
    counts = [document[state] for state in ("intact", "changed", "missing", "other_files")]
    assert counts == [1, 1, 1, 1]
    assert document["output"] == "s3://album/out"
    none = command("verify", "s3://album/in")
    assert (none.returncode, "s3://album/in" in none.stderr) == (2, True)
