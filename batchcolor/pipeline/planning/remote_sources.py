"""Sources on remote storage: what a URL names, and the objects below it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from fsspec.utils import glob_translate

from batchcolor.errors import UsageError
from batchcolor.images.companion_files import is_decision_file, is_hints_file
from batchcolor.images.scan import SkippedEntry
from batchcolor.images.system_files import describe_system_folder, is_system_file
from batchcolor.pipeline.planning.remote_companions import (
    WithCompanions,
    attach_companions,
    list_companion_keys,
)
from batchcolor.storage.journal import JOURNAL_NAME, STATE_FOLDER, absolute_source
from batchcolor.storage.locations import Url, describe_url, find_archive_kind, url_name
from batchcolor.storage.mounts import Mount
from batchcolor.storage.remote.errors import StorageError, is_missing_bucket
from batchcolor.storage.remote.open_store import OpenedUrl, open_archive
from batchcolor.storage.remote.session import RemoteSession
from batchcolor.storage.remote.store import RemoteObject, Store

MAGIC = re.compile(r"[*?\[]")
HTTP_MAGIC = re.compile(r"[*\[]")
"""`?` begins the query of an HTTP URL."""
ODD_PARTS = ("", ".", "..")


@dataclass(frozen=True)
class RemoteFolder:
    """What a SOURCE names on remote storage: a folder, a pattern in it, or one object of it."""

    session: RemoteSession
    store: Store
    base: str
    """Path of the folder in the store."""
    mount: Mount
    """The local folder that stands for it."""
    pattern: re.Pattern[str] | None = None
    """Selects objects by their path; None: all."""
    single: RemoteObject | None = None
    """The only object that is meant."""
    include_results: bool = False

    @property
    def name(self) -> str:
        """What the folder is called in messages."""
        return self.mount.url

    def list(self) -> Iterator[RemoteObject]:
        """Yields the objects that may be sources, in a fixed order. Raises StorageError."""
        for entry in self.list_entries():
            if isinstance(entry, RemoteObject):
                yield entry

    def list_keys(self) -> Iterator[str]:
        """Yields the path of every object that may be a source, below the folder.

        An error of the listing ends it: the scan, which lists again, reports that.
        """
        with suppress(StorageError):
            for found in self.list():
                yield found.key

    def list_with_companions(self) -> Iterator[WithCompanions]:
        """As `list_entries`, each object with its companion files. Raises StorageError."""
        if self.single is not None:
            yield self.single, tuple(self._find_companions(self.single))
            return
        companions: dict[str, RemoteObject] = {}
        is_sorted = self.store.is_sorted
        if not is_sorted:
            for _ in self.list_entries(companions):
                pass
        entries = self.list_entries(companions if is_sorted else None)
        yield from attach_companions(entries, companions, is_sorted=is_sorted)

    def _find_companions(self, found: RemoteObject) -> Iterator[RemoteObject]:
        """Asks for the companion files of a single object, where the storage has listings: a web
        server may answer with a page whatever the name is."""
        if self.mount.url.startswith(("http://", "https://")):
            return
        folder = found.path.removesuffix(found.key)
        for keys in list_companion_keys(found.key):
            existing = (key for key in keys if _exists(self.store, folder + key, self.session))
            if (key := next(existing, None)) is not None:
                path = folder + key
                companion = self.session.retry.call(partial(self.store.stat, path))
                if companion is not None:
                    yield companion

    def list_entries(
        self, companions: dict[str, RemoteObject] | None = None
    ) -> Iterator[RemoteObject | SkippedEntry]:
        """Yields the objects that may be sources, and what is skipped by its name.

        Hidden and system files and colour hints are one entry each for the whole source.
        `companions` gets the companion files, by their keys. Raises StorageError.
        """
        if self.single is not None:
            yield self.single
            return
        filtered = _NameFilter(self.mount, include_results=self.include_results)
        for found in self.store.list(self.base):
            is_selected = self.pattern is None or self.pattern.match(found.path)
            if companions is not None and _NameFilter.is_companion(found.key):
                companions[found.key] = found
            if not is_selected:
                continue
            reason = filtered.describe(found.key)
            if reason is None:
                yield found
            elif reason is not SILENT:
                yield reason
        yield from filtered.summaries()


SILENT = SkippedEntry(Path(), "")
"""Stands for an object that is skipped without an entry of its own."""


class _NameFilter:
    """Skips objects by their names, as `images.scan` skips files."""

    def __init__(self, mount: Mount, *, include_results: bool) -> None:
        self._mount, self._include_results = mount, include_results
        self._folders: dict[str, bool] = {}
        """The folders that are skipped, and whether they are reported."""
        self._results: set[str] = set()
        self._hints: list[str] = []
        self._system: list[str] = []
        self._counts = [0, 0]

    @staticmethod
    def is_companion(key: str) -> bool:
        """Whether an object is a companion file of a picture or film."""
        name = key.rpartition("/")[2]
        return (is_hints_file(name) or is_decision_file(name)) and not is_system_file(name)

    def describe(self, key: str) -> SkippedEntry | None:
        """Why an object is skipped; `SILENT` where another entry says it; None where it is not."""
        parts = key.split("/")
        if any(part in ODD_PARTS for part in parts) or "\\" in key or "\0" in key:
            path = Path(f"{self._mount.folder}/{key}".replace("\0", "?"))
            reason = "its name has an empty or relative folder or a backslash; rename it"
            return SkippedEntry(path, reason, failed=True)
        *folders, name = parts
        if parts[-2:] == [STATE_FOLDER, JOURNAL_NAME] and not self._include_results:
            return self._skip_results("/".join(folders[:-1]))
        if folders and (skipped := self._describe_folders(folders)):
            return skipped
        if is_system_file(name):
            self._count(self._system, key, 0)
            return SILENT
        if is_hints_file(name):
            self._count(self._hints, key, 1)
            return SILENT
        if is_decision_file(name):
            reason = "a decision on another picture"
            return SkippedEntry(self._mount.folder / key, reason, is_foreign=True)
        return None

    def _skip_results(self, folder: str) -> SkippedEntry:
        if not folder or folder in self._results:
            return SILENT
        self._results.add(folder)
        reason = "a folder of results (--include-results colours it)"
        return SkippedEntry(self._mount.folder / folder, reason)

    def _describe_folders(self, folders: Sequence[str]) -> SkippedEntry | None:
        path = ""
        for name in folders:
            path = f"{path}/{name}" if path else name
            if path in self._results:
                return SILENT
            if reason := describe_system_folder(name):
                if name == STATE_FOLDER or path in self._folders:
                    return SILENT
                self._folders[path] = True
                return SkippedEntry(self._mount.folder / path, reason, is_foreign=True)
        return None

    def _count(self, first: list[str], key: str, index: int) -> None:
        self._counts[index] += 1
        if not first:
            first.append(key)

    def summaries(self) -> Iterator[SkippedEntry]:
        """One entry for each kind of files that were skipped without one of their own."""
        names = ("a hidden or system file", "colour hints of another picture")
        for first, count, reason in zip(
            (self._system, self._hints), self._counts, names, strict=True
        ):
            if count:
                more = f", and {count - 1} more" if count > 1 else ""
                path = self._mount.folder / first[0]
                yield SkippedEntry(path, reason + more, is_foreign=True)


def open_remote_source(
    url: str, session: RemoteSession, *, include_results: bool = False, may_be_empty: bool = False
) -> RemoteFolder:
    """The folder, pattern, object or archive that a URL names.

    `may_be_empty`: a folder of a bucket that has no objects yet counts as one.
    Raises UsageError where it does not exist, cannot be reached, or holds results of batchcolor.
    """
    opened = session.open(url)
    scheme = url.partition("://")[0].lower()
    magic = HTTP_MAGIC if scheme in ("http", "https") else MAGIC
    if magic.search(opened.path):
        return _open_pattern(opened, session, magic, include_results=include_results)
    found = _stat(opened, session, may_be_empty=may_be_empty)
    if found is None:
        return _open_folder(opened, opened.path, session, include_results=include_results)
    if kind := find_archive_kind(url_name(url)):
        archive = session.fetch_archive(opened)
        inner = open_archive(archive, kind, "", url, url_name(url))
        return _open_folder(inner, "", session, include_results=include_results)
    folder = describe_url(url).rstrip("/").rpartition("/")[0]
    mount = session.mount(folder)
    return RemoteFolder(session, opened.store, opened.path, mount, single=found)


def _stat(opened: OpenedUrl, session: RemoteSession, *, may_be_empty: bool) -> RemoteObject | None:
    """The object that a URL names; None for a folder. Raises UsageError."""
    try:
        return session.retry.call(lambda: opened.store.stat(opened.path))
    except StorageError as error:
        is_new = error.kind == "missing" and not is_missing_bucket(error)
        if may_be_empty and is_new and opened.store.is_writable:
            return None
        raise UsageError(f"{opened.shown}: {error}") from error


def open_local_archive(path: Path, kind: str, session: RemoteSession) -> RemoteFolder:
    """The members of an archive that is named like a file. Raises UsageError."""
    opened = open_archive(path, kind, "", f"{kind}://{absolute_source(path)}", path.name)
    return _open_folder(opened, "", session, include_results=False)


def _open_folder(
    opened: OpenedUrl, base: str, session: RemoteSession, *, include_results: bool
) -> RemoteFolder:
    if not include_results:
        journal = f"{base.rstrip('/')}/{STATE_FOLDER}/{JOURNAL_NAME}".lstrip("/")
        if not base and not opened.store.is_concurrent:
            journal = f"{STATE_FOLDER}/{JOURNAL_NAME}"
        elif base.startswith("/"):
            journal = f"/{journal}"
        if _exists(opened.store, journal, session):
            raise UsageError(
                f"{opened.shown} holds results of batchcolor; name the original pictures, or give "
                f"--include-results to colour results again"
            )
    mount = session.mount(opened.shown)
    return RemoteFolder(session, opened.store, base, mount, include_results=include_results)


def _exists(store: Store, path: str, session: RemoteSession) -> bool:
    try:
        return session.retry.call(lambda: store.has_object(path))
    except StorageError:
        return False  # some servers deny what does not exist


def _open_pattern(
    opened: OpenedUrl, session: RemoteSession, magic: re.Pattern[str], *, include_results: bool
) -> RemoteFolder:
    if find_archive_kind(opened.path):
        raise UsageError(
            f"{opened.shown}: an archive on remote storage is fetched whole; name them one by one, "
            f"best in a job for each"
        )
    parts = opened.path.split("/")
    index = next(i for i, part in enumerate(parts) if magic.search(part))
    base = "/".join(parts[:index])
    expression = re.compile(glob_translate(opened.path))
    url_parts = opened.shown.split("/")
    index = next(i for i, part in enumerate(url_parts) if magic.search(part))
    mount = session.mount("/".join(url_parts[:index]))
    folder = RemoteFolder(
        session, opened.store, base, mount, expression, include_results=include_results
    )
    try:
        is_empty = next(folder.list(), None) is None
    except StorageError as error:
        if error.kind != "missing":
            raise UsageError(f"{opened.shown}: {error}") from error
        is_empty = True
    if is_empty:
        raise UsageError(f"no pictures found in {opened.shown}: the pattern matches nothing")
    return folder


def default_remote_output(url: str) -> Url:
    """SOURCE-colorized beside the source. Raises UsageError where nothing can be written there."""
    shown = describe_url(url)
    scheme = url.partition("://")[0].lower()
    parts = Url(url).rstrip("/").split("/")
    is_bucket = len(parts) <= 3
    if scheme in ("http", "https", "zip", "tar") or "::" in url or is_bucket or MAGIC.search(shown):
        raise UsageError(f"{shown}: name a folder for the results with --output")
    name = parts[-1]
    stem = name.rpartition(".")[0] or name
    return Url("/".join([*parts[:-1], f"{stem}-colorized"]))
