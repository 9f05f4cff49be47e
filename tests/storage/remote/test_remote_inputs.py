"""References, weights, reports and photographs for training and evaluation by URL."""

import json
import shutil
from pathlib import Path

import pytest
from PIL import Image

import batchcolor
from batchcolor.errors import UsageError
from batchcolor.storage.locations import Url
from batchcolor.storage.remote.local_copy import make_local_copy

WEIGHTS = Path(__file__).parents[3] / "weights"


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("BATCHCOLOR_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def photographs(tmp_path) -> Path:
    """A folder of colour photographs."""
    folder = tmp_path / "photographs"
    (folder / "below").mkdir(parents=True)
    for index in range(6):
        bands = [Image.effect_noise((64, 48), 60 + 20 * index + 10 * band) for band in range(3)]
        Image.merge("RGB", bands).save(folder / ("below" if index % 2 else "") / f"{index}.png")
    return folder


def test_a_reference_and_weights_by_url_are_those_of_the_files(serve, photographs, album, tmp_path):
    served = tmp_path / "served"
    shutil.copytree(photographs, served)
    for name in ("alpha.safetensors", "alpha.json"):
        shutil.copy(WEIGHTS / name, served)
    url = serve(served)
    made = {}
    for kind, like, weights in (
        ("local", photographs / "0.png", WEIGHTS / "alpha.safetensors"),
        ("remote", f"{url}0.png?token=hidden", f"{url}alpha.safetensors"),
    ):
        report = batchcolor.run(
            album(2),
            output=tmp_path / kind,
            model="alpha",
            like=like,
            weights=weights,
            no_mark=True,
        )
        assert report.done == 2, report.as_json()
        made[kind] = (tmp_path / kind / "001.jpg").read_bytes()
    assert made["local"] == made["remote"]
    jobs = (tmp_path / "remote" / ".batchcolor" / "jobs.jsonl").read_text()
    assert f'"like": "{url}0.png"' in jobs
    assert "hidden" not in jobs


def test_weights_by_url_that_differ_from_their_card_are_refused(serve, album, tmp_path, command):
    served = tmp_path / "served"
    served.mkdir()
    shutil.copy(WEIGHTS / "alpha.json", served)
    content = bytearray((WEIGHTS / "alpha.safetensors").read_bytes())
    content[-1] ^= 1
    (served / "alpha.safetensors").write_bytes(content)
    result = command(
        "run", album(1), "-m", "alpha", "--weights", f"{serve(served)}alpha.safetensors"
    )
    assert result.returncode == 5
    assert "is altered or truncated" in result.stderr


def test_the_report_is_written_to_a_url(bucket, album, flat, command):
    result = command("run", album(2), "-o", "out", "-m", flat, "--report", "s3://album/r.json")
    assert result.returncode == 0, result.stderr
    assert json.loads(bucket.cat_file("album/r.json"))["done"] == 2
    refused = command("run", album(2), "-o", "out", "--report", "https://a.org/r.json")
    assert refused.returncode == 2
    assert "--report https://a.org/r.json: cannot be written" in refused.stderr


def test_photographs_for_evaluation_come_from_a_url(bucket, photographs, flat, command):
    bucket.put(f"{photographs}/", "album/photographs/", recursive=True)
    documents = []
    for data in (photographs, "s3://album/photographs"):
        result = command("evaluate", "--data", data, "-m", flat, "--json")
        assert result.returncode == 0, result.stderr
        documents.append(json.loads(result.stdout))
    local, remote = documents
    assert remote["data"] == "s3://album/photographs"
    assert (remote["n"], remote["pictures"]) == (6, local["pictures"])
    assert {row["name"]: row["per_picture"] for row in remote["rows"]} == {
        row["name"]: row["per_picture"] for row in local["rows"]
    }


def test_a_copy_of_a_folder_follows_its_changes(bucket, photographs, monkeypatch):
    bucket.put(f"{photographs}/", "album/photographs/", recursive=True)
    folder = make_local_copy(Url("s3://album/photographs"))
    before = {path: path.stat().st_ino for path in folder.rglob("*.png")}
    assert len(before) == 6
    bucket.rm_file("album/photographs/0.png")
    bucket.pipe_file("album/photographs/2.png", b"another one")
    assert make_local_copy(Url("s3://album/photographs")) == folder
    after = {path: path.stat().st_ino for path in folder.rglob("*.png")}
    assert len(after) == 5
    assert (folder / "2.png").read_bytes() == b"another one"
    same = [path for path in after if path.name != "2.png"]
    assert all(after[path] == before[path] for path in same)


def test_photographs_for_training_come_from_an_archive(photographs, tmp_path, command):
    shutil.make_archive(str(tmp_path / "data"), "zip", photographs)
    arguments = ("--epochs", "1", "--size", "16", "--batch-size", "2", "-o", "run")
    result = command("train", "alpha", "--data", f"zip://{tmp_path}/data.zip", *arguments)
    assert result.returncode == 0, result.stderr
    assert (tmp_path / "run" / "alpha.safetensors").is_file()


def test_a_url_that_does_not_exist_is_named(command, album):
    result = command("run", album(1), "--like", "memory://nowhere.png")
    assert result.returncode == 2
    assert "memory://nowhere.png: it does not exist" in result.stderr
    with pytest.raises(UsageError, match="memory://nowhere: it does not exist"):
        make_local_copy(Url("memory://nowhere"))
