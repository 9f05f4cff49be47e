"""Store: listing, reading and writing objects of one file system of fsspec. Blocking, thread-safe.

Errors are those of fsspec and of the library below it; `retry.Retry` repeats and translates them.
"""

from __future__ import annotations

import contextlib
import mimetypes
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from batchcolor.storage.remote.errors import ChangedObjectError, IncompleteDownloadError
from batchcolor.storage.remote.retry import Retry

TAG_KEYS = (
    *("ETag", "etag", "generation", "md5Hash", "content_md5", "Content-MD5", "CRC"),
    *("Last-Modified", "LastModified", "last_modified", "updated", "mtime", "created", "chksum"),
)
"""What identifies the content of an object, in the listings of the file systems of fsspec; the
first that is there counts."""
TIME_KEYS = (
    *("LastModified", "last_modified", "updated", "mtime", "created", "Last-Modified", "date_time"),
)
CHANGED_TAG = "the tag differs"


@dataclass(frozen=True)
class RemoteObject:
    """One object of a listing."""

    path: str
    """As the file system takes it."""
    key: str
    """Below the folder that was listed, separated by `/`."""
    size: int | None
    mtime_ns: int = 0
    """In whole seconds, which every local file system keeps; 0 where it is not known."""
    tag: str = ""
    """Changes with the content; empty where the listing has none."""

    @property
    def is_identified(self) -> bool:
        """Whether a changed object can be distinguished from this one."""
        return self.size is not None and bool(self.tag)


@dataclass(frozen=True)
class GuardedObject:
    """The content of a small object that is written under conditions."""

    content: bytes
    tag: str
    age: float
    """Seconds since it was written; both times are those of the server."""


class Store:
    """One file system of fsspec, in the operations that every one of them has."""

    is_concurrent = True
    """Whether several threads may read at once."""
    is_writable = True
    has_conditions = False
    """Whether an object can be written on the condition that it is still the one that was read."""
    is_whole = False
    """Whether an object is listed only when all of it is there; else a listing may have a file that
    is being written."""
    is_sorted = True
    """Whether a listing has the files of a folder in the order of their names."""
    lists_tags = True
    """Whether a listing has the size and the tag of each object."""

    def __init__(self, fs: Any) -> None:
        self.fs = fs
        self.retry = Retry()
        """For listings, of which each page is a request."""

    def list(self, base: str) -> Iterator[RemoteObject]:
        """Yields the objects below a folder in a fixed order, one folder in memory at a time.

        Requests are repeated. Raises StorageError, also for a folder that does not exist.
        """
        yield from self._walk(base, base.rstrip("/"))

    def _walk(self, folder: str, base: str) -> Iterator[RemoteObject]:
        entries = self.retry.call(lambda: self.fs.ls(folder, detail=True, refresh=True))
        for info in sorted(entries, key=lambda entry: str(entry["name"])):
            path = str(info["name"])
            if path.rstrip("/") == folder.rstrip("/"):  # some list the folder itself
                continue
            if info.get("type") == "directory":
                yield from self._walk(path, base)
            else:
                yield make_object(path, path.removeprefix(base).lstrip("/"), info)

    def stat(self, path: str) -> RemoteObject | None:
        """The object of this path; None for a folder. Raises FileNotFoundError."""
        info = self.fs.info(path)
        if info.get("type") == "directory":
            return None
        return make_object(path, path.rpartition("/")[2], info)

    def has_object(self, path: str) -> bool:
        """Whether there is an object of this path."""
        try:
            return self.stat(path) is not None
        except FileNotFoundError:
            return False

    def fetch(self, found: RemoteObject, target: Path) -> None:
        """Writes an object to a local file, whole and of one version.

        Raises ChangedObjectError where it is not the one that was listed.
        """
        self.fs.get_file(found.path, str(target))
        size = target.stat().st_size
        if found.size is not None and size != found.size:
            current = self.stat(found.path)
            if current is not None and current.size == found.size:
                raise IncompleteDownloadError(f"{size} of {found.size} bytes arrived")
            raise ChangedObjectError("its size differs")
        self._check_tag(found)

    def _check_tag(self, found: RemoteObject) -> None:
        if not found.tag:
            return
        current = self.stat(found.path)
        if current is None or current.tag != found.tag:
            raise ChangedObjectError(CHANGED_TAG)

    def read_head(self, found: RemoteObject, size: int) -> bytes:
        """The first bytes of an object."""
        content: bytes = self.fs.cat_file(found.path, start=0, end=size)
        return content[:size]

    def read(self, path: str) -> bytes:
        """The content of a small object. Raises FileNotFoundError."""
        content: bytes = self.fs.cat_file(path)
        return content

    def put(self, source: Path, path: str) -> RemoteObject:
        """Writes a local file as an object, whole or not at all; returns what is there then."""
        self._make_parents(path)
        self.fs.put_file(str(source), path)
        self.fs.invalidate_cache(path)
        found = self.stat(path)
        size = source.stat().st_size
        if found is None or found.size not in (None, size):
            raise IncompleteDownloadError("the object does not have the size of the result")
        return found

    def write(self, content: bytes, path: str) -> RemoteObject:
        """Writes an object, whole or not at all; returns what is there then."""
        self._make_parents(path)
        self.fs.pipe_file(path, content)
        found = self.stat(path)
        assert found is not None
        return found

    def write_if(self, content: bytes, path: str, tag: str) -> RemoteObject:
        """Writes an object that must have this tag until then; empty: must not exist.

        Only of stores with `has_conditions`. Raises what `classify` calls "changed" where it is
        another one.
        """
        raise NotImplementedError

    def read_guarded(self, path: str) -> GuardedObject:
        """An object for `write_if`. Raises FileNotFoundError."""
        raise NotImplementedError

    def _make_parents(self, path: str) -> None:
        """Makes the folders of an object where the file system has folders."""
        parent = self.fs._parent(path)
        with contextlib.suppress(FileExistsError, NotImplementedError):
            self.fs.makedirs(parent, exist_ok=True)

    def delete(self, path: str) -> None:
        """Removes an object. Raises FileNotFoundError."""
        self.fs.rm_file(path)

    def close(self) -> None:
        """Frees what the store has open."""


