"""RemoteLock: keeps jobs of several computers apart on one remote output.

The lock is an object in the state folder of the output. It is written on conditions that the
storage checks: that no such object is there, or that it is still the one that was read. The holder
renews it; its age is the difference of two times of the storage, so clocks of computers do not
matter. An empty object is a released lock. Storage without conditions has no such lock.
"""

from __future__ import annotations

import json
import os
import platform
import threading
import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

from batchcolor.errors import OutputError, OutputLockedError
from batchcolor.storage.journal_files import STATE_FOLDER
from batchcolor.storage.output_lock import describe_conflict
from batchcolor.storage.remote.errors import StorageError
from batchcolor.storage.remote.retry import Retry
from batchcolor.storage.remote.store import GuardedObject, RemoteObject, Store
from batchcolor.storage.shard import WHOLE, Shard, parse_tag

RENEWAL = 20.0
"""Seconds between two renewals."""
EXPIRY = 120.0
"""Seconds after the last renewal when another job takes the lock."""
SUFFIX = ".json"
LOCK_STEM, SHARD_PREFIX = "lock", "lock-"
MAX_ATTEMPTS = 10
"""To take a lock that others take and release at the same moment."""


@dataclass(frozen=True)
class Holder:
    """Who has a lock."""

    owner: str
    place: str
    host: str
    process: int
    since: str
    """Time of the holder's clock, to be shown."""

    def encode(self, renewals: int) -> bytes:
        """The content of the object, which differs with each renewal."""
        return json.dumps({**vars(self), "renewals": renewals}).encode()


