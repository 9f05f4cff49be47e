"""The entries of a gallery, kept in `OUT/.batchcolor/gallery*.jsonl` for the next run."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from batchcolor.storage.atomic import write_atomic
from batchcolor.storage.journal import STATE_FOLDER
from batchcolor.storage.json_lines import read_json_lines
from batchcolor.storage.shard import Shard

ENTRIES_NAME = "gallery.jsonl"


@dataclass(frozen=True)
class GalleryEntry:
    """One result. `name` is its path below the output folder; sizes are those of the page.

    `source` is the absolute path of its source, which identifies the entry and is not shown.
    """

    source: str
    name: str
    state: str
    """State of source and result when the pictures of the entry were made."""
    kind: str = "coloured"
    """coloured, copied or failed."""
    is_film: bool = False
    width: int = 0
    height: int = 0
    reason: str = ""

    @property
    def key(self) -> str:
        """Beginning of the names of the entry's files."""
        return hashlib.sha256(os.fsencode(self.name)).hexdigest()[:16]

    @property
    def files(self) -> tuple[str, ...]:
        """Paths in the gallery."""
        if self.kind == "failed":
            return ()
        names = [f"thumbs/{self.key}.jpg", f"pictures/{self.key}-after.jpg"]
        return (*names, f"pictures/{self.key}-before.jpg") if self.kind == "coloured" else (*names,)


SEPARATOR = "; "
"""Between the state of a source and that of its result."""


def describe_file(path: Path) -> str:
    """Size and time of change of a file: equal while it is unchanged; empty where there is none."""
    try:
        status = path.stat()
    except OSError:
        return ""
    return f"{status.st_size} {status.st_mtime_ns} {status.st_ino}"


def entries_path(output: Path, shard: Shard | None = None) -> Path:
    """The file of the entries of a job without shards, or of a shard."""
    path = output / STATE_FOLDER / ENTRIES_NAME
    return path if shard is None else shard.name_file(path)


def list_entries_of_shards(output: Path) -> list[Path]:
    """The files of the entries of shards."""
    stem, _, ending = ENTRIES_NAME.partition(".")
    return sorted((output / STATE_FOLDER).glob(f"{stem}-*-of-*.{ending}"))


def read_entries(output: Path) -> dict[str, GalleryEntry]:
    """Returns the entries of an output folder and of all shards, by source.

    Where several shards have an entry of a source, the one of its present result counts.
    """
    entries: dict[str, GalleryEntry] = {}
    for path in [entries_path(output), *list_entries_of_shards(output)]:
        for source, entry in read_entries_of(path).items():
            former = entries.get(source)
            if former is None or not _is_present(output, former):
                entries[source] = entry
    return entries


def read_entries_of(path: Path) -> dict[str, GalleryEntry]:
    """Returns the entries in one file, by source; lines that are none are skipped."""
    entries: dict[str, GalleryEntry] = {}
    for values in read_json_lines(path):
        try:
            entry = GalleryEntry(**(values or {}))
        except TypeError:
            continue
        entries[entry.source] = entry
    return entries


def _is_present(output: Path, entry: GalleryEntry) -> bool:
    target = "" if entry.kind == "failed" else describe_file(output / entry.name)
    return entry.state.rpartition(SEPARATOR)[2] == target


def write_entries(path: Path, entries: Iterable[GalleryEntry]) -> None:
    """Replaces the stored entries. Raises OutputError."""
    write_atomic(path, b"".join(json.dumps(asdict(entry)).encode() + b"\n" for entry in entries))


def natural_key(name: str) -> list[tuple[int, int, str]]:
    """Sorts `scan 2` before `scan 10`; letter case is ignored."""
    parts = re.split(r"(\d+)", name.casefold())
    return [(0, int(p), "") if p.isdecimal() else (1, 0, p) for p in parts if p]