def make_object(path: str, key: str, info: Mapping[str, Any]) -> RemoteObject:
    """The object that an entry of a listing describes."""
    size = info.get("size")
    return RemoteObject(path, key, None if size is None else int(size), read_time(info), tag(info))


def tag(info: Mapping[str, Any]) -> str:
    """What identifies the content of an object; empty where its file system has nothing."""
    for key in TAG_KEYS:
        if (value := info.get(key)) not in (None, "", b""):
            if isinstance(value, datetime):
                value = value.timestamp()
            if isinstance(value, bytes | bytearray):
                value = value.hex()
            return str(value).strip('"')
    return ""


def read_time(info: Mapping[str, Any]) -> int:
    """When an object was changed, in nanoseconds; 0 where it is not known."""
    for key in TIME_KEYS:
        value = info.get(key)
        if isinstance(value, tuple) and len(value) == 6:  # of a ZIP member
            with contextlib.suppress(ValueError, OverflowError, OSError):
                return int(datetime(*value).timestamp()) * 10**9
        if isinstance(value, datetime):
            return int(value.timestamp()) * 10**9
        if isinstance(value, int | float) and value > 0:
            return int(value) * 10**9
        if isinstance(value, str) and (seconds := _parse_time(value)) is not None:
            return seconds * 10**9
    return 0


def _parse_time(text: str) -> int | None:
    from email.utils import parsedate_to_datetime

    for parse in (datetime.fromisoformat, parsedate_to_datetime):
        with contextlib.suppress(ValueError, TypeError, IndexError, OverflowError):
            return int(parse(text).timestamp())
    return None


def find_content_type(path: str) -> str:
    """The type by the suffix of an object, with which browsers and consoles show it."""
    return mimetypes.guess_type(path)[0] or "application/octet-stream"


def set_time(path: Path, mtime_ns: int) -> None:
    """Gives a fetched file the time of its object: 0 where that is not known."""
    os.utime(path, ns=(mtime_ns, mtime_ns))
