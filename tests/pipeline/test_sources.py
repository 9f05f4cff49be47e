"""Lists of sources: separators, odd names, laziness."""

import io
import os

import pytest

from batchcolor.pipeline.sources import (
    READ_SIZE,
    default_output,
    parse_source,
    read_source_list,
)


@pytest.mark.parametrize(
    ("content", "null_separated", "names"),
    [
        (b"a.png\nb c.png\n", False, ["a.png", "b c.png"]),
        (b"a.png\r\n\r\n\nb.png", False, ["a.png", "b.png"]),
        (b"a\nb.png\0c.png\0", True, ["a\nb.png", "c.png"]),
        (b"", False, []),
        (b"x" * (READ_SIZE + 5) + b"\ny", False, ["x" * (READ_SIZE + 5), "y"]),
    ],
)
def test_a_source_list_yields_its_names(content, null_separated, names):
    assert list(read_source_list(io.BytesIO(content), null_separated=null_separated)) == names


def test_names_of_any_bytes_are_kept():
    (name,) = read_source_list(io.BytesIO(b"\xff\xe9.png\n"))
    assert os.fsencode(name) == b"\xff\xe9.png"


def test_a_source_list_is_read_while_it_is_used():
    file = io.BytesIO(b"a.png\n" * READ_SIZE)
    assert next(read_source_list(file)) == "a.png"
    assert file.tell() == READ_SIZE


@pytest.mark.parametrize(
    ("sources", "output"),
    [
        (["album"], "album-colorized"),
        (["."], "../work-colorized"),
        (["album/a.png"], "album/a-colorized"),
        (["album/*.png"], "album-colorized"),
        ([".", "a.png"], "../colorized"),
        (["album", "a.png"], "colorized"),
        (["album/one", "album/two"], "album/colorized"),
    ],
)
def test_the_default_output_lies_beside_the_sources(sources, output, tmp_path, monkeypatch):
    work = tmp_path / "work"
    for folder in ("album/one", "album/two"):
        (work / folder).mkdir(parents=True)
    for name in ("a.png", "album/a.png"):
        (work / name).touch()
    monkeypatch.chdir(work)
    made = default_output([parse_source(text) for text in sources])
    assert made.resolve() == (work / output).resolve()
