from pathlib import Path

import pytest

from batchcolor.storage.locations import (
    Url,
    describe_text,
    describe_url,
    find_archive_kind,
    is_url,
    join_url,
    read_location,
    url_name,
)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("s3://key:secret@bucket/a b/c.jpg", "s3://bucket/a b/c.jpg"),
        ("https://u:p@host:8080/x/y.jpg?X-Amz-Signature=abc#top", "https://host:8080/x/y.jpg"),
        ("zip://in/p.jpg::https://u:p@host/a.zip?sig=1", "zip://in/p.jpg::https://host/a.zip"),
        ("az://container/a.jpg?sv=1&sig=2", "az://container/a.jpg"),
        ("memory://album", "memory://album"),
    ],
)
def test_a_url_is_shown_without_credentials(text, shown):
    assert describe_url(text) == shown
    assert describe_text(f"cannot open '{text.partition(' ')[0]}'").count("secret") == 0


@pytest.mark.parametrize("text", ["a.jpg", "./s3:/x", "C:\\scans", "file:///a/b.jpg", "a::b"])
def test_paths_are_no_urls(text):
    assert not is_url(text)
    assert isinstance(read_location(text), Path)


def test_a_file_url_is_a_path():
    assert read_location("file:///a/b.jpg") == Path("/a/b.jpg")
    assert read_location("s3://b/c") == Url("s3://b/c")


def test_names_and_parts_of_urls():
    assert url_name("s3://bucket/album/") == "album"
    assert url_name("s3://bucket") == "bucket"
    assert url_name("zip://scans::s3://b/album.zip") == "album.zip"
    assert join_url("s3://b/x/", ["y", "z.jpg"]) == "s3://b/x/y/z.jpg"
    assert [find_archive_kind(n) for n in ("a.ZIP", "b.tar.gz", "c.jpg")] == ["zip", "tar", None]
