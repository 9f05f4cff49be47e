"""Sources on remote storage and in archives, as the review reads them: one by one, on demand."""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from batchcolor.errors import ProcessingError
from batchcolor.review.remote_access import RemoteAccess
from batchcolor.storage.journal import absolute_source
from batchcolor.storage.locations import CHAIN, describe_url, find_archive_kind, is_url, url_name

if TYPE_CHECKING:
    from batchcolor.review.review_item import ReviewItem
    from batchcolor.storage.remote.store import RemoteObject, Store

ODD_PARTS = ("", ".", "..")


@dataclass(frozen=True)
class RemoteRoot:
    """One SOURCE of a job that is no plain folder or file."""

    text: str
    """As the record of the job has it."""
    url: str
    """What the names of its files begin with; of a single file, the folder in which it is."""
    single: str = ""
    """The only file, as the journal names it."""
    is_pattern: bool = False

    @property
    def is_folder(self) -> bool:
        """Whether its results lie in a folder of its name, if the job has several sources."""
        return not (self.single or self.is_pattern)

    @property
    def is_archive(self) -> bool:
        """Whether it is fetched whole, before one of its members is read."""
        return not self.single and (
            not is_url(self.text)
            or self.text.partition("://")[0].lower() in ("zip", "tar")
            or find_archive_kind(url_name(self.text)) is not None
        )

    def find_key(self, source: str) -> str | None:
        """The path of a source of the journal below `url`; None where it is not below it."""
        if self.single and source != self.single:
            return None
        head, _, archive = source.partition(CHAIN)
        base, _, own_archive = self.url.partition(CHAIN)
        prefix = base if base.endswith("/") else f"{base}/"
        if archive != own_archive or not head.startswith(prefix):
            return None
        return head[len(prefix) :]


def parse_root(text: str, recorded: Collection[str]) -> RemoteRoot:
    """What a source of a job stands for. Asks no server: a URL that is `recorded` as a source is
    that of a file."""
    from batchcolor.pipeline.planning.remote_sources import HTTP_MAGIC, MAGIC

    if not is_url(text):
        return RemoteRoot(text, f"{find_archive_kind(text)}://{absolute_source(Path(text))}")
    shown = describe_url(text).rstrip("/")
    parts = shown.split("/")
    magic = HTTP_MAGIC if text.lower().startswith(("http://", "https://")) else MAGIC
    first = next((index for index, part in enumerate(parts) if magic.search(part)), None)
    if first is not None and CHAIN not in shown:
        return RemoteRoot(text, "/".join(parts[:first]), is_pattern=True)
    if shown in recorded and CHAIN not in shown:
        return RemoteRoot(text, shown.rpartition("/")[0], single=shown)
    return RemoteRoot(text, shown)


def find_parent_root(source: str) -> RemoteRoot:
    """The folder in which a source of the journal lies."""
    head, chain, archive = source.partition(CHAIN)
    folder = head.rpartition("/")[0]
    url = f"{folder}/{chain}{archive}" if folder.endswith(":/") else f"{folder}{chain}{archive}"
    return RemoteRoot(url, url)


class RemoteSources:
    """The sources of the items that are no plain files. Thread-safe."""

    def __init__(self, access: RemoteAccess) -> None:
        self._access = access
        self._places: dict[Path, tuple[RemoteRoot, str]] = {}
        """Root and key of each source, by the path of its local copy."""
        self._opened: dict[RemoteRoot, tuple[Store, str]] = {}
        self._lock = threading.Lock()

    def add(self, root: RemoteRoot) -> Path:
        """The local folder, or for a single file the path, that stands for a root."""
        folder = self._access.session.mount(root.url).folder
        key = root.find_key(root.single) if root.single else ""
        return self._join(folder, key or "")

    def place(self, root: RemoteRoot, key: str) -> Path:
        """Where the local copy of a source lies, while it is there."""
        path = self._join(self._access.session.mount(root.url).folder, key)
        self._places[path] = (root, key)
        return path

    @staticmethod
    def _join(folder: Path, key: str) -> Path:
        return folder.joinpath(*(part for part in key.split("/") if part not in ODD_PARTS))

    @contextmanager
    def open(self, item: ReviewItem) -> Iterator[Path]:
        """Holds a local copy of the source of an item, as it is now. Raises ProcessingError."""
        if item.job is not None and item.job.frames:
            raise ProcessingError("scan", "frames on remote storage are not shown: copy the folder")

        def find(_: bool) -> tuple[Store, RemoteObject]:
            store, path = self.locate(item.source)
            found = self._access.session.retry.call(lambda: store.stat(path))
            if found is None:
                raise ProcessingError("scan", "it is a folder now")
            return store, replace(found, path=path)

        with self._access.files.open(item.source, item.entry.edges, find) as path:
            yield path

    def locate(self, source: Path) -> tuple[Store, str]:
        """The store of a source, and its path there. Raises UsageError, StorageError."""
        root, key = self._places[source]
        store, base = self.open_root(root)
        return store, f"{base.rstrip('/')}/{key}" if base.strip("/") else key

    def open_root(self, root: RemoteRoot) -> tuple[Store, str]:
        """The store of a root, and the path of its folder there; an archive is fetched.

        Raises UsageError, StorageError.
        """
        with self._lock:
            if root not in self._opened:
                self._opened[root] = self._open(root)
            return self._opened[root]

    def _open(self, root: RemoteRoot) -> tuple[Store, str]:
        from batchcolor.pipeline.planning import remote_sources as planned

        session = self._access.session
        if root.is_archive and not is_url(root.text):
            kind = find_archive_kind(root.text)
            assert kind is not None
            folder = planned.open_local_archive(Path(root.text), kind, session)
            return folder.store, folder.base
        if root.is_archive:
            folder = planned.open_remote_source(root.text, session, include_results=True)
            return folder.store, folder.base
        opened = session.open(root.url)
        return opened.store, opened.path

    def list_places(self) -> dict[RemoteRoot, dict[str, Path]]:
        """The path of each source, by its root and key."""
        found: dict[RemoteRoot, dict[str, Path]] = {}
        for path, (root, key) in list(self._places.items()):
            found.setdefault(root, {})[key] = path
        return found
