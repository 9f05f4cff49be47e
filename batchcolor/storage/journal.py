"""The journal of an output folder: one line for each file, from which a job resumes."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType

from filelock import BaseFileLock, FileLock, Timeout

from batchcolor.errors import OutputError, UsageError

STATE_FOLDER = ".batchcolor"
"""The folder in an output folder that holds the journal; such folders are not coloured again."""
EDGE = 64 * 1024
"""Bytes at both ends of a file that identify it: quick also for a scan of a gigabyte."""
LOCK_SECONDS = 2.0


@dataclass(frozen=True)
class JournalEntry:
    """One line. `target` is relative to the output folder; `outcome` is done or failed."""

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


def head_tail_digest(path: Path) -> str:
    """sha256 of the first and last 64 KiB of a file; of a folder, of its listing.

    Empty where it cannot be read.
    """
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


class Journal:
    """The journal of one output folder, locked while it is open for writing."""

    def __init__(self, output: Path, *, lock: bool = True) -> None:
        self.output = output
        self.folder = output / STATE_FOLDER
        self.path = self.folder / "journal.jsonl"
        self._entries: dict[str, JournalEntry] = {}
        self._owners: dict[str, str] = {}
        self.notes: list[str] = []
        """What the user should know of the folder."""
        self._lock = _make_lock(self.folder / "lock") if lock else None
        self._read()

    def _read(self) -> None:
        try:
            lines = self.path.read_bytes().split(b"\n")
        except OSError:
            return
        for line in lines:
            try:
                values = json.loads(line)
                entry = JournalEntry(**{**values, "notes": tuple(values.get("notes", ()))})
            except (ValueError, TypeError):
                continue  # an incomplete line after a kill; its picture is processed again
            self._remember(entry)

    def _remember(self, entry: JournalEntry) -> None:
        self._entries[entry.source] = entry
        self._owners[entry.target.casefold()] = entry.source

    def __enter__(self) -> Journal:
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._acquire()
            self._read()  # what another job wrote while this one waited
            self._file = self.path.open("ab")
            if self._file.tell() and not self._ends_whole():
                self._file.write(b"\n")
        except OSError as error:
            raise OutputError(f"{self.output} cannot be written ({error.strerror})") from error
        return self

    def _acquire(self) -> None:
        """Lock the folder. Where its file system has no locks, continue without one."""
        if self._lock is None:
            return
        try:
            self._lock.acquire(timeout=LOCK_SECONDS)
        except (Timeout, NotImplementedError, OSError) as error:
            if is_lockable(self.folder):
                raise UsageError(
                    f"another job is writing to {self.output}; wait for it, or choose another "
                    f"--output"
                ) from error
            self._lock = None
            self.notes.append(
                f"{self.output} is on a file system without locks: run only one job on it at a "
                f"time (--no-lock hides this note)"
            )

    def _ends_whole(self) -> bool:
        with self.path.open("rb") as file:
            file.seek(-1, os.SEEK_END)
            return file.read(1) == b"\n"

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.close()
        if self._lock is not None:
            self._lock.release()

    def find(self, path: Path, size: int, mtime_ns: int) -> JournalEntry | None:
        """The entry of this file; None where there is none or the file has changed since."""
        entry = self._entries.get(absolute_source(path))
        if entry is None or (entry.size, entry.mtime_ns) != (size, mtime_ns):
            return None
        return entry if entry.edges == head_tail_digest(path) else None

    def former_target(self, path: Path) -> str | None:
        """The target of this source in an earlier job, relative to the output folder."""
        entry = self._entries.get(absolute_source(path))
        return entry.target if entry and entry.target else None

    def owner(self, target: str) -> str | None:
        """The source whose result this target is; letter case is ignored."""
        return self._owners.get(target.casefold())

    def append(self, entry: JournalEntry) -> None:
        """Write one line, flushed. Raises OutputError. Call it from one thread at a time."""
        try:
            self._file.write(json.dumps(asdict(entry)).encode() + b"\n")
            self._file.flush()
        except OSError as error:
            raise OutputError(
                f"the journal {self.path} cannot be written ({error.strerror}); "
                f"put it right and run the same command again"
            ) from error


def _make_lock(path: Path) -> BaseFileLock:
    """A lock that the system releases when its process ends: never a lock file that stays."""
    return FileLock(path, fallback_to_soft=False)


def is_lockable(folder: Path) -> bool:
    """Whether the file system of a folder has locks: a new file in it can be locked."""
    try:
        with tempfile.TemporaryDirectory(prefix=".lock-", dir=folder) as trial:
            _make_lock(Path(trial) / "lock").acquire(timeout=0).lock.release()
    except (Timeout, NotImplementedError, OSError):
        return False
    return True


def absolute_source(path: Path) -> str:
    """A source's absolute path as in the journal; undecodable bytes are kept as surrogates."""
    return os.path.abspath(path)  # noqa: PTH100  (links are not resolved: the name is the user's)
