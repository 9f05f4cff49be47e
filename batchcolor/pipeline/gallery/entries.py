"""The entries of a gallery, kept in `OUT/.batchcolor/gallery.jsonl` for the next run."""

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


def describe_state(source: Path, target: Path | None) -> str:
    """Sizes and times of change of source and result: equal while both are unchanged."""
    parts = []
    for path in (source, target):
        try:
            status = path.stat() if path else None
            parts.append(f"{status.st_size} {status.st_mtime_ns} {status.st_ino}" if status else "")
        except OSError:
            parts.append("")
    return "; ".join(parts)


def read_entries(output: Path) -> dict[str, GalleryEntry]:
    """Returns the entries of an output folder, by source; lines that are none are skipped."""
    entries: dict[str, GalleryEntry] = {}
    try:
        lines = (output / STATE_FOLDER / ENTRIES_NAME).read_bytes().splitlines()
    except OSError:
        return entries
    for line in lines:
        try:
            entry = GalleryEntry(**json.loads(line))
        except (ValueError, TypeError):
            continue
        entries[entry.source] = entry
    return entries


def write_entries(output: Path, entries: Iterable[GalleryEntry]) -> None:
    """Replaces the stored entries. Raises OutputError."""
    lines = b"".join(json.dumps(asdict(entry)).encode() + b"\n" for entry in entries)
    write_atomic(output / STATE_FOLDER / ENTRIES_NAME, lines)


def natural_key(name: str) -> list[tuple[int, int, str]]:
    """Sorts `scan 2` before `scan 10`; letter case is ignored."""
    parts = re.split(r"(\d+)", name.casefold())
    return [(0, int(p), "") if p.isdecimal() else (1, 0, p) for p in parts if p]
