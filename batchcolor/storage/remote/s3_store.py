"""S3 and what is compatible with it: listings page by page, reads of exactly the listed version."""

from __future__ import annotations

from collections.abc import Iterator
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

import fsspec.config
from fsspec.asyn import sync

from batchcolor.storage.remote.errors import IncompleteDownloadError, StorageError
from batchcolor.storage.remote.store import GuardedObject, RemoteObject, Store, make_object

CHUNK = 2**20
PART = 64 * 2**20
"""Files from twice this size are written in parts, and appear when the last one is there."""
CONFIGURATION: dict[str, Any] = {
    "retries": {"max_attempts": 0},  # `retry.Retry` repeats, with waits that a job can stop
    "connect_timeout": 10,
    "read_timeout": 30,
    "max_pool_connections": 64,
    # Checksums beside those of TLS cost a third of a request, and many compatible servers lack
    # them; sizes are compared.
    "request_checksum_calculation": "when_required",
    "response_checksum_validation": "when_required",
}
"""Of botocore, where the configuration of fsspec does not state it."""


def make_options() -> dict[str, Any]:
    """Options of `s3fs.S3FileSystem`."""
    given = fsspec.config.conf.get("s3", {}).get("config_kwargs", {})
    return {"use_listings_cache": False, "config_kwargs": {**CONFIGURATION, **given}}


class S3Store(Store):
    """Objects of S3."""

    has_conditions = True

    def list(self, base: str) -> Iterator[RemoteObject]:
        """As `Store.list`, in the order of the keys, one page of 1,000 objects in memory."""
        bucket, prefix, _ = self.fs.split_path(base)
        prefix = f"{prefix.rstrip('/')}/" if prefix.strip("/") else ""
        arguments = {"Bucket": bucket, "Prefix": prefix, **self.fs.req_kw}
        is_empty = True
        while True:
            page = self.retry.call(lambda: self.fs.call_s3("list_objects_v2", **arguments))
            for entry in page.get("Contents", ()):
                is_empty = False
                name, size = entry["Key"], entry["Size"]
                if name.endswith("/") and size == 0:  # a folder, as consoles make it
                    continue
                info = {**entry, "size": size}
                yield make_object(f"{bucket}/{name}", name[len(prefix) :], info)
            if not page.get("IsTruncated"):
                break
            arguments["ContinuationToken"] = page["NextContinuationToken"]
        if is_empty and prefix:
            raise StorageError("missing", "it does not exist")

    def has_object(self, path: str) -> bool:
        """As `Store.has_object`, without a listing, which `stat` asks for where there is none."""
        bucket, key, _ = self.fs.split_path(path)
        try:
            self.fs.call_s3("head_object", Bucket=bucket, Key=key)
        except FileNotFoundError:
            return False
        return True

    def fetch(self, found: RemoteObject, target: Path) -> None:
        """As `Store.fetch`: one request, which the server refuses for another version."""
        size = sync(self.fs.loop, self._fetch, found, target)
        if found.size is not None and size != found.size:
            raise IncompleteDownloadError(f"{size} of {found.size} bytes arrived")

    async def _fetch(self, found: RemoteObject, target: Path) -> int:
        bucket, key, _ = self.fs.split_path(found.path)
        match = {"IfMatch": f'"{found.tag}"'} if found.tag else {}
        answer = await self.fs._call_s3(
            "get_object", Bucket=bucket, Key=key, **match, **self.fs.req_kw
        )
        size = 0
        async with answer["Body"] as body:
            with target.open("wb") as file:
                while chunk := await body.read(CHUNK):
                    size += file.write(chunk)
        return size

    def put(self, source: Path, path: str) -> RemoteObject:
        """As `Store.put`: one request, whose answer has the tag, or parts that are completed."""
        size = source.stat().st_size
        if size >= 2 * PART:
            self.fs.put_file(str(source), path, chunksize=PART)
            found = self.stat(path)
            if found is None or found.size != size:
                raise IncompleteDownloadError("the object does not have the size of the result")
            return found
        return self.write(source.read_bytes(), path)

    def write(self, content: bytes, path: str) -> RemoteObject:
        """As `Store.write`."""
        return self._put(content, path)

    def write_if(self, content: bytes, path: str, tag: str) -> RemoteObject:
        """As `Store.write_if`."""
        condition = {"IfMatch": f'"{tag}"'} if tag else {"IfNoneMatch": "*"}
        return self._put(content, path, **condition)

    def read_guarded(self, path: str) -> GuardedObject:
        """As `Store.read_guarded`."""
        return sync(self.fs.loop, self._read_guarded, path)  # type: ignore[no-any-return]

    async def _read_guarded(self, path: str) -> GuardedObject:
        bucket, key, _ = self.fs.split_path(path)
        answer = await self.fs._call_s3("get_object", Bucket=bucket, Key=key, **self.fs.req_kw)
        async with answer["Body"] as body:
            content = await body.read()
        now = parsedate_to_datetime(answer["ResponseMetadata"]["HTTPHeaders"]["date"])
        age = (now - answer["LastModified"]).total_seconds()
        return GuardedObject(content, str(answer["ETag"]).strip('"'), age)

    def _put(self, content: bytes, path: str, **condition: str) -> RemoteObject:
        bucket, key, _ = self.fs.split_path(path)
        answer = self.fs.call_s3("put_object", Bucket=bucket, Key=key, Body=content, **condition)
        tag = str(answer.get("ETag", "")).strip('"')
        return RemoteObject(path, key.rpartition("/")[2], len(content), tag=tag)
