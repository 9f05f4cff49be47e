"""FetchedFiles: local copies of objects that are looked at, fetched when they are needed."""

from __future__ import annotations

import contextlib
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from batchcolor.errors import LIMITS, ProcessingError
from batchcolor.storage.remote.errors import StorageError
from batchcolor.storage.remote.session import RemoteSession, describe_lack_of_space
from batchcolor.storage.remote.store import RemoteObject, Store, set_time

KEPT_BYTES = 512 * 2**20
"""Of copies that are not being read; the ones that were used last are kept."""
THREADS = 8
"""Objects that are fetched at once."""

FindObject = Callable[[bool], tuple[Store, RemoteObject]]
"""Finds an object and its store; with True as it is now, else as far as is known. Raises
StorageError, BatchcolorError."""


@dataclass
class _Copy:
    """The copy of one object; its lock is held while it is fetched."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    version: str = ""
    """Of what is here; empty: nothing is."""
    size: int = 0
    users: int = 0


class FetchedFiles:
    """Copies of objects in the temporary folder of a session. Thread-safe."""

    def __init__(self, session: RemoteSession, kept_bytes: int = KEPT_BYTES) -> None:
        self._session, self._kept_bytes = session, kept_bytes
        self._copies: OrderedDict[Path, _Copy] = OrderedDict()
        self._lock = threading.Lock()
        self._slots = threading.BoundedSemaphore(THREADS)

    @contextmanager
    def open(self, path: Path, version: str, find: FindObject) -> Iterator[Path]:
        """Holds the copy of an object at `path`; fetches it unless one of this version is there.

        Raises ProcessingError, also where it does not fit into the temporary space.
        """
        with self._lock:
            copy = self._copies.setdefault(path, _Copy())
            self._copies.move_to_end(path)
            copy.users += 1
        try:
            with copy.lock:
                if copy.version != version or not path.exists():
                    self._fetch(path, copy, find)
                    copy.version = version
            yield path
        finally:
            with self._lock:
                copy.users -= 1
                self._trim()

    def _fetch(self, path: Path, copy: _Copy, find: FindObject) -> None:
        with self._slots:
            try:
                try:
                    self._fetch_object(path, copy, *find(False))
                except StorageError as error:
                    if error.kind != "changed":
                        raise
                    self._fetch_object(path, copy, *find(True))
            except StorageError as error:
                self._drop(path, copy)
                raise ProcessingError("scan", f"cannot be fetched: {error}") from error
            except OSError as error:
                self._drop(path, copy)
                reason = error.strerror or str(error)
                raise ProcessingError("scan", f"no local copy of it: {reason}") from error

    def _fetch_object(self, path: Path, copy: _Copy, store: Store, found: RemoteObject) -> None:
        self._reserve(copy, found.size or 0)
        path.parent.mkdir(parents=True, exist_ok=True)
        incomplete = path.with_name(f"{threading.get_ident()}.part")
        try:
            self._session.retry.call(lambda: store.fetch(found, incomplete))
            set_time(incomplete, found.mtime_ns)
            incomplete.replace(path)
        finally:
            incomplete.unlink(missing_ok=True)

    def _reserve(self, copy: _Copy, size: int) -> None:
        """Reserves the bytes of a copy; makes room first."""
        space = self._session.space
        if size > space.limit:
            raise ProcessingError(LIMITS, describe_lack_of_space(size, space.limit))
        space.release(copy.size)
        copy.size = 0
        with self._lock:
            for old_path, old in self._list_unused():
                if space.has_room(size):
                    break
                self._remove(old_path, old)
        if not space.acquire(size, self._session.stop):
            raise ProcessingError("scan", "the review has ended")
        copy.size = size

    def _drop(self, path: Path, copy: _Copy) -> None:
        path.unlink(missing_ok=True)
        self._session.space.release(copy.size)
        copy.size, copy.version = 0, ""

    def _trim(self) -> None:
        """Removes the copies that were not used for longest, until the others fit."""
        unused = self._list_unused()
        size = sum(copy.size for _, copy in unused)
        for path, copy in unused:
            if size > self._kept_bytes or not copy.version:
                size -= copy.size
                self._remove(path, copy)

    def _list_unused(self) -> list[tuple[Path, _Copy]]:
        return [(path, copy) for path, copy in self._copies.items() if not copy.users]

    def _remove(self, path: Path, copy: _Copy) -> None:
        with contextlib.suppress(OSError):
            self._drop(path, copy)
        del self._copies[path]
