"""Jobs with sources on remote storage and in archives, into a local folder."""

import io
import json
import tarfile
import zipfile
from pathlib import Path

import fsspec
import pytest

import batchcolor


def results(folder: Path) -> dict[str, bytes]:
    """The results below a folder, without the state folder."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and ".batchcolor" not in path.parts
    }


@pytest.fixture
def pictures(album):
    """A folder of four pictures: one in a wrong format, one without a suffix, and a text."""
    folder = album(2)
    source = folder / "001.jpg"
    (folder / "wrong.png").write_bytes(source.read_bytes())
    (folder / "bare").write_bytes(source.read_bytes())
    (folder / "notes.txt").write_text("not a picture")
    return folder


@pytest.fixture
def local(pictures, flat, tmp_path):
    """The results of the pictures as a local folder."""
    report = batchcolor.run(pictures, output=tmp_path / "local", model=flat)
    assert report.done == 4
    return results(tmp_path / "local")


def pack_zip(folder: Path, target: Path) -> str:
    with zipfile.ZipFile(target, "w") as archive:
        for path in sorted(folder.rglob("*")):
            archive.write(path, path.relative_to(folder).as_posix())
    return str(target)


def pack_tar(folder: Path, target: Path) -> str:
    with tarfile.open(target, "w:gz" if target.name.endswith("gz") else "w") as archive:
        archive.add(folder, ".")
    return str(target)


def names(files: dict[str, bytes]) -> dict[str, bytes]:
    return {name.removeprefix("./"): content for name, content in files.items()}


@pytest.mark.parametrize(
    "kind", ["zip", "zip://", "tar", "tar.gz", "tar of .", "http", "memory", "http zip"]
)
def test_results_are_those_of_the_same_files_in_a_folder(
    kind, pictures, local, flat, tmp_path, serve
):
    if kind.startswith("zip"):
        source = (kind.partition("zip")[2] and "zip://") or ""
        source += pack_zip(pictures, tmp_path / "a.zip")
    elif kind == "tar of .":
        source = pack_tar(pictures, tmp_path / "a.tar")
    elif kind.startswith("tar"):
        with tarfile.open(tmp_path / f"a.{kind}", "w:gz" if kind.endswith("gz") else "w") as packed:
            for path in sorted(pictures.rglob("*")):
                packed.add(path, path.relative_to(pictures).as_posix(), recursive=False)
        source = str(tmp_path / f"a.{kind}")
    elif kind == "memory":
        fsspec.filesystem("memory").put(f"{pictures}/", "/pictures/", recursive=True)
        source = "memory://pictures"
    elif kind == "http zip":
        (tmp_path / "served").mkdir()
        pack_zip(pictures, tmp_path / "served" / "a.zip")
        source = f"zip://::{serve(tmp_path / 'served')}a.zip"
    else:
        source = serve(pictures)
    report = batchcolor.run(source, output=tmp_path / "out", model=flat)
    assert (report.done, report.failed, report.exit_code) == (4, 0, 0), report.as_json()
    assert results(tmp_path / "out") == local
    again = batchcolor.run(source, output=tmp_path / "out", model=flat)
    assert (again.done, again.skipped, again.existed) == (0, 4, 0), again.as_json()
    assert not list(tmp_path.glob("batchcolor-remote-*"))


def test_objects_of_s3_are_coloured_and_skipped_by_their_tag(
    bucket, pictures, local, flat, tmp_path
):
    bucket.put(f"{pictures}/", "album/in/", recursive=True)
    report = batchcolor.run("s3://album/in", output=tmp_path / "out", model=flat)
    assert (report.done, report.failed) == (4, 0), report.as_json()
    assert results(tmp_path / "out") == local
    bucket.pipe_file("album/in/001.jpg", next((pictures / "1931 summer").iterdir()).read_bytes())
    again = batchcolor.run(
        "s3://album/in", output=tmp_path / "out", model=flat, if_exists="overwrite"
    )
    assert (again.done, again.skipped) == (1, 3), again.as_json()


def test_a_pattern_selects_objects(bucket, pictures, flat, tmp_path):
    bucket.put(f"{pictures}/", "album/in/", recursive=True)
    report = batchcolor.run("s3://album/in/**/*.jpg", output=tmp_path / "out", model=flat)
    assert sorted(results(tmp_path / "out")) == ["001.jpg", "1931 summer/000.jpg"], report.as_json()


def test_several_sources_have_folders_of_their_own(pictures, flat, tmp_path):
    one = pack_zip(pictures, tmp_path / "one.zip")
    report = batchcolor.run([one, pictures], output=tmp_path / "out", model=flat)
    assert report.done == 8
    assert {name.split("/")[0] for name in results(tmp_path / "out")} == {"one", "album"}


def test_the_default_output_lies_beside_an_archive(pictures, flat, tmp_path):
    report = batchcolor.run(pack_zip(pictures, tmp_path / "one.zip"), model=flat)
    assert report.output == str(tmp_path / "one-colorized")


@pytest.mark.parametrize("name", ["../escape.jpg", "/root.jpg", "a//b.jpg", "a/./b.jpg"])
def test_a_member_with_an_odd_name_writes_nothing_outside(name, pictures, flat, tmp_path):
    with zipfile.ZipFile(tmp_path / "odd.zip", "w") as archive:
        archive.writestr(name, (pictures / "001.jpg").read_bytes())
        archive.write(pictures / "001.jpg", "good.jpg")
    report = batchcolor.run(str(tmp_path / "odd.zip"), output=tmp_path / "x" / "out", model=flat)
    assert report.done >= 1
    assert not list(tmp_path.rglob("escape*"))
    assert not Path("/root.jpg").exists()


def test_a_damaged_archive_is_named(tmp_path, command):
    (tmp_path / "bad.zip").write_bytes(b"PK\x03\x04 not a zip")
    result = command("run", "bad.zip", "-o", "out")
    assert result.returncode == 2
    assert "bad.zip: the archive cannot be read" in result.stderr


def test_a_damaged_member_fails_alone(pictures, flat, tmp_path):
    packed = Path(pack_zip(pictures, tmp_path / "a.zip"))
    content = bytearray(packed.read_bytes())
    with zipfile.ZipFile(packed) as archive:
        info = archive.getinfo("bare")
    content[info.header_offset + 200] ^= 0xFF
    packed.write_bytes(content)
    report = batchcolor.run(str(packed), output=tmp_path / "out", model=flat)
    assert (report.done, report.failed) == (3, 1), report.as_json()
    assert report.as_json()["failures"][0]["source"].endswith("a.zip/bare")


def test_an_object_larger_than_the_temporary_space_fails_with_the_room_it_needs(
    bucket, flat, tmp_path, grey_picture
):
    buffer = io.BytesIO()
    grey_picture(900, 900).save(buffer, "BMP")
    bucket.pipe_file("album/in/large.bmp", buffer.getvalue())
    report = batchcolor.run(
        "s3://album/in", output=tmp_path / "out", model=flat, temporary_space=2**18
    )
    (failure,) = report.as_json()["failures"]
    assert failure["source"] == "s3://album/in/large.bmp"
    assert "needs 1 MiB of temporary space" in failure["reason"]


def test_the_dry_run_lists_objects_and_reads_none(serve, pictures, command):
    faults = {"/001.jpg": [500] * 99}
    result = command("run", serve(pictures, faults), "-o", "out", "--dry-run", "--json")
    planned = json.loads(result.stdout)["planned"]
    assert {row["action"] for row in planned} == {"colour"}
    assert any(row["source"].endswith("/001.jpg") for row in planned)
    assert len(faults["/001.jpg"]) == 99


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("http://user:pass@127.0.0.1:1/a.jpg?sig=hidden", "http://127.0.0.1:1/a.jpg:"),
        ("nothing://x/y", "is not a kind of storage that fsspec knows"),
        ("zip://nowhere.zip", "no such file"),
        ("memory://nowhere", "memory://nowhere: it does not exist"),
    ],
)
def test_a_source_that_cannot_be_opened_is_named_without_credentials(source, message, command):
    if source.startswith("http"):
        pytest.importorskip("aiohttp", reason="http:// needs aiohttp")
    result = command("run", source, "-o", "out", "--retries", "0")
    assert result.returncode == 2
    assert message in result.stderr
    assert "pass" not in result.stderr
    assert "hidden" not in result.stderr


@pytest.mark.parametrize("option", ["--frames", "--watch"])
def test_options_for_folders_refuse_archives(option, command, pictures, tmp_path):
    result = command("run", pack_zip(pictures, tmp_path / "a.zip"), "-o", "out", option)
    assert result.returncode == 2
    assert option in result.stderr
