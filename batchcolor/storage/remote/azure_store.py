"""Azure Blob Storage: listings page by page, reads of exactly the listed version.

Credentials and sessions are those of adlfs; requests are made through its client of azure-storage,
without the repetitions of that library, which wait for minutes.
"""

from __future__ import annotations

from collections.abc import Sequence
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

from fsspec.asyn import sync

from batchcolor.storage.remote.bucket_store import PAGE, BucketStore, Listed, is_folder_name
from batchcolor.storage.remote.store import (
    GuardedObject,
    RemoteObject,
    find_content_type,
    make_object,
)

CONFIGURATION: dict[str, Any] = {"retry_total": 0, "connection_timeout": 10, "read_timeout": 30}
"""Of each request."""


def make_options() -> dict[str, Any]:
    """Options of `adlfs.AzureBlobFileSystem`."""
    return {"use_listings_cache": False}


class AzureStore(BucketStore):
    """Blobs of Azure. Their tag is the ETag."""

    def list_page(
        self, bucket: str, prefix: str, token: str | None, size: int = PAGE
    ) -> tuple[Sequence[Listed], str | None]:
        """As `BucketStore.list_page`."""
        entries, following = sync(self.fs.loop, self._list_page, bucket, prefix, token, size)
        return [(it.name, None if _is_folder(it) else _describe(it)) for it in entries], following

    async def _list_page(
        self, container: str, prefix: str, token: str | None, size: int
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
                    return make_object(path, key.rpartition("/")[2], _describe(entry))
            except ResourceNotFoundError as error:
                if getattr(error, "error_code", "") == "ContainerNotFound":
                    raise
        prefix = f"{key.rstrip('/')}/" if key.strip("/") else ""
        entries, _ = await self._list_page(container, prefix, None, 1)
        if not entries and prefix:
            raise FileNotFoundError(path)
        return None

    async def download_whole(self, found: RemoteObject) -> bytes:
        """As `BucketStore.download_whole`."""
        return await self._read(found.path, found.tag, None)

    async def download(self, found: RemoteObject, target: Path) -> int:
        """As `BucketStore.download`."""
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
        from azure.storage.blob import ContentSettings

        settings = ContentSettings(content_type=find_content_type(path))
        async with self._open(path) as client:
            answer = await client.upload_blob(
                content,
                length=size,
                overwrite=True,
                content_settings=settings,
                **condition,
                **CONFIGURATION,
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


def _describe(entry: Any) -> dict[str, Any]:
    return {"size": entry.size, "etag": entry.etag, "last_modified": entry.last_modified}


def _is_folder(entry: Any) -> bool:
    """Whether a blob stands for a folder, as a hierarchical namespace and consoles make it."""
    values = {name.lower(): text for name, text in (entry.metadata or {}).items()}
    is_marked = "true" in (values.get("hdi_isfolder"), values.get("is_directory"))
    return is_marked or is_folder_name(entry.name, entry.size)


def _match(tag: str) -> dict[str, Any]:
    """The condition that a blob has this tag."""
    if not tag:
        return {}
    from azure.core import MatchConditions

    return {"etag": f'"{tag.strip(chr(34))}"', "match_condition": MatchConditions.IfNotModified}
