"""Stores of objects in buckets, which are listed page by page in the order of their names."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

from fsspec.asyn import sync

from batchcolor.storage.remote.errors import IncompleteDownloadError, StorageError
from batchcolor.storage.remote.store import RemoteObject, Store, make_object

PAGE = 1000
"""Objects in a page of a listing."""
MAX_WHOLE = 2 * 2**20
"""Bytes of an object that is received whole and then written by the thread that asked for it: the
one that makes all requests would wait for the disk, and for the interpreter after each write."""
Listed: TypeAlias = tuple[str, Mapping[str, Any] | None]
"""Name in the bucket, and what the listing states; None for an object that stands for a folder."""


class BucketStore(Store):
    """Base of the stores that make their requests themselves."""

    has_conditions = True
    is_whole = True

    def list(self, base: str) -> Iterator[RemoteObject]:
        """As `Store.list`, in the order of the names, one page in memory."""
        bucket, prefix, _ = self.fs.split_path(base)
        prefix = f"{prefix.rstrip('/')}/" if prefix.strip("/") else ""
        token: str | None = None
        is_empty = True
        while True:
            entries, token = self.retry.call(partial(self.list_page, bucket, prefix, token))
            for name, info in entries:
                is_empty = False
                if info is not None:
                    yield make_object(f"{bucket}/{name}", name[len(prefix) :], info)
            if not token:
                break
        if is_empty and prefix:
            raise StorageError("missing", "it does not exist")

    def list_page(
        self, bucket: str, prefix: str, token: str | None, size: int = PAGE
    ) -> tuple[Sequence[Listed], str | None]:
        """Returns the entries of a page, and the token of the next one, if there is one."""
        raise NotImplementedError

    def fetch(self, found: RemoteObject, target: Path) -> None:
        """As `Store.fetch`: every request is refused for another version."""
        if found.size is not None and found.size <= MAX_WHOLE:
            content: bytes = sync(self.fs.loop, self.download_whole, found)
            size = len(content)
            target.write_bytes(content)
        else:
            size = sync(self.fs.loop, self.download, found, target)
        if found.size is not None and size != found.size:
            raise IncompleteDownloadError(f"{size} of {found.size} bytes arrived")

    async def download_whole(self, found: RemoteObject) -> bytes:
        """Returns the content of a small object."""
        raise NotImplementedError

    async def download(self, found: RemoteObject, target: Path) -> int:
        """Writes an object to a local file. Returns its size in bytes."""
        raise NotImplementedError


def is_folder_name(name: str, size: int) -> bool:
    """Whether an object stands for a folder, as the consoles of the services make it."""
    return name.endswith("/") and size == 0
