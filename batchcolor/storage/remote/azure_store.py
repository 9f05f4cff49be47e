"""Azure Blob Storage: listings page by page, reads of exactly the listed version.

Credentials and sessions are those of adlfs; requests are made through its client of azure-storage,
without the repetitions of that library, which wait for minutes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

from fsspec.asyn import sync

from batchcolor.storage.remote.errors import IncompleteDownloadError, StorageError
from batchcolor.storage.remote.store import GuardedObject, RemoteObject, Store, make_object

PAGE = 1000
"""Objects in a page of a listing."""
CONFIGURATION: dict[str, Any] = {"retry_total": 0, "connection_timeout": 10, "read_timeout": 30}
"""Of each request."""


def make_options() -> dict[str, Any]:
    """Options of `adlfs.AzureBlobFileSystem`."""
    return {"use_listings_cache": False}


class AzureStore(Store):
    """Blobs of Azure. Their tag is the ETag."""

    has_conditions = True

    def list(self, base: str) -> Iterator[RemoteObject]:
        """As `Store.list`, in the order of the names, one page in memory."""
        container, prefix, _ = self.fs.split_path(base)
        prefix = f"{prefix.rstrip('/')}/" if prefix.strip("/") else ""
        token, is_empty = None, True
        while True:
            entries, token = self.retry.call(
                lambda: sync(self.fs.loop, self._list_page, container, prefix, token)  # noqa: B023
            )
            for entry in entries:
                is_empty = False
                if not _is_folder(entry):
                    name = entry.name
                    yield _make(f"{container}/{name}", name[len(prefix) :], entry)
            if not token:
                break
        if is_empty and prefix:
            raise StorageError("missing", "it does not exist")

    async def _list_page(
        self, container: str, prefix: str, token: str | None, size: int = PAGE
    ) -> tuple[Sequence[Any], str | None]:
        async with self.fs.service_client.get_container_client(container) as client:
            listing = client.list_blobs(
                name_starts_with=prefix or None,
                include=["metadata"],
                results_per_page=size,
                **CONFIGURATION,
            )
            pages = listing.by_page(token)
            entries = [entry async for entry in await anext(pages)]
            return entries, pages.continuation_token

    def stat(self, path: str) -> RemoteObject | None:
        """As `Store.stat`."""
        return sync(self.fs.loop, self._stat, path)  # type: ignore[no-any-return]

    async def _stat(self, path: str) -> RemoteObject | None:
        container, key, _ = self.fs.split_path(path)
        from azure.core.exceptions import ResourceNotFoundError

        if key.strip("/"):
            try:
                async with self._open(path) as client:
                    entry = await client.get_blob_properties(**CONFIGURATION)
                if not _is_folder(entry):
                    return _make(path, key.rpartition("/")[2], entry)
            except ResourceNotFoundError as error:
                if getattr(error, "error_code", "") == "ContainerNotFound":
                    raise
        prefix = f"{key.rstrip('/')}/" if key.strip("/") else ""
        entries, _ = await self._list_page(container, prefix, None, 1)
        if not entries and prefix:
            raise FileNotFoundError(path)
        return None

    def fetch(self, found: RemoteObject, target: Path) -> None:
        """As `Store.fetch`: every request is refused for another version."""
        size = sync(self.fs.loop, self._fetch, found, target)
        if found.size is not None and size != found.size:
            raise IncompleteDownloadError(f"{size} of {found.size} bytes arrived")

    async def _fetch(self, found: RemoteObject, target: Path) -> int:
        async with self._open(found.path) as client:
            stream = await client.download_blob(**_match(found.tag), **CONFIGURATION)
            with target.open("wb") as file:
                return int(await stream.readinto(file))

    def read_head(self, found: RemoteObject, size: int) -> bytes:
        """As `Store.read_head`."""
        if found.size == 0:
            return b""
        return sync(self.fs.loop, self._read, found.path, found.tag, size)[:size]  # type: ignore[no-any-return]

    def read(self, path: str) -> bytes:
        """As `Store.read`."""
        return sync(self.fs.loop, self._read, path, "", None)  # type: ignore[no-any-return]

    async def _read(self, path: str, tag: str, size: int | None) -> bytes:
        part = {} if size is None else {"offset": 0, "length": size}
        async with self._open(path) as client:
            stream = await client.download_blob(**part, **_match(tag), **CONFIGURATION)
            content: bytes = await stream.readall()
            return content

    def put(self, source: Path, path: str) -> RemoteObject:
        """As `Store.put`: one request, or blocks that are committed together."""
        return sync(self.fs.loop, self._put, source, path)  # type: ignore[no-any-return]

    async def _put(self, source: Path, path: str) -> RemoteObject:
        with source.open("rb") as file:
            return await self._upload(file, source.stat().st_size, path, {})

    async def _upload(
        self, content: Any, size: int, path: str, condition: dict[str, Any]
    ) -> RemoteObject:
        async with self._open(path) as client:
            answer = await client.upload_blob(
                content, length=size, overwrite=True, **condition, **CONFIGURATION
            )
        info = {"size": size, "etag": answer["etag"], "last_modified": answer["last_modified"]}
        return make_object(path, path.rpartition("/")[2], info)

    def write(self, content: bytes, path: str) -> RemoteObject:
        """As `Store.write`."""
        return sync(self.fs.loop, self._upload, content, len(content), path, {})  # type: ignore[no-any-return]

    def write_if(self, content: bytes, path: str, tag: str) -> RemoteObject:
        """As `Store.write_if`."""
        from azure.core import MatchConditions

        condition = _match(tag) or {"match_condition": MatchConditions.IfMissing}
        return sync(self.fs.loop, self._upload, content, len(content), path, condition)  # type: ignore[no-any-return]

    def read_guarded(self, path: str) -> GuardedObject:
        """As `Store.read_guarded`."""
        return sync(self.fs.loop, self._read_guarded, path)  # type: ignore[no-any-return]

    async def _read_guarded(self, path: str) -> GuardedObject:
        headers: dict[str, str] = {}

        def keep_headers(answer: Any) -> None:
            headers.update(answer.http_response.headers)

        async with self._open(path) as client:
            stream = await client.download_blob(raw_response_hook=keep_headers, **CONFIGURATION)
            content = await stream.readall()
        now = parsedate_to_datetime(headers["Date"])
        age = (now - stream.properties.last_modified).total_seconds()
        return GuardedObject(content, stream.properties.etag.strip('"'), age)

    def delete(self, path: str) -> None:
        """As `Store.delete`."""
        sync(self.fs.loop, self._delete, path)

    async def _delete(self, path: str) -> None:
        async with self._open(path) as client:
            await client.delete_blob(**CONFIGURATION)

    def _open(self, path: str) -> Any:
        container, key, _ = self.fs.split_path(path)
        return self.fs.service_client.get_blob_client(container, key)


def _make(path: str, key: str, entry: Any) -> RemoteObject:
    info = {"size": entry.size, "etag": entry.etag, "last_modified": entry.last_modified}
    return make_object(path, key, info)


def _is_folder(entry: Any) -> bool:
    """Whether a blob stands for a folder, as a hierarchical namespace and consoles make it."""
    values = {name.lower(): text for name, text in (entry.metadata or {}).items()}
    is_marked = "true" in (values.get("hdi_isfolder"), values.get("is_directory"))
    return is_marked or (entry.name.endswith("/") and entry.size == 0)


def _match(tag: str) -> dict[str, Any]:
    """The condition that a blob has this tag."""
    if not tag:
        return {}
    from azure.core import MatchConditions

    return {"etag": f'"{tag.strip(chr(34))}"', "match_condition": MatchConditions.IfNotModified}
