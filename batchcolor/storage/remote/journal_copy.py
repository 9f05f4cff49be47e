"""Copies of the journals of a remote output: in its state folder there, and in the cache here.

A job appends to the local journal, line by line. The copy on remote storage is written whole from
time to time and at the end, as objects cannot be appended to; a job on another computer begins with
it.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from fnmatch import fnmatchcase
from pathlib import Path

from batchcolor.errors import OutputError
from batchcolor.storage.atomic import write_atomic
from batchcolor.storage.journal import DECISIONS_NAME, JOURNAL_NAME, STATE_FOLDER
from batchcolor.storage.remote.errors import StorageError
from batchcolor.storage.remote.retry import Retry
from batchcolor.storage.remote.store import RemoteObject, Store

SECONDS = 30.0
"""Between two copies while a job runs."""
GROWTH = 1.1
"""Factor by which a journal grows between two copies, so that copying stays a small part."""
MAX_MERGES = 8
"""Attempts to write a journal that others write as well; then its lines stay here."""
RECORDS = "progress*.json"
REWRITTEN = ("jobs.jsonl", "gallery.jsonl")
"""Files of lines that are replaced at the end of each job: the last job knows best."""
OTHER_STATE = (*REWRITTEN, DECISIONS_NAME, RECORDS)
"""What else of the state folder is kept on remote storage, as patterns of names."""


def is_journal(name: str) -> bool:
    """Whether a file of the state folder is a journal: of jobs without shards, or of a shard."""
    stem, _, ending = JOURNAL_NAME.partition(".")
    return name == JOURNAL_NAME or (name.startswith(f"{stem}-") and name.endswith(f".{ending}"))


def is_other_state(name: str) -> bool:
    """Whether another file of the state folder is kept on remote storage."""
    return any(fnmatchcase(name, pattern) for pattern in OTHER_STATE)


class ContentionError(StorageError):
    """A journal was written by others each time when this job tried to."""


class JournalCopies:
    """The state folder of one remote output."""

    def __init__(
        self,
        store: Store,
        base: str,
        folder: Path,
        retry: Retry,
        lock: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> None:
        """`base` is the path of the output in the store, `folder` the local state folder; `lock`
        is held while a local file is replaced to which other processes may append."""
        self._store, self._base, self._folder, self._retry = store, base, folder, retry
        self._lock = lock
        self._copied: dict[str, tuple[int, int]] = {}
        """Size and time of change of each file at its last copy."""
        self._tags: dict[str, str] = {}
        """The tag of each object when it was last read or written."""
        self._foreign: dict[str, bytes] = {}
        """Lines that each object had then, and the journal here has not."""
        self._next = time.monotonic() + SECONDS

    def fetch(self, objects: list[RemoteObject]) -> bool:
        """Adds the lines of the journals on remote storage to those here; whether one was read.

        Raises StorageError, OSError.
        """
        is_read = False
        for found in objects:
            name = found.key.rpartition("/")[2]
            if not is_journal(name) and not is_other_state(name):
                continue
            if found.tag and found.tag == self._tags.get(name):
                continue
            path = found.path
            content = self._retry.call(lambda path=path: self._store.read(path))  # type: ignore[misc]
            with self._lock():
                self._add(content, name)
            self._tags[name] = found.tag
            self._foreign.pop(name, None)
            is_read = True
        return is_read

    def _add(self, content: bytes, name: str) -> None:
        local = self._folder / name
        own = local.read_bytes() if local.is_file() else b""
        merged = _merge(content, own, name)
        if merged != own:
            self._folder.mkdir(parents=True, exist_ok=True)
            write_atomic(local, merged)

    def copy_sometimes(self, journal: Path) -> None:
        """Copies a journal that is due. Raises OutputError.

        One that others write at the same moment is left to the next copy.
        """
        if time.monotonic() < self._next:
            return
        size = _identify(journal)[0]
        if size > GROWTH * self._copied.get(journal.name, (0, 0))[0]:
            with self._translated(), suppress(ContentionError):
                self._copy(journal)
                if _find_record(journal).is_file():
                    self._copy(_find_record(journal))
        self._next = time.monotonic() + SECONDS

    def copy(self, path: Path) -> None:
        """Copies one file of lines, where it has changed. Raises OutputError."""
        if path.is_file() and _identify(path) != self._copied.get(path.name):
            with self._translated():
                self._copy(path)

    def exchange(self, path: Path) -> None:
        """Copies one file of lines, where it has changed, and adds what others have written there.

        Raises OutputError, OSError.
        """
        self.copy(path)
        others = self._foreign.get(path.name)
        if others:
            with self._lock():
                self._add(others, path.name)

    def copy_all(self, journal: Path) -> None:
        """Copies a journal and what else is kept, where it has changed. Raises OutputError."""
        others = sorted(
            path
            for path in self._folder.iterdir()
            if is_other_state(path.name)
            and (not _is_record(path.name) or path == _find_record(journal))
        )
        for path in (journal, *others):
            self.copy(path)

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except StorageError as error:
            raise OutputError(
                f"the journal cannot be written to the output: {error}; run the same command again"
            ) from error

    def _copy(self, path: Path) -> None:
        identity, content = _identify(path), path.read_bytes()
        target = f"{self._base.rstrip('/')}/{STATE_FOLDER}/{path.name}"
        if _is_record(path.name):
            written = self._retry.call(lambda: self._store.write(content, target))
        elif self._store.has_conditions:
            written = self._write_merged(path.name, content, target)
        else:
            written = self._read_and_write(path.name, content, target)
        self._copied[path.name] = identity
        self._tags[path.name] = written.tag

    def _write_merged(self, name: str, content: bytes, target: str) -> RemoteObject:
        """Writes a journal; where another job has written to it since, with the lines of both.

        Never without a condition where the storage has them: raises ContentionError where others
        write each time, and StorageError.
        """
        there, tag = self._foreign.get(name, b""), self._tags.get(name, "")
        for attempt in range(MAX_MERGES):
            merged = merge_lines(there, content)
            try:
                written = self._retry.call(lambda: self._store.write_if(merged, target, tag))  # noqa: B023
                self._foreign[name] = _find_foreign(there, content)
                return written
            except StorageError as error:
                if error.is_unsupported:
                    return self._read_and_write(name, content, target)
                if error.kind not in ("changed", "missing"):
                    raise
            if attempt:
                self._retry.wait(attempt - 1)
            try:
                found = self._retry.call(lambda: self._store.read_guarded(target))
                there, tag = found.content, found.tag
            except StorageError as error:
                if error.kind == "missing":
                    there, tag = b"", ""
                elif error.kind != "changed":  # then it is written without success, and read again
                    raise
        raise ContentionError("changed", "other jobs write it at the same moment")

    def _read_and_write(self, name: str, content: bytes, target: str) -> RemoteObject:
        """Writes a journal with the lines that are there, to storage without conditions."""
        try:
            there = self._retry.call(lambda: self._store.read(target))
        except StorageError as error:
            if error.kind != "missing":
                raise
            there = b""
        written = self._retry.call(lambda: self._store.write(merge_lines(there, content), target))
        self._foreign[name] = _find_foreign(there, content)
        return written


def _is_record(name: str) -> bool:
    """Whether a file states how far a job or shard is."""
    return fnmatchcase(name, RECORDS)


def _find_record(journal: Path) -> Path:
    """The record of the job or shard that writes a journal: those of others are not copied."""
    stem = RECORDS.partition("*")[0]
    return journal.with_name(stem + journal.stem.removeprefix(Path(JOURNAL_NAME).stem) + ".json")


def _merge(remote: bytes, local: bytes, name: str) -> bytes:
    """The content of a file of which both may have one: all lines, of records that of the later
    run."""
    if name in REWRITTEN:
        return merge_lines(local, remote)
    if not _is_record(name):
        return merge_lines(remote, local)
    return remote if _read_run(remote) > _read_run(local) else local


def _read_run(record: bytes) -> int:
    """The number of the run in a record; -1 where there is none."""
    try:
        run = json.loads(record)["run"]
    except (ValueError, TypeError, KeyError):
        return -1
    return run if isinstance(run, int) else -1


def _identify(path: Path) -> tuple[int, int]:
    """Size and time of change of a file; zeros where there is none."""
    try:
        status = path.stat()
    except OSError:
        return 0, 0
    return status.st_size, status.st_mtime_ns


def merge_lines(remote: bytes, local: bytes) -> bytes:
    """The lines of both, those that only the local one has behind the others.

    An incomplete last line is dropped: its picture is processed again.
    """
    there, own = _split_lines(remote), _split_lines(local)
    if not _subtract(there, own):
        return local
    return _join_lines(there + _subtract(own, there))


def _find_foreign(there: bytes, content: bytes) -> bytes:
    return _join_lines(_subtract(_split_lines(there), _split_lines(content)))


def _split_lines(content: bytes) -> list[bytes]:
    return [line for line in content.split(b"\n")[:-1] if line]


def _join_lines(lines: list[bytes]) -> bytes:
    return b"".join(line + b"\n" for line in lines)


def _subtract(lines: list[bytes], others: list[bytes]) -> list[bytes]:
    """The lines that the others have not, or not as often: a picture may fail twice and be coloured
    in between."""
    counts = Counter(others)
    found = []
    for line in lines:
        if counts[line]:
            counts[line] -= 1
        else:
            found.append(line)
    return found
