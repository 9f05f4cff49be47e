"""Google Cloud Storage: listings page by page, reads of exactly the listed generation.

Credentials and sessions are those of gcsfs; requests are made here, because those of gcsfs repeat
failures for minutes themselves and list a whole bucket into memory.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

from fsspec.asyn import sync

from batchcolor.storage.remote.bucket_store import PAGE, BucketStore, Listed, is_folder_name
from batchcolor.storage.remote.errors import (
    ChangedObjectError,
    HttpStatusError,
    IncompleteDownloadError,
)
from batchcolor.storage.remote.store import (
    GuardedObject,
    RemoteObject,
    find_content_type,
    make_object,
)

CHUNK = 2**20
PART = 64 * 2**20
"""Files from twice this size are written in parts, and appear when the last one is there."""
BOUNDARY = "batchcolor-7d1f0e5c4b3a"
NO_BUCKET = "NoSuchBucket"
MAX_READS = 5
FIELDS = "items(name,size,generation,updated),nextPageToken"


def make_options() -> dict[str, Any]:
    """Options of `gcsfs.GCSFileSystem`."""
    return {"use_listings_cache": False}


class GcsStore(BucketStore):
    """Objects of Google Cloud Storage. Their tag is the generation."""

    def list_page(
        self, bucket: str, prefix: str, token: str | None, size: int = PAGE
    ) -> tuple[Sequence[Listed], str | None]:
        """As `BucketStore.list_page`."""
        url = f"{self.fs.base}b/{quote(bucket, safe='')}/o"
        values = {"prefix": prefix or None, "pageToken": token, "maxResults": size}
        try:
            _, content = self._request("GET", url, {**values, "fields": FIELDS})
        except FileNotFoundError as error:
            raise FileNotFoundError(NO_BUCKET) from error
        page = json.loads(content)
        return [_read_entry(entry) for entry in page.get("items", ())], page.get("nextPageToken")

    def stat(self, path: str) -> RemoteObject | None:
        """As `Store.stat`."""
        bucket, key, _ = self.fs.split_path(path)
        if key.strip("/"):
            try:
                _, content = self._request("GET", self._url(path))
                return _make(path, key.rpartition("/")[2], json.loads(content))
            except FileNotFoundError:
                pass
        prefix = f"{key.rstrip('/')}/" if key.strip("/") else ""
        if prefix and not self.list_page(bucket, prefix, None, 1)[0]:
            raise FileNotFoundError(path)
        return None

    async def download_whole(self, found: RemoteObject) -> bytes:
        """As `BucketStore.download_whole`."""
        async with await self._open("GET", self._url(found.path), _media(found)) as answer:
            await _check(answer, found.path)
            content: bytes = await answer.read()
        return content

    async def download(self, found: RemoteObject, target: Path) -> int:
        """As `BucketStore.download`: one request."""
        size = 0
        async with await self._open("GET", self._url(found.path), _media(found)) as answer:
            await _check(answer, found.path)
            with target.open("wb") as file:
                async for chunk in answer.content.iter_chunked(CHUNK):
                    size += file.write(chunk)
        return size

    def read_head(self, found: RemoteObject, size: int) -> bytes:
        """As `Store.read_head`."""
        if found.size == 0:
            return b""
        headers = {"Range": f"bytes=0-{size - 1}"}
        _, content = self._request("GET", self._url(found.path), _media(found), headers)
        return content[:size]

    def read(self, path: str) -> bytes:
        """As `Store.read`."""
        return self._request("GET", self._url(path), {"alt": "media"})[1]

    def put(self, source: Path, path: str) -> RemoteObject:
        """As `Store.put`: one request, whose answer has the generation, or parts."""
        size = source.stat().st_size
        if size < 2 * PART:
            return self.write(source.read_bytes(), path)
        self.fs.put_file(str(source), path, chunksize=PART)
        found = self.stat(path)
        if found is None or found.size != size:
            raise IncompleteDownloadError("the object does not have the size of the result")
        return found

    def write(self, content: bytes, path: str) -> RemoteObject:
        """As `Store.write`."""
        return self._upload(content, path, {})

    def _upload(self, content: bytes, path: str, values: Mapping[str, Any]) -> RemoteObject:
        bucket, key, _ = self.fs.split_path(path)
        head = (
            f"--{BOUNDARY}\r\nContent-Type: application/json; charset=UTF-8\r\n\r\n"
            f"{json.dumps({'name': key})}\r\n--{BOUNDARY}\r\n"
            f"Content-Type: {find_content_type(key)}\r\n\r\n"
        )
        body = b"".join((head.encode(), content, f"\r\n--{BOUNDARY}--\r\n".encode()))
        url = f"{self.fs._location}/upload/storage/v1/b/{quote(bucket, safe='')}/o"
        headers = {"Content-Type": f"multipart/related; boundary={BOUNDARY}"}
        _, answer = self._request("POST", url, {"uploadType": "multipart", **values}, headers, body)
        found = _make(path, key.rpartition("/")[2], json.loads(answer))
        if found.size != len(content):
            raise IncompleteDownloadError("the object does not have the size of the result")
        return found

    def write_if(self, content: bytes, path: str, tag: str) -> RemoteObject:
        """As `Store.write_if`."""
        return self._upload(content, path, {"ifGenerationMatch": tag or "0"})

    def read_guarded(self, path: str) -> GuardedObject:
        """As `Store.read_guarded`: an object that is written between the requests is read again.

        One that is written each time is there all the same: `Retry` reads it after a wait.
        """
        for _ in range(MAX_READS):
            try:
                return self._read_once(path)
            except ChangedObjectError:
                continue
        raise IncompleteDownloadError("it is written again and again by another program")

    def _read_once(self, path: str) -> GuardedObject:
        headers, described = self._request("GET", self._url(path))
        found = _make(path, "", json.loads(described))
        now = parsedate_to_datetime(headers["Date"]).timestamp()
        _, content = self._request("GET", self._url(path), _media(found))
        return GuardedObject(content, found.tag, now - found.mtime_ns / 1e9)

    def delete(self, path: str) -> None:
        """As `Store.delete`."""
        self._request("DELETE", self._url(path))

    def _url(self, path: str) -> str:
        bucket, key, _ = self.fs.split_path(path)
        return f"{self.fs.base}b/{quote(bucket, safe='')}/o/{quote(key, safe='')}"

    def _request(
        self,
        method: str,
        url: str,
        values: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
    ) -> tuple[Mapping[str, str], bytes]:
        """The headers and the content of an answer. Raises HttpStatusError, FileNotFoundError."""

        async def ask() -> tuple[Mapping[str, str], bytes]:
            async with await self._open(method, url, values or {}, headers, body) as answer:
                await _check(answer, url)
                return answer.headers, await answer.read()

        result: tuple[Mapping[str, str], bytes] = sync(self.fs.loop, ask)
        return result

    async def _open(
        self,
        method: str,
        url: str,
        values: Mapping[str, Any],
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
    ) -> Any:
        import aiohttp
        from yarl import URL

        session = await self.fs._set_session()
        return session.request(
            method,
            URL(url, encoded=True),
            params=self.fs._get_params(dict(values)),
            headers=self.fs._get_headers(dict(headers or {})),
            data=body,
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=10, sock_read=30),
        )


def _read_entry(entry: Mapping[str, Any]) -> Listed:
    name = entry["name"]
    return name, None if is_folder_name(name, int(entry.get("size", 0))) else _describe(entry)


def _make(path: str, key: str, entry: Mapping[str, Any]) -> RemoteObject:
    return make_object(path, key, _describe(entry))


def _describe(entry: Mapping[str, Any]) -> dict[str, Any]:
    return {name: entry.get(name) for name in ("size", "generation", "updated")}


def _media(found: RemoteObject) -> dict[str, str]:
    """Asks for the content of the generation that was listed."""
    return {"alt": "media", **({"ifGenerationMatch": found.tag} if found.tag else {})}


async def _check(answer: Any, name: str) -> None:
    """Raises what the status of an answer means."""
    if answer.status < 400:
        return
    content = await answer.read()
    if answer.status == 404:
        is_bucket = b"bucket does not exist" in content or answer.method == "POST"
        raise FileNotFoundError(NO_BUCKET if is_bucket else name)
    if answer.status == 412:
        raise ChangedObjectError("another generation")
    try:
        text = str(json.loads(content)["error"]["message"])
    except (ValueError, KeyError, TypeError):
        text = answer.reason or ""
    raise HttpStatusError(answer.status, text)
