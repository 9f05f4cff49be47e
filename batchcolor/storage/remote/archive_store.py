"""Archives: ZIP and tar files, local or fetched whole from where they are."""

from __future__ import annotations

import re
import shutil
import threading
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any, BinaryIO

from batchcolor.storage.remote.errors import StorageError
from batchcolor.storage.remote.store import RemoteObject, Store, make_object

CHUNK = 2**20
LEADING = re.compile(r"^(\./+)+")


class ArchiveStore(Store):
    """Members of an archive, in its own order. One thread reads at a time."""

    is_concurrent = False
    is_writable = False
    is_sorted = False

    def __init__(self, fs: Any, archive: Path) -> None:
        super().__init__(fs)
        self.archive = archive
        self._lock = threading.Lock()

    def list(self, base: str) -> Iterator[RemoteObject]:
        """Yields the members below a folder of the archive in the order in which they lie in it.

        Raises StorageError where there is none.
        """
        prefix = f"{base.strip('/')}/" if base.strip("/") else ""
        is_empty = True
        for name, (path, info) in self._entries.items():
            if info["type"] == "file" and name.startswith(prefix):
                is_empty = False
                yield self._make(path, name[len(prefix) :], info)
        if is_empty and prefix:
            raise StorageError("missing", "it does not exist")

    def stat(self, path: str) -> RemoteObject | None:
        """As `Store.stat`."""
        name = path.strip("/")
        if not name:
            return None
        if name not in self._entries:
            raise FileNotFoundError(name)
        member, info = self._entries[name]
        return self._make(member, name.rpartition("/")[2], info) if info["type"] == "file" else None

    @cached_property
    def _entries(self) -> dict[str, tuple[str, dict[str, Any]]]:
        """The path of each member and folder as fsspec takes it, and what is known of it, by its
        name. `tar -c .` puts `./` before all names."""
        self.fs._get_dirs()
        return {LEADING.sub("", path): (path, info) for path, info in self.fs.dir_cache.items()}

    def _make(self, path: str, key: str, info: dict[str, Any]) -> RemoteObject:
        found = make_object(path, key, info)
        if found.tag:
            return found
        return RemoteObject(path, key, found.size, found.mtime_ns, f"{found.mtime_ns}")

    def fetch(self, found: RemoteObject, target: Path) -> None:
        """As `Store.fetch`."""
        with self._lock, self._open(found.path) as reader, target.open("wb") as writer:
            shutil.copyfileobj(reader, writer, CHUNK)
        if found.size is not None and target.stat().st_size != found.size:
            raise OSError("the archive is damaged or incomplete")

    def read_head(self, found: RemoteObject, size: int) -> bytes:
        """As `Store.read_head`."""
        with self._lock, self._open(found.path) as reader:
            content: bytes = reader.read(size)
        return content

    def _open(self, path: str) -> BinaryIO:
        tar = getattr(self.fs, "tar", None)
        if tar is None:
            opened: BinaryIO = self.fs.open(path, "rb")
            return opened
        member = self._members.get(path)  # `TarFile.extractfile` searches all of them by name
        reader = None if member is None else tar.extractfile(member)
        if reader is None:
            raise OSError("it is no regular file")
        return reader  # type: ignore[no-any-return]

    @cached_property
    def _members(self) -> dict[str, Any]:
        return {re.sub("/+", "/", one.name.rstrip("/")): one for one in self.fs.tar.getmembers()}

    def close(self) -> None:
        """Closes the archive."""
        for name in ("zip", "tar"):
            if (opened := getattr(self.fs, name, None)) is not None:
                opened.close()
