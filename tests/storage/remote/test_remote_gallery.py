"""`--gallery` where sources or results are on remote storage."""

import re
import shutil

import pytest
from PIL import Image

import batchcolor
from batchcolor.errors import OutputError, UsageError

from .fault_proxy import Fault
from .test_remote_output import objects
from .test_remote_sources import pack_zip

LINK = re.compile(r'(?:src|href|data-before)="([^"]+)"')


def read_gallery(found: dict[str, bytes]) -> tuple[str, set[str]]:
    """The text of the pages and the names of the pictures, which are all there."""
    text = "".join(found[name].decode() for name in sorted(found) if name.endswith(".html"))
    links = set(LINK.findall(text))
    assert links == {name for name in found if name.endswith(".jpg")}
    return text, links


def test_pages_and_pictures_are_objects_beside_the_results(bucket, album, flat, tmp_path):
    source = album(3)
    bucket.put(f"{source}/", "album/in/", recursive=True)
    local = batchcolor.run(source, output=tmp_path / "out", model=flat, gallery=True)
    assert local.done == 3
    report = batchcolor.run("s3://album/in", output="s3://album/out", model=flat, gallery=True)
    assert (report.done, report.gallery) == (3, "s3://album/out-gallery/index.html")
    found = objects(bucket, "album/out-gallery")
    folder = tmp_path / "out-gallery"
    assert found == {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }
    assert len(read_gallery(found)[1]) == 9
    assert bucket.info("album/out-gallery/index.html")["ContentType"] == "text/html"
    assert len(objects(bucket, "album/out")) == 3


def test_results_of_an_earlier_job_are_fetched_once_also_by_another_computer(
    proxy, bucket, album, flat, tmp_path
):
    bucket.put(f"{album(3)}/", "album/in/", recursive=True)
    arguments = {"output": "s3://album/out", "model": flat}
    assert batchcolor.run("s3://album/in", **arguments).done == 3
    assert batchcolor.run("s3://album/in", gallery=True, **arguments).skipped == 3
    first = objects(bucket, "album/out-gallery")
    assert len(read_gallery(first)[1]) == 9
    shutil.rmtree(tmp_path / "cache")
    proxy.requests.clear()
    assert batchcolor.run("s3://album/in", gallery=True, **arguments).skipped == 3
    assert objects(bucket, "album/out-gallery") == first
    assert proxy.count("GET", "in/0") == proxy.count("GET", "out/0") == 0
    assert proxy.count("PUT", "out-gallery/pictures") == 0
    bucket.rm_file("album/in/001.jpg")
    bucket.rm_file("album/out/001.jpg")
    assert batchcolor.run("s3://album/in", gallery=True, **arguments).skipped == 2
    assert "001.jpg" not in read_gallery_pages(bucket)


def read_gallery_pages(bucket) -> str:
    return bucket.cat_file("album/out-gallery/index.html").decode()


def test_the_originals_of_an_archive_are_shown_in_a_local_gallery(album, flat, tmp_path):
    source = pack_zip(album(3), tmp_path / "a.zip")
    for run in ("plain", "later"):  # with the job, and for results of an earlier job
        output = tmp_path / run
        if run == "later":
            batchcolor.run(source, output=output, model=flat)
        report = batchcolor.run(source, output=output, model=flat, gallery=True)
        folder = tmp_path / f"{run}-gallery"
        assert report.gallery == str(folder / "index.html")
        originals = [Image.open(path) for path in folder.glob("pictures/*-before.jpg")]
        assert [(one.mode, one.size) for one in originals] == [("L", (96, 64))] * 3
        assert not list((output / ".batchcolor").glob("gallery-files/*"))


def test_places_that_cannot_have_a_gallery_are_refused(bucket, album, flat):
    source = album(1)
    with pytest.raises(UsageError, match="is a whole bucket; choose a folder in it"):
        batchcolor.run(source, output="s3://album", model=flat, gallery=True)
    with pytest.raises(UsageError, match="without --shard when all are done"):
        batchcolor.run(source, output="s3://album/out", model=flat, gallery=True, shard="1/2")
    bucket.pipe_file("album/out-gallery/mine.txt", b"text")
    with pytest.raises(UsageError, match="s3://album/out-gallery, which exists and is not a gall"):
        batchcolor.run(source, output="s3://album/out", model=flat, gallery=True)


def test_a_gallery_that_cannot_be_written_ends_with_code_4_and_the_results_are_there(
    proxy, bucket, album, flat
):
    proxy.faults.append(Fault(403, "PUT", "out-gallery"))
    report = batchcolor.run(album(2), output="s3://album/out", model=flat, gallery=True)
    assert (report.done, report.exit_code) == (2, OutputError.exit_code)
    assert "s3://album/out-gallery cannot be written: access is denied" in report.message
    assert len(objects(bucket, "album/out")) == 2
