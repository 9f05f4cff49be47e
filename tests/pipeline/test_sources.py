"""Lists of sources: separators, odd names, laziness."""

import json
import os
from pathlib import Path

import pytest

from batchcolor.pipeline.planning.source_list import read_source_list
from batchcolor.pipeline.planning.sources import default_output, describe_missing, parse_source


@pytest.mark.parametrize(
    ("content", "null_separated", "names"),
    [
        (b"a.png\nb c.png\n", False, ["a.png", "b c.png"]),
        (b"a.png\r\n\r\n\nb.png", False, ["a.png", "b.png"]),
        (b"a\nb.png\0c.png\0", True, ["a\nb.png", "c.png"]),
        (b"", False, []),
        (b"x" * 70_000 + b"\ny", False, ["x" * 70_000, "y"]),
        (b"# scans of 1931\n  \na.png", False, ["a.png"]),
        (b"\xef\xbb\xbfa.png\r\n", False, ["a.png"]),
        ("a.png\r\n\xe4.png\r\n".encode("utf-16"), False, ["a.png", "\xe4.png"]),
        (b'"a b.png"\n', False, ["a b.png"]),
    ],
)
def test_a_source_list_yields_its_names(content, null_separated, names):
    assert list(read_source_list(content, null_separated=null_separated)) == names


def test_names_of_any_bytes_are_kept():
    (name,) = read_source_list(b"\xff\xe9.png\n")
    assert os.fsencode(name) == b"\xff\xe9.png"


def test_a_name_of_a_list_is_tried_in_other_spellings(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "in").mkdir()
    for name in ("# 1.png", " a .png", "in/\xe4.png", "b.png"):
        (tmp_path / name).touch()
    lines = [b"# 1.png", b" a .png", b"in\\\xe4.png", b"  b.png ", b"in/*.png", b"in/*.tif"]
    found = list(read_source_list(b"\n".join(lines)))
    assert found == ["# 1.png", " a .png", "in/\xe4.png", "b.png", "in/*.png", "in/*.tif"]
    reasons = [describe_missing(name) for name in [*found, "c.png"]]
    assert reasons[:5] == [None] * 5
    assert reasons[5:] == [
        "the pattern matches nothing",
        "no such file",
    ]
    assert describe_missing("https://a.org/b.png") is None  # it is asked for when the job begins


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


LONG = "x" * 300
"""A name that the system refuses, as it refuses one in a folder without access."""


@pytest.mark.parametrize("source", ["album", "album/*"])
def test_a_link_that_the_system_refuses_to_follow_fails_alone(command, flat, album, source):
    folder = album(2)
    (folder / "link.jpg").symlink_to(LONG)
    (folder / "loop.jpg").symlink_to("loop.jpg")
    result = command("run", source, "-m", flat, "-o", "out", "--json")
    report = json.loads(result.stdout)
    assert (result.returncode, report["done"]) == (3, 2), result.stderr
    reasons = {Path(failure["source"]).name: failure["reason"] for failure in report["failures"]}
    assert "File name too long" in reasons.pop("link.jpg")
    assert all("circular link" in reason for reason in reasons.values())  # skipped in a folder


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("run", LONG), 2),
        (("run", "loop.jpg"), 2),
        (("run", f"{LONG}.zip"), 2),
        (("run", "album", "-o", LONG), 4),
        (("run", "album", "-o", f"{LONG}.tar"), 2),
        (("run", "album", "--report", LONG), 2),
        (("run", "album", "--metrics", f"{LONG}/file"), 2),
        (("compare", "album", "-o", f"{LONG}.png"), 2),
        (("verify", LONG), 2),
        (("report", LONG), 2),
        (("info", LONG), 2),
        (("decisions", "export", LONG), 2),
        (("train", "beta", "--data", LONG), 2),
    ],
)
def test_a_path_that_the_system_refuses_is_no_internal_error(command, album, arguments, code):
    album(1).parent.joinpath("loop.jpg").symlink_to("loop.jpg")
    result = command(*arguments, "-m", "beta") if arguments[0] == "run" else command(*arguments)
    assert result.returncode == code, result.stderr
    assert "internal error" not in result.stderr
    assert "too long" in result.stderr or "symbolic links" in result.stderr
