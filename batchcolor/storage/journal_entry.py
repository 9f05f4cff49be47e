"""JournalEntry: what one line of a journal states of a source and its result."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from batchcolor.storage.mounts import find_mount, find_tag

EDGE = 64 * 1024
"""Bytes at both ends of a file that identify it: quick also for a scan of a gigabyte."""
RESULTS = frozenset({"done", "copied"})
"""Outcomes that leave a file under the target's name."""


@dataclass(frozen=True)
class JournalEntry:
    """One line. `target` is relative to the output folder; `outcome` is done, copied (the
    source was in colour), skipped (in colour as well) or failed."""

    source: str
    size: int
    mtime_ns: int
    edges: str
    settings: str
    weights: str
    target: str
    outcome: str
    step: str = ""
    reason: str = ""
    notes: tuple[str, ...] = ()
    result_sha256: str = ""
    result_size: int = 0
    """Of the result; empty where an earlier version of batchcolor wrote it."""
    result_tag: str = ""
    """Of the object of a result on remote storage: its ETag or what its storage has instead."""
    decision: str = ""
    """Digest of the decision that was applied; empty where none changes the result."""
    doubt: float | None = None
    """How unsure the model was, see docs/decisions.md; None where it is not known."""
    run: int = 0
    """Number of the run that wrote it, above those of all earlier ones: entries of several journals
    have an order that does not depend on clocks. 0 where there are no shards."""

    def as_values(self) -> dict[str, Any]:
        """The JSON object of its line, without what is not known."""
        return {
            key: value
            for key, value in vars(self).items()
            if key not in OPTIONAL or value != OPTIONAL[key]
        }


OPTIONAL = {"result_tag": "", "decision": "", "doubt": None, "run": 0}
"""Keys that a line has only where their value is another one."""


def head_tail_digest(path: Path) -> str:
    """sha256 of the first and last 64 KiB of a file; of a folder, of its listing.

    Of a file that stands for a remote object, its tag. Empty where it cannot be read.
    """
    if (tag := find_tag(path)) is not None:
        return tag
    try:
        if path.is_dir():
            return _listed(path)
        with path.open("rb") as file:
            digest = hashlib.sha256(file.read(EDGE))
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - EDGE))
            digest.update(file.read(EDGE))
        return digest.hexdigest()
    except OSError:
        return ""


def _listed(folder: Path) -> str:
    """A folder's names, sizes and times of change: those of its numbered frames are a film's."""
    digest = hashlib.sha256()
    for entry in sorted(os.scandir(folder), key=lambda entry: entry.name):
        status = entry.stat()
        digest.update(
            os.fsencode(entry.name) + f"\0{status.st_size} {status.st_mtime_ns}\n".encode()
        )
    return digest.hexdigest()


def parse_entry(values: dict[str, Any]) -> JournalEntry | None:
    """The entry of a line; None where it is none."""
    try:
        entry = JournalEntry(**{**values, "notes": tuple(values.get("notes", ()))})
    except TypeError:
        return None
    texts = (entry.source, entry.target, entry.outcome)
    return entry if all(isinstance(text, str) for text in texts) and _is_number(entry.run) else None


def _is_number(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def absolute_source(path: Path) -> str:
    """A source's absolute path, or its URL, as in the journal.

    Undecodable bytes are kept as surrogates.
    """
    absolute = os.path.abspath(path)  # noqa: PTH100  (links are not resolved: the name is the user's)
    mount = find_mount(absolute)
    return absolute if mount is None else mount.find_url(absolute)
