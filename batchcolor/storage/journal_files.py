"""The files of the journals in an output folder: one of jobs without shards, one of each shard."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from batchcolor.storage.shard import Shard, parse_tag

STATE_FOLDER = ".batchcolor"
"""The folder in an output folder that holds the journal; such folders are not coloured again."""
DECISIONS_NAME = "decisions.jsonl"
JOURNAL_NAME = "journal.jsonl"


def journal_path(output: Path, shard: Shard | None = None) -> Path:
    """The journal to which a job without shards, or a shard, appends."""
    path = output / STATE_FOLDER / JOURNAL_NAME
    return path if shard is None else shard.name_file(path)


def list_journals(folder: Path) -> list[tuple[Path, Shard | None]]:
    """The journals in a state folder: that of jobs without shards first, then those of shards."""
    found: list[tuple[Path, Shard | None]] = []
    stem, _, ending = JOURNAL_NAME.partition(".")
    if os.path.exists(folder / JOURNAL_NAME):  # noqa: PTH110  (no error for folders without access)
        found.append((folder / JOURNAL_NAME, None))
    for path in folder.glob(f"{stem}-*.{ending}"):
        shard = parse_tag(path.stem.removeprefix(f"{stem}-"))
        if shard is not None:
            found.append((path, shard))
    return sorted(found, key=lambda item: (item[1] is not None, item[1]))


def has_journal(output: Path) -> bool:
    """Whether a folder is one of results: a job or a shard wrote a journal in it."""
    folder = output / STATE_FOLDER
    return os.path.isdir(folder) and bool(list_journals(folder))  # noqa: PTH112  (as above)


def identify_journals(output: Path) -> tuple[tuple[str, int, int, int], ...]:
    """Name, inode, size and time of change of each journal: equal while none has changed."""
    found = []
    for path, _ in list_journals(output / STATE_FOLDER):
        with contextlib.suppress(OSError):
            status = path.stat()
            found.append((path.name, status.st_ino, status.st_size, status.st_mtime_ns))
    return tuple(found)
