"""Reads sources from a column of a CSV or TSV table, as archives and spreadsheets write them."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from pathlib import Path

from batchcolor.errors import UsageError
from batchcolor.pipeline.planning.source_list import decode_text, find_spelling

SUFFIXES = (".csv", ".tsv", ".tab")
DELIMITERS = ("\t", ";", ",")
"""Excel writes semicolons where the comma is the decimal separator."""
COLUMN_NAMES = ("path", "file", "filename", "file name", "filepath", "file path", "source")
"""Columns that are taken without `--column`, in lower case, the first that exists."""
SEPARATOR_LINE = "sep="
"""Beginning of a line in which Excel states the delimiter."""


def is_table(path: str) -> bool:
    """Whether a list of sources is a table by its suffix."""
    return Path(path).suffix.lower() in SUFFIXES


def read_source_table(data: bytes, folder: Path, column: str | None) -> Iterator[str]:
    """Yields the sources in a column of a table with a header row; empty cells are skipped.

    `data` is UTF-8 or UTF-16, with or without byte-order mark; a name that is not UTF-8 is also
    tried in Windows-1252. Without `column` the table has one column, or one of `COLUMN_NAMES`.
    Relative paths begin at `folder`, that of the list, where they exist there, and else at the
    current folder. Raises UsageError for a table without the column.
    """
    text = decode_text(data)
    first, _, rest = text.partition("\n")
    delimiter = ""
    if first.lower().startswith(SEPARATOR_LINE):
        delimiter, text = first[len(SEPARATOR_LINE) :].rstrip("\r"), rest
    delimiter = delimiter[:1] or _guess_delimiter(text)
    try:
        rows = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
        header = next(rows, [])
        index = _find_column([name.strip() for name in header], column)
        for row in rows:
            cell = row[index].strip() if index < len(row) else ""
            if cell:
                yield find_spelling([cell], [folder, Path()]) or cell
    except csv.Error as error:
        raise UsageError(f"it is not a table in CSV: {error}") from error


def _guess_delimiter(text: str) -> str:
    """Returns the delimiter that occurs most often in the header row, outside quotes."""
    header = text.partition("\n")[0]
    outside = "".join(header.split('"')[::2])
    return max(DELIMITERS, key=outside.count) if any(d in outside for d in DELIMITERS) else ","


def _find_column(names: Sequence[str], column: str | None) -> int:
    """Returns the position of a column, whose name matches exactly or but for its case."""
    lower = [name.casefold() for name in names]
    if column is not None:
        if column in names:
            return names.index(column)
        if column.casefold() in lower:
            return lower.index(column.casefold())
    elif len(names) == 1:
        return 0
    else:
        for name in COLUMN_NAMES:
            if name in lower:
                return lower.index(name)
    listed = ", ".join(names) or "none"
    wanted = f"it has no column {column}" if column else "name the column with --column"
    raise UsageError(f"{wanted}; its columns are {listed}")
