"""What the sources of a job are: folders, files and globs, each with its place below the output."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Literal

from batchcolor.errors import UsageError


@dataclass(frozen=True)
class Root:
    """One thing to walk, and where below the output its content lies."""

    path: Path
    below: Path


@dataclass(frozen=True)
class Group:
    """What one argument means: a folder, a file, or a glob's fixed folder and its matches."""

    path: Path
    kind: Literal["folder", "file", "glob"]
    matches: tuple[Path, ...] = ()


def group_of(text: str) -> Group:
    """What `text` names. Raises UsageError where that is nothing."""
    if not text:  # as an unset variable leaves it: the current folder is `.`
        raise UsageError("a SOURCE is empty; name a folder, files or a glob")
    path = Path(text)
    if path.is_dir():
        return Group(path, "folder")
    if os.path.lexists(path):
        return Group(path, "file")
    if glob.has_magic(text):
        fixed = Path(*_before_magic(path.parts)) if _before_magic(path.parts) else Path()
        # Not Path.glob: that one takes no absolute patterns and hides broken links.
        matches = {Path(match) for match in glob.glob(text, recursive=True)}  # noqa: PTH207
        chosen = tuple(sorted(m for m in matches if matches.isdisjoint(m.parents)))
        if chosen:
            return Group(fixed, "glob", chosen)
        raise UsageError(f"no pictures found in {text}: the pattern matches nothing")
    raise UsageError(f"no such file or folder: {text}")


READ_SIZE = 1 << 16


def read_source_list(file: BinaryIO, *, null_separated: bool = False) -> Iterator[str]:
    """Yields the sources that a list names, one a line or one a NUL byte, as they are read.

    `file` is open in binary mode. Names are decoded as the file system does, so a name of any
    bytes is kept. Empty lines are skipped; a line may end with CR LF.
    """
    separator = b"\0" if null_separated else b"\n"
    rest = b""
    while chunk := file.read(READ_SIZE):
        *names, rest = (rest + chunk).split(separator)
        yield from _decode_names(names, null_separated=null_separated)
    yield from _decode_names([rest], null_separated=null_separated)


def _decode_names(names: Sequence[bytes], *, null_separated: bool) -> Iterator[str]:
    for name in names:
        bare = name if null_separated else name.removesuffix(b"\r")
        if bare:
            yield os.fsdecode(bare)


def _before_magic(parts: Sequence[str]) -> list[str]:
    fixed = []
    for part in parts:
        if glob.has_magic(part):
            break
        fixed.append(part)
    return fixed


def default_output(groups: Sequence[Group]) -> Path:
    """SOURCE-colorized beside a single source; `colorized` in the common folder of several."""
    if len(groups) > 1:
        common = os.path.commonpath([os.path.abspath(group.path.parent) for group in groups])  # noqa: PTH100
        return Path(common) / "colorized"
    only = groups[0]
    if only.kind == "file":
        return only.path.with_name(f"{only.path.stem}-colorized")
    folder = only.path if only.path.name not in ("", "..") else only.path.resolve()
    if not folder.name:
        raise UsageError(f"{folder} has no folder beside it: name one with --output")
    return folder.with_name(f"{folder.name}-colorized")


def check_folders(groups: Sequence[Group]) -> None:
    """With `--frames` every source is a folder."""
    for group in groups:
        for path in group.matches if group.kind == "glob" else (group.path,):
            if not path.is_dir():
                raise UsageError(
                    f"--frames takes folders of numbered frames, and {path} is a file; "
                    f"--to-frames makes frames of a film"
                )


def roots_of(groups: Sequence[Group]) -> Iterator[Root]:
    """What is walked: each folder of several, and each match of a glob, below a name of its own."""
    several = len(groups) > 1
    names: dict[str, int] = {}
    for group in groups:
        if group.kind == "file":
            yield Root(group.path, Path())
            continue
        below = Path()
        if several and group.kind == "folder":
            name = group.path.resolve().name or "root"
            names[name] = names.get(name, 0) + 1
            below = Path(name if names[name] == 1 else f"{name}-{names[name]}")
        if group.kind == "folder":
            yield Root(group.path, below)
        for match in group.matches:
            relative = match.relative_to(group.path)
            yield Root(match, relative if match.is_dir() else relative.parent)
