"""RemoteOutput: results on remote storage.

A result is written to a local folder as every other one, then put as one object: it is there whole
or not at all. Its line in the journal has the size and the tag of the object, and is written when
the object is there. The local folder, in the user's cache, keeps the journal, the lock and the
segments of films; results leave it when they are put.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from batchcolor.errors import OutputError, ProcessingError, UsageError
from batchcolor.storage.journal import STATE_FOLDER, JournalEntry
from batchcolor.storage.locations import Url
from batchcolor.storage.mounts import Mount, add_mount
from batchcolor.storage.output_lock import read_place
from batchcolor.storage.remote.errors import StorageError, is_missing_bucket
from batchcolor.storage.remote.journal_copy import JournalCopies
from batchcolor.storage.remote.object_index import ObjectIndex
from batchcolor.storage.remote.open_store import OpenedUrl
from batchcolor.storage.remote.remote_lock import RemoteLock
from batchcolor.storage.remote.retry import Retry
from batchcolor.storage.remote.session import RemoteSession
from batchcolor.storage.remote.store import RemoteObject
from batchcolor.storage.remote.url_folder import find_url_folder
from batchcolor.storage.shard import Shard
from batchcolor.storage.user_cache import NoCacheFolderError

THREADS = 32
"""Results that are put at once."""
MAX_WAITING = 64
"""Results that wait or are being put; then those who write them wait."""
CHECK = "write-check"
"""An empty object that a node of a cluster writes before it gets work, and removes if it may."""
MAX_LATE = 1000
"""Results that the journal has and the listing has not, for which the storage is asked once more:
a listing may be late."""

Done = Callable[[RemoteObject], None]
Failed = Callable[[ProcessingError], None]


class RemoteOutput:
    """The output of one job on remote storage. Thread-safe after `open`."""

    def __init__(self, url: Url, session: RemoteSession, folder: Path | None = None) -> None:
        """`folder` is the local one of a process that has no journal; None: in the user's cache.

        Raises UsageError for a URL that cannot be written to.
        """
        self.url, self.session = url, session
        self.opened: OpenedUrl = session.open(url)
        self._store = self.opened.store
        if not self._store.is_writable:
            raise UsageError(f"{url.shown}: cannot be written; choose another --output")
        self._base = self.opened.path.rstrip("/")
        self.folder = folder or find_output_folder(url)
        add_mount(Mount(self.folder, url.shown))
        self.retry = Retry(session.retry.retries)
        """Not ended by a signal: results in flight are put first."""
        self._state = self.folder / STATE_FOLDER
        self._copies = JournalCopies(self._store, self._base, self._state, self.retry)
        self._lock = RemoteLock(self._store, self._base, url.shown, self.retry)
        self._index = ObjectIndex()
        self._late = 0
        self._pool = ThreadPoolExecutor(THREADS, "put")
        self._slots = threading.BoundedSemaphore(MAX_WAITING)
        self._idle = threading.Condition()
        self._pending = 0
        self._is_aborted = False
        self._lost: OutputError | None = None
        self._copying = threading.Lock()
        self.stop_job: Callable[[BaseException], None] = lambda error: None
        """Ends the job with an error of the storage, or of what is called when a result is put."""

    def open(self) -> None:
        """Lists what is there, and reads the journals. Raises OutputError."""
        state: list[RemoteObject] = []
        try:
            state.extend(self._index.add_results(self._store.list(self._base)))
        except StorageError as error:
            if error.kind != "missing" or is_missing_bucket(error):
                raise self._unreachable(error) from error
        try:
            self._copies.fetch(state)
        except StorageError as error:
            raise self._unreachable(error) from error
        except OSError as error:
            raise OutputError(f"{self.folder} cannot be written ({error.strerror})") from error

    def check(self) -> None:
        """Reads the names in the state folder and writes there, for a process that only puts
        results.

        Raises UsageError where the storage does not permit it.
        """
        self.session.ask(self.opened, self._read_first_name)
        path = f"{self._base}/{STATE_FOLDER}/{CHECK}"
        try:
            self.retry.call(lambda: self._store.write(b"", path))
        except StorageError as error:
            raise UsageError(f"{self.url.shown} cannot be written: {error}") from error
        with contextlib.suppress(Exception):  # many who may write may not delete
            self._store.delete(path)

    def _read_first_name(self) -> None:
        try:
            next(self._store.list(f"{self._base}/{STATE_FOLDER}"), None)
        except StorageError as error:
            if error.kind != "missing" or is_missing_bucket(error):
                raise

    def _unreachable(self, error: StorageError) -> OutputError:
        return OutputError(f"{self.url.shown} cannot be used: {error}")

    def remove_leftovers(self) -> None:
        """Removes results of earlier jobs that were never put: while no other job is running."""
        with contextlib.suppress(OSError):
            for path in self.folder.iterdir():
                if path.name != STATE_FOLDER:
                    shutil.rmtree(path) if path.is_dir() else path.unlink()

    # ---- the lock ------------------------------------------------------------------------

    @property
    def guard(self) -> RemoteOutput:
        """What keeps jobs of other computers away: this, for its journal."""
        return self

    def acquire(self, shard: Shard | None, *, is_locked: bool) -> list[str]:
        """As `OutputGuard.acquire`; then reads what another job has added to the journals."""
        self._lock.on_lost = self._stop_without_copies
        self._lock.acquire(shard, read_place(self._state) if is_locked else "")
        try:
            state = list(self._store.list(f"{self._base}/{STATE_FOLDER}"))
            self._copies.fetch(state)
        except StorageError as error:
            if error.kind != "missing":
                self._lock.release()
                raise self._unreachable(error) from error
        except BaseException:
            self._lock.release()
            raise
        return [self._lock.note] if self._lock.note else []

    def release(self) -> None:
        """Releases the lock."""
        self._lock.release()

    def _stop_without_copies(self, error: OutputError) -> None:
        """Ends the job: another one has the lock, and writes the journals."""
        self._is_aborted, self._lost = True, error
        self.stop_job(error)

    # ---- what is there -------------------------------------------------------------------

    def exists(self, target: Path, made: JournalEntry | None) -> bool:
        """Whether a result is there; `made` is its entry in the journal."""
        key = self._key(target)
        if key in self._index:
            return True
        if made is None or made.target != str(target.relative_to(self.folder)):
            return False
        self._late += 1
        if self._late > MAX_LATE:
            return False
        with contextlib.suppress(StorageError):
            found = self.retry.call(lambda: self._store.stat(self._path(key)))
            if found is not None:
                self._index.add(RemoteObject(found.path, key, found.size, tag=found.tag))
                return True
        return False

    def is_changed(self, target: Path, made: JournalEntry) -> bool:
        """Whether an object is not the one that was put."""
        if not made.result_size:
            return False
        return not self._index.has(self._key(target), made.result_size, made.result_tag)

    def describe_result(self, target: Path) -> str:
        """What a result is: changes with its object, empty where there is none."""
        return self._index.describe(self._key(target))

    def fetch_result(self, target: Path, local: Path) -> None:
        """Fetches a result. Raises ProcessingError."""
        path = self._path(self._key(target))
        try:
            self.retry.call(lambda: self._store.fetch(RemoteObject(path, "", None), local))
        except StorageError as error:
            raise ProcessingError("commit", f"its result cannot be read: {error}") from error

    def _key(self, target: Path) -> str:
        return target.relative_to(self.folder).as_posix()

    def _path(self, key: str) -> str:
        return f"{self._base}/{key}"

    # ---- putting results -----------------------------------------------------------------

    def put(self, files: Sequence[Path], journal: Path, done: Done, failed: Failed) -> None:
        """Puts the files of a result, the result itself last, and removes them here.

        Returns at once unless many wait. A thread calls `done` with the object of the result, or
        `failed`; whatever concerns all results ends the job.
        """
        self._slots.acquire()
        with self._idle:
            self._pending += 1
        self._pool.submit(self._put, files, journal, done, failed)

    def _put(self, files: Sequence[Path], journal: Path, done: Done, failed: Failed) -> None:
        try:
            if not self._is_aborted:
                self._put_all(files, done, failed)
                if self._lost is None and self._copying.acquire(blocking=False):
                    try:
                        self._copies.copy_sometimes(journal)
                    finally:
                        self._copying.release()
        except BaseException as error:
            self._is_aborted = True
            self.stop_job(error)
        finally:
            for path in files:
                with contextlib.suppress(OSError):
                    path.unlink(missing_ok=True)
            self._slots.release()
            with self._idle:
                self._pending -= 1
                self._idle.notify_all()

    def _put_all(self, files: Sequence[Path], done: Done, failed: Failed) -> None:
        found: RemoteObject | None = None
        for path in files:
            target = self._path(self._key(path))
            try:
                found = self.retry.call(
                    lambda path=path, target=target: self._store.put(path, target)  # type: ignore[misc]
                )
            except StorageError as error:
                if error.kind == "other":
                    failed(ProcessingError("commit", f"cannot be put: {error}"))
                    return
                raise OutputError(
                    f"{self.url.shown} cannot be written: {error}; "
                    f"correct the cause and run the same command again"
                ) from error
        assert found is not None
        key = self._key(files[-1])
        self._index.add(RemoteObject(found.path, key, found.size, tag=found.tag))
        done(found)

    def copy_journal(self, journal: Path) -> None:
        """Copies the journal if that is due: for a job whose workers put the results.

        Raises OutputError, also when another job has taken the lock.
        """
        if self._lost is not None:
            raise self._lost
        self._copies.copy_sometimes(journal)

    def wait(self, seconds: float) -> bool:
        """Whether everything is put, after at most so many seconds."""
        with self._idle:
            return self._idle.wait_for(lambda: self._pending == 0, seconds)

    def abort(self) -> None:
        """Drops what is not being put yet, and waits for the rest."""
        self._is_aborted = True
        with self._idle:
            self._idle.wait_for(lambda: self._pending == 0)

    def finish(self, journal: Path) -> None:
        """Copies the journal. Raises OutputError."""
        if self._lost is None:
            self._copies.copy_all(journal)
        self._remove_empty_folders()

    def _remove_empty_folders(self) -> None:
        for folder, _, _ in os.walk(self.folder, topdown=False):
            if STATE_FOLDER not in Path(folder).parts:
                with contextlib.suppress(OSError):
                    Path(folder).rmdir()

    def close(self) -> None:
        """Ends the threads."""
        self._pool.shutdown(wait=True, cancel_futures=True)


def find_output_folder(url: Url) -> Path:
    """The local folder of a remote output, in the user's cache. Raises UsageError."""
    try:
        return find_url_folder("outputs", url, url.rstrip("/").rpartition("/")[2] or "output")
    except NoCacheFolderError as error:
        raise UsageError(f"--output {url.shown} needs a local cache folder: {error}") from error
