"""S3 and what is compatible with it: listings page by page, reads of exactly the listed version."""

from __future__ import annotations

from collections.abc import Sequence
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

import fsspec.config
from fsspec.asyn import sync

from batchcolor.storage.remote.bucket_store import PAGE, BucketStore, Listed, is_folder_name
from batchcolor.storage.remote.errors import IncompleteDownloadError
from batchcolor.storage.remote.store import GuardedObject, RemoteObject

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


class S3Store(BucketStore):
    """Objects of S3."""

    def list_page(
        self, bucket: str, prefix: str, token: str | None, size: int = PAGE
    ) -> tuple[Sequence[Listed], str | None]:
        """As `BucketStore.list_page`."""
        more = {"ContinuationToken": token} if token else {}
        page = self.fs.call_s3(
            "list_objects_v2", Bucket=bucket, Prefix=prefix, MaxKeys=size, **more, **self.fs.req_kw
        )
        return [_read_entry(entry) for entry in page.get("Contents", ())], (
            page["NextContinuationToken"] if page.get("IsTruncated") else None
        )

    def has_object(self, path: str) -> bool:
        """As `Store.has_object`, without a listing, which `stat` asks for where there is none."""
        bucket, key, _ = self.fs.split_path(path)
        try:
            self.fs.call_s3("head_object", Bucket=bucket, Key=key)
        except FileNotFoundError:
            return False
        return True

    async def download(self, found: RemoteObject, target: Path) -> int:
        """As `BucketStore.download`: one request."""
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


def _read_entry(entry: dict[str, Any]) -> Listed:
    name, size = entry["Key"], entry["Size"]
    return name, None if is_folder_name(name, size) else {**entry, "size": size}
