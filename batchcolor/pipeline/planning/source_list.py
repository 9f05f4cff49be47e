"""Reads sources from a text list, one a line or one a NUL byte, as people and programs write it."""

from __future__ import annotations

import codecs
import contextlib
import glob
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

COMMENT = "#"
QUOTES = "\"'"


def read_source_list(data: bytes, *, null_separated: bool = False) -> Iterator[str]:
    """Yields the sources that a list names.

    Names are decoded as the file system does, so a name of any bytes is kept. A list with lines
    is UTF-8 or UTF-16, with or without byte-order mark, and lines may end with CR LF; empty lines,
    and lines that begin with `#` and name no file, are skipped. A name that does not exist is also
    tried without quotes and spaces around it, and in Windows-1252.
    """
    if null_separated:
        yield from (os.fsdecode(name) for name in data.split(b"\0") if name)
        return
    for line in decode_text(data).split("\n"):
        name = line.removesuffix("\r")
        bare = name.strip()
        if not bare:
            continue
        found = find_spelling([name, bare, bare.strip(QUOTES)], [Path()])
        if found is None and bare.startswith(COMMENT):
            continue
        is_quoted = len(bare) > 1 and bare[0] == bare[-1] and bare[0] in QUOTES
        yield found or (bare[1:-1] if is_quoted else name)


def decode_text(data: bytes) -> str:
    """Returns the text of a list; bytes that are not UTF-8 are kept as the file system does."""
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return data.decode("utf-16", "replace")
    return data.removeprefix(codecs.BOM_UTF8).decode("utf-8", "surrogateescape")


def find_spelling(names: Sequence[str], folders: Sequence[Path]) -> str | None:
    """Returns the first name that exists below one of the folders, or matches files as a pattern.

    Each name is also tried in Windows-1252 and, where `/` separates folders, with `/` for `\\`.
    """
    spellings = list(names)
    for name in names:
        if not name.isascii():
            with contextlib.suppress(UnicodeDecodeError, UnicodeEncodeError):
                spellings.append(name.encode("utf-8", "surrogateescape").decode("cp1252"))
    if os.sep == "/":
        spellings += [spelling.replace("\\", "/") for spelling in spellings if "\\" in spelling]
    for spelling in spellings:
        for folder in folders:
            candidate = str(folder / spelling) if folder != Path() else spelling
            if os.path.lexists(candidate):
                return candidate
            is_pattern = glob.has_magic(spelling)
            if is_pattern and next(glob.iglob(candidate, recursive=True), None):  # noqa: PTH207
                return candidate
    return None
