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
from batchcolor.storage.remote.store import (
    GuardedObject,
    RemoteObject,
    find_content_type,
    make_object,
)
from batchcolor.version import __version__

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
    # Built for each request from a dozen parts otherwise, which costs a tenth of a request.
    "user_agent": f"batchcolor/{__version__}",
    "parameter_validation": False,
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
        values = {"Bucket": bucket, "Prefix": prefix, "MaxKeys": size, **more}
        page = sync(self.fs.loop, self._ask, "list_objects_v2", **values)
        return [_read_entry(entry) for entry in page.get("Contents", ())], (
            page["NextContinuationToken"] if page.get("IsTruncated") else None
        )

    def has_object(self, path: str) -> bool:
        """As `Store.has_object`, without a listing, which `stat` asks for where there is none."""
        try:
            self._describe(path)
        except FileNotFoundError:
            return False
        return True

    def stat(self, path: str) -> RemoteObject | None:
        """As `Store.stat`."""
        bucket, key, _ = self.fs.split_path(path)
        if key.strip("/"):
            try:
                return make_object(path, key.rpartition("/")[2], self._describe(path))
            except FileNotFoundError:
                pass
        prefix = f"{key.rstrip('/')}/" if key.strip("/") else ""
        if not self.list_page(bucket, prefix, None, 1)[0] and prefix:
            raise FileNotFoundError(path)
        return None

    def _describe(self, path: str) -> dict[str, Any]:
        """Size, tag and time of an object. Raises FileNotFoundError."""
        bucket, key, _ = self.fs.split_path(path)
        answer = sync(self.fs.loop, self._ask, "head_object", Bucket=bucket, Key=key)
        return {**answer, "size": answer["ContentLength"]}

    async def _ask(self, request: str, **values: Any) -> Any:
        """The answer to one request. `call_s3` of s3fs repeats some itself, which `Retry` does."""
        from botocore.exceptions import ClientError
        from s3fs.errors import translate_boto_error

        await self.fs.set_session()
        method = getattr(await self.fs.get_s3(values["Bucket"]), request)
        try:
            return await method(**self.fs._get_s3_method_kwargs(method, **values))
        except ClientError as error:
            raise translate_boto_error(error) from error

    async def _get(self, path: str, **values: str) -> Any:
        bucket, key, _ = self.fs.split_path(path)
        return await self._ask("get_object", Bucket=bucket, Key=key, **values)

    async def _read(self, path: str, **values: str) -> tuple[bytes, dict[str, Any]]:
        """The content of an object or of a part of it, and the answer."""
        answer = await self._get(path, **values)
        async with answer["Body"] as body:
            return await body.read(), answer

    def read(self, path: str) -> bytes:
        """As `Store.read`."""
        content: bytes = sync(self.fs.loop, self._read, path)[0]
        return content

    def read_head(self, found: RemoteObject, size: int) -> bytes:
        """As `Store.read_head`."""
        if found.size == 0:
            return b""
        values = {"Range": f"bytes=0-{size - 1}", **_match(found.tag)}
        content: bytes = sync(self.fs.loop, self._read, found.path, **values)[0]
        return content[:size]

    async def download_whole(self, found: RemoteObject) -> bytes:
        """As `BucketStore.download_whole`."""
        return (await self._read(found.path, **_match(found.tag)))[0]

    async def download(self, found: RemoteObject, target: Path) -> int:
        """As `BucketStore.download`: one request."""
        answer = await self._get(found.path, **_match(found.tag))
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
        return self._put(content, path, **(_match(tag) or {"IfNoneMatch": "*"}))

    def read_guarded(self, path: str) -> GuardedObject:
        """As `Store.read_guarded`."""
        content, answer = sync(self.fs.loop, self._read, path)
        now = parsedate_to_datetime(answer["ResponseMetadata"]["HTTPHeaders"]["date"])
        age = (now - answer["LastModified"]).total_seconds()
        return GuardedObject(content, str(answer["ETag"]).strip('"'), age)

    def _put(self, content: bytes, path: str, **condition: str) -> RemoteObject:
        bucket, key, _ = self.fs.split_path(path)
        values = {"Bucket": bucket, "Key": key, "Body": content, **condition}
        values["ContentType"] = find_content_type(key)
        answer = sync(self.fs.loop, self._ask, "put_object", **values)
        tag = str(answer.get("ETag", "")).strip('"')
        return RemoteObject(path, key.rpartition("/")[2], len(content), tag=tag)


def _match(tag: str) -> dict[str, str]:
    """The condition that an object has this tag."""
    return {"IfMatch": f'"{tag}"'} if tag else {}


def _read_entry(entry: dict[str, Any]) -> Listed:
    name, size = entry["Key"], entry["Size"]
    return name, None if is_folder_name(name, size) else {**entry, "size": size}
