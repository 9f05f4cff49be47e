"""HTTP servers: single files, and folders whose page lists links."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from fsspec.asyn import sync

from batchcolor.storage.remote.errors import ChangedObjectError, IncompleteDownloadError
from batchcolor.storage.remote.store import CHANGED_TAG, RemoteObject, Store, make_object

CHUNK = 2**20
MAX_DEPTH = 20


def make_options() -> dict[str, Any]:
    """Options of `fsspec.implementations.http.HTTPFileSystem`."""
    import aiohttp

    timeout = aiohttp.ClientTimeout(total=None, sock_connect=10, sock_read=30)
    return {
        "use_listings_cache": False,
        "client_kwargs": {"timeout": timeout, "trust_env": True},
    }


class HttpStore(Store):
    """Files of HTTP servers, which are read only."""

    is_writable = lists_tags = False

    def list(self, base: str) -> Iterator[RemoteObject]:
        """Yields what the page of a folder links to below it. Sizes and tags are not known."""
        yield from self._list(f"{base.rstrip('/')}/", f"{base.rstrip('/')}/", {base}, 0)

    def _list(self, folder: str, base: str, seen: set[str], depth: int) -> Iterator[RemoteObject]:
        entries = self.retry.call(lambda: self.fs.ls(folder, detail=True))
        names = sorted(str(entry["name"]) for entry in entries)
        for url in names:
            is_below = url.startswith(folder) and url != folder and url not in seen
            if not is_below or urlsplit(url).query:
                continue
            seen.add(url)
            if not url.endswith("/"):
                yield RemoteObject(url, unquote(url.removeprefix(base)), None)
            elif depth < MAX_DEPTH:
                yield from self._list(url, base, seen, depth + 1)

    def stat(self, path: str) -> RemoteObject | None:
        """The file; None for a URL that ends with `/`. Raises aiohttp's errors with the status."""
        if urlsplit(path).path.endswith("/") or not urlsplit(path).path:
            return None
        headers = sync(self.fs.loop, self._read_headers, path)
        return make_object(path, unquote(urlsplit(path).path.rpartition("/")[2]), headers)

    async def _read_headers(self, path: str) -> dict[str, Any]:
        session = await self.fs.set_session()
        address = self.fs.encode_url(path)
        async with session.head(address, allow_redirects=True) as answer:
            if answer.status not in (400, 403, 405, 501):  # some servers refuse HEAD
                return self._read_answer(answer, path)
        async with session.get(address) as answer:
            return self._read_answer(answer, path)

    def _read_answer(self, answer: Any, path: str) -> dict[str, Any]:
        self.fs._raise_not_found_for_status(answer, path)
        info: dict[str, Any] = {
            name: answer.headers[name]
            for name in ("ETag", "Content-MD5", "Last-Modified")
            if name in answer.headers
        }
        length = answer.headers.get("Content-Length", "")
        is_plain = answer.headers.get("Content-Encoding", "identity") == "identity"
        info["size"] = int(length) if length.isdigit() and is_plain else None
        return info

    def fetch(self, found: RemoteObject, target: Path) -> None:
        """As `Store.fetch`, in one request."""
        sync(self.fs.loop, self._fetch, found, target)

    async def _fetch(self, found: RemoteObject, target: Path) -> None:
        session = await self.fs.set_session()
        async with session.get(self.fs.encode_url(found.path)) as answer:
            current = make_object(found.path, found.key, self._read_answer(answer, found.path))
            if found.tag and current.tag and current.tag != found.tag:
                raise ChangedObjectError(CHANGED_TAG)
            size = 0
            with target.open("wb") as file:
                async for chunk in answer.content.iter_chunked(CHUNK):
                    size += file.write(chunk)
        if current.size is not None and size != current.size:
            raise IncompleteDownloadError(f"{size} of {current.size} bytes arrived")
