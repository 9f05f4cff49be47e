"""The journal of an output folder: one line for each file, from which a job resumes."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import threading
from collections.abc import Collection, Iterator
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Protocol

from batchcolor.errors import OutputError
from batchcolor.storage import atomic
from batchcolor.storage.access import denied_access_error
from batchcolor.storage.journal_entry import (
    RESULTS,
    JournalEntry,
    absolute_source,
    head_tail_digest,
    parse_entry,
)
from batchcolor.storage.journal_files import (
    DECISIONS_NAME,
    JOURNAL_NAME,
    STATE_FOLDER,
    has_journal,
    identify_journals,
    journal_path,
    list_journals,
)
from batchcolor.storage.json_lines import read_json_lines
from batchcolor.storage.output_lock import OutputLock
from batchcolor.storage.shard import Shard

__all__ = [
    "DECISIONS_NAME",
    "JOURNAL_NAME",
    "RESULTS",
    "STATE_FOLDER",
    "Journal",
    "JournalEntry",
    "absolute_source",
    "has_journal",
    "head_tail_digest",
    "identify_journals",
    "journal_path",
    "list_journals",
]


class OutputGuard(Protocol):
    """The lock of an output on storage that other computers write to as well."""

    def acquire(self, shard: Shard | None, *, is_locked: bool) -> list[str]:
        """Takes the lock; `is_locked`: the local state folder is locked. Returns notes.

        Raises OutputLockedError, OutputError.
        """

    def release(self) -> None:
        """Releases the lock."""


class Journal:
    """The journal of one output folder, locked while it is open for writing.

    It reads the journals of all shards and of jobs without shards, and appends to its own.

    As a context manager it opens the folder if it exists, and for a shard in any case. A new folder
    is made by `open`, which the job calls before its first result; entries of failures wait for it.
    A folder that this job made and that holds no result at the end is removed, except by a shard.
    """

    def __init__(
        self,
        output: Path,
        *,
        lock: bool = True,
        shard: Shard | None = None,
        guard: OutputGuard | None = None,
    ) -> None:
        """`guard` locks an output that is not only on this computer, after the local lock."""
        self.output, self.shard = output, shard
        self.folder = output / STATE_FOLDER
        self.path = journal_path(output, shard)
        self._waiting: list[JournalEntry] = []
        self._created: list[Path] = []
        """Folders that this job made, the innermost first."""
        self._file: BinaryIO | None = None
        self._opening = threading.Lock()
        self._has_results = False
        self.start_size = 0
        """Size of the own journal in bytes when it was opened."""
        self.notes: list[str] = []
        """What the user should know of the folder."""
        self._lock = OutputLock(self.folder, shard) if lock else None
        self._guard = guard if lock else None
        self._identity: tuple[tuple[str, int, int, int], ...] | None = None
        self._read()

    def _read(self) -> None:
        """Reads all journals, unless none has changed since the last time."""
        identity = identify_journals(self.output)
        if identity == self._identity:
            return
        self._identity = identity
        self._entries: dict[str, JournalEntry] = {}
        self._owners: dict[str, str] = {}
        self._results: dict[str, JournalEntry] = {}
        """The last success of each target: a failure afterwards leaves the result as it is."""
        self._damaged: dict[Path, int] = {}
        """Lines that are none, by journal."""
        self.run = 0
        """The number of the last run that wrote to any of the journals."""
        journals = list_journals(self.folder)
        entries = [entry for path, _ in journals for entry in self._read_entries(path)]
        if len(journals) > 1:
            entries.sort(key=lambda entry: entry.run)
        for entry in entries:
            self._remember(entry)
        self.run = max((entry.run for entry in entries), default=0)

    def _read_entries(self, path: Path) -> Iterator[JournalEntry]:
        for values in read_json_lines(path):
            entry = None if values is None else parse_entry(values)
            if entry is None:
                self._damaged[path] = self._damaged.get(path, 0) + 1
            else:
                yield entry

    def _remember(self, entry: JournalEntry) -> None:
        self._entries[entry.source] = entry
        self._owners[entry.target.casefold()] = entry.source
        if entry.outcome in RESULTS:
            self._results[entry.target.casefold()] = entry

    def __enter__(self) -> Journal:
        if self.shard is not None or self.folder.is_dir():
            self.open()
        else:
            self._check_creatable()
        return self

    def open(self) -> None:
        """Makes the output folder where it is missing, and locks it. May be called repeatedly.

        Raises OutputError where it cannot be written, OutputLockedError where another job writes
        to it that may have a source in common.
        """
        with self._opening:
            if self._file is not None:
                return
            try:
                self._make_folder()
                self._acquire()
                self._read()  # entries that another job appended before this one had the lock
                self.run += self.shard is not None or self.run > 0
                self._note_damage()
                file = self.path.open("ab")
                if file.tell() and not self._ends_with_newline():
                    file.write(b"\n")
            except OSError as error:
                raise self._unwritable(error) from error
            self._file, self.start_size = file, file.tell()
            atomic.claim_folder(self.output, self.shard)

    def _make_folder(self) -> None:
        folders = (self.folder, *self.folder.parents)
        self._created = [folder for folder in folders if not folder.exists()]
        self.folder.mkdir(parents=True, exist_ok=True)

    def _check_creatable(self) -> None:
        """Raises OutputError where the folder cannot be made: before any picture is coloured."""
        try:
            parent = next(folder for folder in self.folder.parents if folder.exists())
            if not os.access(parent, os.W_OK | os.X_OK):
                raise denied_access_error(parent)
        except OSError as error:
            raise self._unwritable(error) from error

    def _unwritable(self, error: OSError) -> OutputError:
        return OutputError(f"{self.output} cannot be written ({error.strerror})")

    def _acquire(self) -> None:
        """Locks the folder. Where its file system has no locks, continues without one."""
        self._acquire_local()
        if self._guard is None:
            return
        try:
            self.notes += self._guard.acquire(self.shard, is_locked=self._lock is not None)
        except BaseException:
            if self._lock is not None:
                self._lock.release()
            raise

    def _acquire_local(self) -> None:
        if self._lock is not None and not self._lock.acquire():
            self._lock = None
            what = "run only one job on it at a time" if self.shard is None else "run a shard once"
            self.notes.append(
                f"{self.output} is on a file system without locks: {what} (--no-lock hides this "
                f"note)"
            )

    def _note_damage(self) -> None:
        for path, count in self._damaged.items():
            lines = "1 line is" if count == 1 else f"{count} lines are"
            self.notes.append(
                f"{path}: {lines} damaged and ignored; results that they recorded are kept, and "
                f"count as made by another program"
            )

    def _ends_with_newline(self) -> bool:
        with self.path.open("rb") as file:
            file.seek(-1, os.SEEK_END)
            return file.read(1) == b"\n"

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._file is None:
            return
        is_empty = not self.is_kept
        if not is_empty:
            self._write_waiting()
        self._file.close()
        atomic.release_folder(self.output, self.shard)
        if is_empty:
            self._remove_created()
        if self._guard is not None:
            self._guard.release()
        if self._lock is not None:
            self._lock.release()

    def _remove_created(self) -> None:
        """Removes the folders that this job made, unless they hold results or segments of films."""
        with contextlib.suppress(OSError):
            self._films.rmdir()
        if self._films.exists():
            return
        with contextlib.suppress(OSError):
            self.path.unlink()
            OutputLock(self.folder, self.shard).remove()
            for folder in self._created:
                folder.rmdir()

    @property
    def is_open(self) -> bool:
        """Whether the folder is made and locked."""
        return self._file is not None

    @property
    def is_kept(self) -> bool:
        """Whether the folder stays at the end: it was there before, a result is in it, or shards
        share it."""
        return self._has_results or not self._created or self.shard is not None

    @property
    def uses_lock(self) -> bool:
        """Whether a lock keeps other jobs from writing to the folder."""
        return self._lock is not None

    @property
    def _films(self) -> Path:
        return self.folder / "films"

    def film_folder(self, source: str) -> Path:
        """The folder of a film's segments; `source` is its absolute path."""
        return self._films / hashlib.sha256(os.fsencode(source)).hexdigest()[:16]

    def find(self, path: Path, size: int, mtime_ns: int) -> JournalEntry | None:
        """The entry of this file; None where there is none or the file has changed since."""
        entry = self._entries.get(absolute_source(path))
        if entry is None or (entry.size, entry.mtime_ns) != (size, mtime_ns):
            return None
        return entry if entry.edges == head_tail_digest(path) else None

    def find_target(self, path: Path) -> JournalEntry | None:
        """The last entry of this source, whatever the file is now."""
        return self._entries.get(absolute_source(path))

    def find_result(self, target: Path) -> JournalEntry | None:
        """The entry of the result that was last written under this name, relative to the output
        folder; entries of later failures do not hide it."""
        return self._results.get(str(target).casefold())

    def previous_target(self, path: Path) -> str | None:
        """The target of this source in an earlier job, relative to the output folder."""
        entry = self._entries.get(absolute_source(path))
        return entry.target if entry and entry.target else None

    def results(self) -> list[JournalEntry]:
        """The entry of every result, in the order in which their names were first recorded."""
        return list(self._results.values())

    def latest(self) -> list[JournalEntry]:
        """The last entry of every source, in the order in which sources were first recorded."""
        return list(self._entries.values())

    def has_target(self, relative: Path) -> bool:
        """Whether a result is recorded under this name, or below it where it is a folder."""
        name = str(relative).casefold()
        below = f"{name}{os.sep}"
        return name in self._owners or any(target.startswith(below) for target in self._owners)

    def owner(self, target: str) -> str | None:
        """The source whose result this target is; letter case is ignored."""
        return self._owners.get(target.casefold())

    def append(self, entry: JournalEntry) -> None:
        """Writes one line and flushes it; a failure before the first result waits for `open`.

        Raises OutputError. Call it from one thread at a time.
        """
        self.extend((entry,))

    def extend(self, entries: Collection[JournalEntry]) -> None:
        """Writes a line for each entry, as `append` does, and flushes them together."""
        self._waiting += entries
        self._has_results |= any(entry.outcome in RESULTS for entry in entries)
        if self._file is None and all(entry.outcome in ("failed", "skipped") for entry in entries):
            return
        self.open()
        self._write_waiting()

    def _write_waiting(self) -> None:
        assert self._file is not None
        entries, self._waiting = self._waiting, []
        run = {"run": self.run} if self.run else {}
        lines = [json.dumps({**entry.as_values(), **run}) + "\n" for entry in entries]
        try:
            self._file.write("".join(lines).encode())
            self._file.flush()
        except OSError as error:
            raise OutputError(
                f"the journal {self.path} cannot be written ({error.strerror}); "
                f"correct the cause and run the same command again"
            ) from error