class RemoteLock:
    """The lock of one job or shard. As a job holds the local lock as well, `acquire` first."""

    def __init__(self, store: Store, base: str, shown: str, retry: Retry) -> None:
        """`base` is the path of the output in the store, `shown` its URL in messages."""
        self._store, self._shown, self._retry = store, shown, retry
        self._folder = f"{base}/{STATE_FOLDER}"
        self.on_lost: Callable[[OutputError], None] = lambda error: None
        """Called from a thread when another job has taken the lock."""
        self.is_lost = False
        self.note = ""
        """What the user should know: the storage has no such lock."""
        self._tag = ""
        self._renewals = 0
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def acquire(self, shard: Shard | None, place: str) -> None:
        """Takes the lock. `place` identifies the local state folder, whose lock this job holds;
        empty where it has no lock.

        Raises OutputLockedError, OutputError.
        """
        if not self._store.has_conditions:
            return
        self._shard, self._place = shard, place
        self._path = self._path_of(shard)
        since = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
        self._holder = Holder(uuid.uuid4().hex, place, platform.node(), os.getpid(), since)
        try:
            if not self._take():
                return
            self._check_others()
        except StorageError as error:
            if self._tag:
                self._release()
            raise OutputError(f"{self._shown} cannot be locked: {error}") from error
        self._stop.clear()  # of an earlier round of the same job
        self._thread = threading.Thread(target=self._keep, name="lock", daemon=True)
        self._thread.start()

    def is_held(self, shard: Shard | None) -> bool:
        """Whether a job has the lock of a shard. Raises StorageError."""
        found = self._read(self._path_of(shard))
        return found is not None and bool(found.content) and found.age < EXPIRY

    def has_holder(self, objects: Iterable[RemoteObject]) -> bool:
        """Whether a job has one of the locks in a listing of the state folder.

        Raises StorageError.
        """
        for found in objects:
            name = found.key.rpartition("/")[2]
            if found.size and parse_lock_name(name) is not None:
                lock = self._read(f"{self._folder}/{name}")
                if lock is not None and lock.content and lock.age < EXPIRY:
                    return True
        return False

    def _path_of(self, shard: Shard | None) -> str:
        name = LOCK_STEM if shard is None else f"{SHARD_PREFIX}{shard.tag}"
        return f"{self._folder}/{name}{SUFFIX}"

    def _take(self) -> bool:
        """Writes the object; False where the storage does not refuse what it should."""
        for _ in range(MAX_ATTEMPTS):
            found = self._read(self._path)
            if found is not None and found.content and not self._is_free(found):
                raise self._refuse(self._shard or WHOLE, found)
            try:
                if self._write("" if found is None else found.tag):
                    break
            except StorageError as error:
                if error.is_unsupported:
                    return self._note_missing()
                raise
        else:
            raise StorageError("other", "others write the lock at the same moment")
        tag = self._tag
        if self._write(""):  # another one is not there: it must be refused
            self._retry.call(lambda: self._store.write(b"", self._path))
            return self._note_missing()
        self._tag = tag
        return True

    def _note_missing(self) -> bool:
        self.note = (
            f"{self._shown}: this storage has no conditional writes, so computers do not see each "
            f"other's jobs: run only one job on it at a time (--no-lock hides this note)"
        )
        return False

    def _read(self, path: str) -> GuardedObject | None:
        try:
            return self._retry.call(lambda: self._store.read_guarded(path))
        except StorageError as error:
            if error.kind == "missing":
                return None
            raise

    def _write(self, tag: str) -> bool:
        """Writes the object if it has this tag; whether it is that of this job then."""
        self._renewals += 1
        content = self._holder.encode(self._renewals)
        try:
            written = self._retry.call(lambda: self._store.write_if(content, self._path, tag))
        except StorageError as error:
            if error.kind not in ("changed", "missing"):
                raise
            found = self._read(self._path)  # an answer that was lost: it was written
            if found is None or found.content != content:
                return False
            self._tag = found.tag
            return True
        self._tag = written.tag
        return True

    def _is_free(self, found: GuardedObject) -> bool:
        """Whether the holder of a lock has ended."""
        if found.age >= EXPIRY:
            return True
        return bool(self._place) and _decode(found.content).place == self._place

    def _refuse(self, shard: Shard, found: GuardedObject) -> OutputLockedError:
        holder = _decode(found.content)
        left = max(1, round(EXPIRY - found.age))
        return OutputLockedError(
            f"{describe_conflict(self._shard, shard, self._shown)}. It runs on "
            f"{holder.host or 'a computer'} as process {holder.process}, since {holder.since}; if "
            f"it has been killed or lost, its lock ends in {left} seconds: run the same command "
            f"then"
        )

    def _check_others(self) -> None:
        """Raises OutputLockedError where another job that may have a source in common is running.

        This one has its lock already, so of two that start at once at least one sees the other.
        """
        own = self._shard or WHOLE
        for found in list(self._store.list(self._folder)):
            shard = parse_lock_name(found.key)
            path = f"{self._folder}/{found.key}"
            if shard is None or not found.size or path == self._path or not shard.overlaps(own):
                continue
            other = self._read(path)
            if other is not None and other.content and not self._is_free(other):
                self._release()
                raise self._refuse(shard, other)

    def _keep(self) -> None:
        """Renews the lock until it is released. Runs in a thread."""
        while not self._stop.wait(RENEWAL):
            try:
                if self._write(self._tag) or self._restore():
                    continue
            except StorageError:
                continue  # it may be reached again before the lock ends
            self.is_lost = True
            self.on_lost(
                OutputError(
                    f"another job has taken the lock of {self._shown}, as this one did not renew "
                    f"it for {EXPIRY:.0f} seconds; wait for it, then run the same command again"
                )
            )
            return

    def _restore(self) -> bool:
        """Writes the object again where it was removed."""
        return self._read(self._path) is None and self._write("")

    def release(self) -> None:
        """Releases the lock. May be called without `acquire`."""
        self._stop.set()
        if self._thread is None:
            return
        self._thread.join()
        self._thread = None
        if not self.is_lost:
            self._release()

    def _release(self) -> None:
        """Empties the object, unless another job has it."""
        try:
            self._retry.call(lambda: self._store.write_if(b"", self._path, self._tag))
        except StorageError:
            return  # it ends by itself


def parse_lock_name(name: str) -> Shard | None:
    """The shard whose lock is an object of this name; WHOLE: of jobs without shards; None: it is
    no lock."""
    if not (name.startswith(LOCK_STEM) and name.endswith(SUFFIX)):
        return None
    tag = name.removesuffix(SUFFIX).removeprefix(SHARD_PREFIX)
    return WHOLE if tag == LOCK_STEM else parse_tag(tag)


def _decode(content: bytes) -> Holder:
    """The holder in an object; empty where it has none."""
    try:
        values = json.loads(content)
        names = ("owner", "place", "host", "process", "since")
        return Holder(**{name: values[name] for name in names})
    except (ValueError, TypeError, KeyError):
        return Holder("", "", "", 0, "an unknown time")
