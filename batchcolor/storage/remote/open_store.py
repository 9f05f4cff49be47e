"""Opens what a URL names: its store, and the path in it."""

from __future__ import annotations

import os
import tarfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import fsspec
from fsspec.core import url_to_fs

from batchcolor.errors import UsageError
from batchcolor.storage.locations import (
    CHAIN,
    SCHEME,
    describe_text,
    describe_url,
    find_archive_kind,
    is_url,
    strip_local_scheme,
)
from batchcolor.storage.remote.store import Store

EXTRAS = {
    **dict.fromkeys(("s3", "s3a"), ("s3fs", "s3")),
    **dict.fromkeys(("gs", "gcs"), ("gcsfs", "gcs")),
    **dict.fromkeys(("az", "abfs", "abfss", "adl"), ("adlfs", "azure")),
    **dict.fromkeys(("http", "https"), ("aiohttp", "http")),
}
"""Package and extra of batchcolor that a scheme needs."""
ARCHIVES = ("zip", "tar")
COMPRESSIONS = {
    **{"gz": "gzip", "tgz": "gzip", "bz2": "bz2", "tbz2": "bz2", "xz": "xz", "txz": "xz"},
}
"""Of tar files, by their suffix."""
ARCHIVE_ERRORS = (zipfile.BadZipFile, tarfile.TarError, EOFError)

FetchArchive = Callable[["OpenedUrl"], Path]
"""Fetches a remote archive to a local file."""


@dataclass(frozen=True)
class OpenedUrl:
    """A store and a path in it: of a folder, an object, or a pattern."""

    store: Store
    path: str
    url: str
    """As it was given."""

    @property
    def shown(self) -> str:
        """The URL as it is printed."""
        return describe_url(self.url)


def open_url(text: str, fetch_archive: FetchArchive) -> OpenedUrl:
    """Opens a URL. Asks no server, except for an archive, which is fetched.

    Raises UsageError for a scheme that is not known or needs a package, and for a damaged archive.
    """
    scheme = text.partition("://")[0].lower()
    if scheme in ARCHIVES:
        return _open_archive(text, scheme, fetch_archive)
    if CHAIN in text:
        raise UsageError(
            f"{describe_url(text)}: only zip:// and tar:// are opened inside of another URL"
        )
    return _open_plain(text, scheme)


def _open_plain(text: str, scheme: str) -> OpenedUrl:
    kind, options = _find_store(text, scheme)
    try:
        fs, path = url_to_fs(text, **options)
    except (ImportError, ValueError) as error:
        raise _make_usage_error(text, scheme, error) from error
    return OpenedUrl(kind(fs), path, text)


def _find_store(text: str, scheme: str) -> tuple[type[Store], dict[str, Any]]:
    """The store of a scheme, and the options of its file system."""
    if scheme not in EXTRAS:
        return Store, {}
    _require(text, scheme)
    package = EXTRAS[scheme][0]
    if package == "s3fs":
        from batchcolor.storage.remote import s3_store

        return s3_store.S3Store, s3_store.make_options()
    if package == "gcsfs":
        from batchcolor.storage.remote import gcs_store

        return gcs_store.GcsStore, gcs_store.make_options()
    if package == "adlfs":
        from batchcolor.storage.remote import azure_store

        return azure_store.AzureStore, azure_store.make_options()
    from batchcolor.storage.remote import http_store

    return http_store.HttpStore, http_store.make_options()


def _require(text: str, scheme: str) -> None:
    """Raises UsageError where the package of a scheme is not installed."""
    import importlib.util

    package, _ = EXTRAS[scheme]
    if importlib.util.find_spec(package) is None:
        raise _make_usage_error(text, scheme, ImportError(package))


def _make_usage_error(text: str, scheme: str, error: Exception) -> UsageError:
    shown = describe_url(text)
    if scheme in EXTRAS and isinstance(error, ImportError):
        package, extra = EXTRAS[scheme]
        return UsageError(
            f"{shown}: {scheme}:// needs the package {package}: pip install 'batchcolor[{extra}]'"
        )
    if scheme not in fsspec.available_protocols():
        return UsageError(f"{shown}: {scheme}:// is not a kind of storage that fsspec knows")
    return UsageError(f"{shown}: cannot be opened ({describe_text(str(error))})")


def _open_archive(text: str, scheme: str, fetch_archive: FetchArchive) -> OpenedUrl:
    """Opens `zip://INNER::ARCHIVE`, or `zip://ARCHIVE` for all of an archive."""
    inner, chain, outer = text.partition(CHAIN)
    inner = SCHEME.sub("", inner)
    if not chain:
        inner, outer = "", inner
    if not outer:
        raise UsageError(f"{describe_url(text)}: name an archive, as zip://album.zip")
    if is_url(outer):
        archive = fetch_archive(open_url(outer, fetch_archive))
    else:
        outer = os.path.abspath(strip_local_scheme(outer))  # noqa: PTH100
        text = f"{scheme}://{inner}{CHAIN}{outer}" if inner else f"{scheme}://{outer}"
        archive = Path(outer)
        if not archive.is_file():
            raise UsageError(f"no such file: {archive}; correct the name or leave it out")
    return open_archive(archive, scheme, inner.strip("/"), text, outer)


def open_archive(archive: Path, kind: str, inner: str, text: str, name: str) -> OpenedUrl:
    """Opens a local archive; `name` is that of the archive, whose suffix states a compression.

    Raises UsageError where it is damaged.
    """
    from batchcolor.storage.remote.archive_store import ArchiveStore

    options: dict[str, Any] = {}
    if kind == "tar":
        suffix = describe_url(name).rpartition(".")[2].lower()
        options["compression"] = COMPRESSIONS.get(suffix)
    try:
        fs = fsspec.filesystem(kind, fo=str(archive), skip_instance_cache=True, **options)
    except (*ARCHIVE_ERRORS, OSError, ValueError) as error:
        what = str(error) or type(error).__name__
        raise UsageError(
            f"{describe_url(text)}: the archive cannot be read ({what}); check the file"
        ) from error
    return OpenedUrl(ArchiveStore(fs, archive), inner, text)


__all__ = ["OpenedUrl", "find_archive_kind", "open_archive", "open_url"]
