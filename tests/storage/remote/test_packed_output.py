"""Shards of WebDataset: tar files in and out."""

import io
import tarfile
from pathlib import Path

import pytest
from PIL import Image

import batchcolor


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("BATCHCOLOR_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def shard(tmp_path, grey_picture) -> Path:
    """A shard of three samples: a picture, a class and a description each; one damaged picture."""
    path = tmp_path / "in" / "shard-000.tar"
    path.parent.mkdir()
    with tarfile.open(path, "w") as archive:
        for index in range(3):
            buffer = io.BytesIO()
            grey_picture(96, 64, index).save(buffer, "JPEG", quality=90)
            content = buffer.getvalue() if index != 1 else b"\xff\xd8\xff\xe0 damaged"
            for suffix, data in (("cls", b"7"), ("jpg", content), ("json", b'{"a": 1}')):
                info = tarfile.TarInfo(f"{index:04d}.{suffix}")
                info.size, info.mtime = len(data), 1_700_000_000
                archive.addfile(info, io.BytesIO(data))
    return path


def members(path: Path) -> dict[str, bytes]:
    with tarfile.open(path) as archive:
        return {one.name: archive.extractfile(one).read() for one in archive}


EXPECTED = [
    *("0000.cls", "0000.jpg", "0000.json", "0001.cls", "0001.json"),
    *("0002.cls", "0002.jpg", "0002.json"),
]


def test_a_shard_becomes_a_shard_with_its_other_members_in_order(shard, flat, tmp_path):
    out = tmp_path / "coloured" / "shard-000.tar"
    report = batchcolor.run(shard, output=out, model=flat)
    assert (report.done, report.failed, report.output) == (2, 1, str(out)), report.as_json()
    found = members(out)
    assert list(found) == EXPECTED
    assert found["0000.cls"] == b"7"
    folder = tmp_path / "folder"
    batchcolor.run(shard, output=folder, model=flat)
    assert found["0000.jpg"] == (folder / "0000.jpg").read_bytes()
    assert Image.open(io.BytesIO(found["0002.jpg"])).mode == "RGB"
    assert not list((tmp_path / "cache" / "outputs").rglob("*.jpg"))


def test_a_second_run_does_nothing_and_a_deleted_shard_is_made_again(shard, flat, tmp_path):
    out = tmp_path / "out.tar"
    batchcolor.run(shard, output=out, model=flat)
    first = members(out)
    state = (out.stat().st_ino, out.stat().st_mtime_ns)
    again = batchcolor.run(shard, output=out, model=flat)
    assert (again.done, again.skipped, again.failed) == (0, 2, 1), again.as_json()
    assert (out.stat().st_ino, out.stat().st_mtime_ns) == state
    out.unlink()
    assert batchcolor.run(shard, output=out, model=flat).done == 2
    assert members(out) == first


def test_what_is_new_is_added_to_the_results_that_are_there(shard, flat, tmp_path, grey_picture):
    folder = tmp_path / "folder"
    folder.mkdir()
    grey_picture(96, 64, 1).save(folder / "a.png")
    out = tmp_path / "out.tar"
    assert batchcolor.run(folder, output=out, model=flat).done == 1
    first = members(out)
    grey_picture(96, 64, 2).save(folder / "b.png")
    report = batchcolor.run(folder, output=out, model=flat)
    assert (report.done, report.skipped) == (1, 1)
    assert list(members(out)) == ["a.png", "b.png"]
    assert members(out)["a.png"] == first["a.png"]


def test_a_pattern_of_shards_has_a_folder_for_each(shard, flat, tmp_path):
    (shard.parent / "shard-001.tar").write_bytes(shard.read_bytes())
    report = batchcolor.run(str(shard.parent / "*.tar"), output=tmp_path / "out", model=flat)
    assert report.done == 4, report.as_json()
    assert (tmp_path / "out" / "shard-001" / "0002.jpg").is_file()


def test_shards_of_a_bucket(bucket, shard, flat):
    bucket.put_file(str(shard), "album/in/shard-000.tar")
    report = batchcolor.run(
        "s3://album/in/shard-000.tar", output="s3://album/out/shard-000.tar", model=flat
    )
    assert (report.done, report.output) == (2, "s3://album/out/shard-000.tar")
    with tarfile.open(fileobj=io.BytesIO(bucket.cat_file("album/out/shard-000.tar"))) as archive:
        assert archive.getnames() == EXPECTED
    again = batchcolor.run(
        "s3://album/in/shard-000.tar", output="s3://album/out/shard-000.tar", model=flat
    )
    assert (again.done, again.skipped) == (0, 2)


def test_a_tar_file_that_is_none_is_not_replaced(shard, flat, command, tmp_path):
    (tmp_path / "out.tar").write_bytes(b"something else")
    result = command("run", shard, "-o", "out.tar", "-m", flat)
    assert result.returncode == 2
    assert "out.tar exists and is not a readable tar file" in result.stderr
    assert (tmp_path / "out.tar").read_bytes() == b"something else"


@pytest.mark.parametrize(
    ("output", "option", "message"),
    [
        ("out.zip", (), "results are packed into .tar files only"),
        ("out.tar", ("--sidecar",), "--sidecar goes with a folder"),
        ("out.tar", ("--shard", "1/2"), "--shard goes with a folder"),
    ],
)
def test_what_does_not_go_with_a_tar_file_is_refused(output, option, message, shard, command):
    result = command("run", shard, "-o", output, *option)
    assert result.returncode == 2
    assert message in result.stderr
