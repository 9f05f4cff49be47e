"""Checksums of results: measured when they are written, checked later against the journal."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from batchcolor.errors import UsageError
from batchcolor.storage.journal import STATE_FOLDER, Journal, JournalEntry, has_journal

State = Literal["intact", "changed", "missing", "unreadable", "no checksum"]
STATES: tuple[State, ...] = get_args(State)


@dataclass(frozen=True)
class Fixity:
    """sha256 in hex, and size in bytes; of a folder the digest of a listing of its files."""

    sha256: str
    size: int


@dataclass(frozen=True)
class CheckedResult:
    """A result in the journal and its present state."""

    path: Path
    state: State
    reason: str = ""

    @property
    def is_fault(self) -> bool:
        """Whether the result differs from what was written, or cannot be compared with it."""
        return self.state in ("changed", "missing", "unreadable")


def measure_bytes(data: bytes) -> Fixity:
    """Returns the fixity of the content of a file."""
    return Fixity(hashlib.sha256(data).hexdigest(), len(data))


def measure(path: Path) -> Fixity:
    """Returns the fixity of a file, or of a folder of frames. Raises OSError."""
    if not path.is_dir():
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            return Fixity(digest, file.tell())
    listing, size = hashlib.sha256(), 0
    for file_path in sorted(item for item in path.rglob("*") if item.is_file()):
        found = measure(file_path)
        name = os.fsencode(file_path.relative_to(path))
        listing.update(found.sha256.encode() + b"  " + name + b"\n")  # as sha256sum prints it
        size += found.size
    return Fixity(listing.hexdigest(), size)


def check_results(output: Path, threads: int) -> Iterator[CheckedResult]:
    """Yields the state of every result in the journal of an output folder, in its order.

    Raises UsageError for a folder without a journal.
    """
    journal = Journal(output, lock=False)
    if not has_journal(output):
        raise UsageError(
            f"{output}: not an output folder of batchcolor: it has no {STATE_FOLDER}/journal.jsonl"
        )
    with ThreadPoolExecutor(threads) as pool:
        yield from pool.map(lambda entry: _check(output, entry), journal.results())


def find_other_files(output: Path, results: Iterable[Path], suffixes: Sequence[str]) -> list[Path]:
    """Returns the files below an output folder that are no results, relative to it, sorted.

    `results` are relative, too. A file of a result's name with one of `suffixes` appended belongs
    to it, and so do all files in a result that is a folder.
    """
    known = set(results)
    known |= {path.with_name(path.name + suffix) for path in known for suffix in suffixes}
    found = []
    for folder, folders, files in os.walk(output):
        where = Path(folder).relative_to(output)
        folders[:] = [n for n in folders if n != STATE_FOLDER and where / n not in known]
        found += [where / name for name in files if where / name not in known]
    return sorted(found)


def _check(output: Path, entry: JournalEntry) -> CheckedResult:
    path = Path(entry.target)
    try:
        if not os.path.lexists(output / path):
            return CheckedResult(path, "missing")
        if not entry.result_sha256:
            return compare_fixity(entry, Fixity("", 0))
        found = measure(output / path)
    except OSError as error:
        return CheckedResult(path, "unreadable", error.strerror or str(error))
    return compare_fixity(entry, found)


def compare_fixity(entry: JournalEntry, found: Fixity) -> CheckedResult:
    """The state of a result that is `found` now."""
    path = Path(entry.target)
    if not entry.result_sha256:
        reason = "it was written by an earlier version of batchcolor"
        return CheckedResult(path, "no checksum", reason)
    if found == Fixity(entry.result_sha256, entry.result_size):
        return CheckedResult(path, "intact")
    if found.size != entry.result_size:
        reason = f"{found.size:,} bytes, {entry.result_size:,} were written"
        return CheckedResult(path, "changed", reason)
    return CheckedResult(path, "changed", "its sha256 differs from the one in the journal")
