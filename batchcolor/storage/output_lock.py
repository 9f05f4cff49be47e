"""Locks of an output folder: one job, or several shards of one that have no source in common."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from pathlib import Path

from filelock import BaseFileLock, Timeout

from batchcolor.errors import OutputLockedError
from batchcolor.storage.folder_lock import is_lockable, make_lock
from batchcolor.storage.mounts import name_of
from batchcolor.storage.shard import WHOLE, Shard, parse_tag

LOCK_NAME, SHARD_PREFIX = "lock", "lock-"
START_NAME = "start.lock"
"""Held for a moment by a process that looks for the locks of others and takes its own."""
PLACE_NAME = "place"
"""Identifies the folder: a lock on remote storage of the same place was held by a job that has
ended."""
LOCK_SECONDS = 2.0
"""How long a job waits for another one that is just ending."""
START_SECONDS = 60.0
"""How long a job waits while others start: hundreds of shards may start at once."""
CHECK_SECONDS = 1.0
"""After which a job looks whether the file system has locks at all."""
PAUSE = 0.05


class OutputLock:
    """The lock of one job or shard on the state folder of its output.

    The system releases it when the process ends.
    """

    def __init__(self, folder: Path, shard: Shard | None) -> None:
        self._folder, self._shard = folder, shard
        self.path = folder / (LOCK_NAME if shard is None else SHARD_PREFIX + shard.tag)
        self._own = make_lock(self.path)
        self._start = make_lock(folder / START_NAME)

    def acquire(self) -> bool:
        """Takes the lock. False where the file system has no locks.

        Raises OutputLockedError where a job is running that may have a source in common.
        """
        began = time.monotonic()
        while True:
            try:
                with self._start.acquire(timeout=CHECK_SECONDS):
                    holder = self.find_holder()
                    if holder is None:
                        self._own.acquire(timeout=0)
                        return True
            except Timeout:  # others start, or the file system refuses each lock as held
                if not is_lockable(self._folder):
                    return False
                if time.monotonic() < began + START_SECONDS:
                    continue
                holder = self._shard or WHOLE
            except (NotImplementedError, OSError):
                if not is_lockable(self._folder):
                    return False
                raise
            if time.monotonic() > began + LOCK_SECONDS:
                output = name_of(self._folder.parent)
                raise OutputLockedError(describe_conflict(self._shard, holder, output))
            time.sleep(PAUSE)

    def release(self) -> None:
        """Releases the lock."""
        self._own.release()

    def remove(self) -> None:
        """Removes the files of the lock, which stays held: for a folder that is removed."""
        self.path.unlink(missing_ok=True)
        for name in (START_NAME, PLACE_NAME):
            (self._folder / name).unlink(missing_ok=True)

    def find_holder(self) -> Shard | None:
        """A running job that may have a source in common; WHOLE: one without shards.

        Raises OSError, NotImplementedError where the file system has no locks.
        """
        own = self._shard or WHOLE
        for path, shard in self._list_locks():
            if shard.overlaps(own) and _is_held(make_lock(path)):
                return shard
        return None

    def _list_locks(self) -> Iterator[tuple[Path, Shard]]:
        yield self._folder / LOCK_NAME, WHOLE
        for path in sorted(self._folder.glob(f"{SHARD_PREFIX}*")):
            shard = parse_tag(path.name.removeprefix(SHARD_PREFIX))
            if shard is not None:
                yield path, shard


def describe_conflict(own: Shard | None, holder: Shard, output: str) -> str:
    """Why a job or shard cannot be started, and what to do."""
    if own is None and holder == WHOLE:
        return f"another job is writing to {output}; wait for it, or choose another --output"
    if own is None:
        return (
            f"shard {holder} of another job is writing to {output}; wait for all shards, or "
            f"choose another --output"
        )
    if holder == own:
        return f"shard {holder} is running on {output} already; wait for it to end"
    if holder == WHOLE:
        return (
            f"a job without --shard is writing to {output}; wait for it, or choose another --output"
        )
    return (
        f"shard {holder} is writing to {output} and has sources in common with shard "
        f"{own}; wait for it, or give all shards one N"
    )


def _is_held(lock: BaseFileLock) -> bool:
    """Whether another process has a lock. Raises OSError, NotImplementedError."""
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return True
    lock.release()
    return False


def read_place(folder: Path) -> str:
    """What identifies a local state folder: a random text in it, made when it is needed first."""
    path = folder / PLACE_NAME
    try:
        text = path.read_text()
    except OSError:
        text = ""
    if not text:
        text = uuid.uuid4().hex
        path.write_text(text)
    return text
