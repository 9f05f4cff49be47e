"""RemoteSession: what a job has open on remote storage, and its temporary files."""

from __future__ import annotations

import atexit
import contextlib
import shutil
import tempfile
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from batchcolor.errors import UsageError
from batchcolor.storage.locations import describe_url, url_name
from batchcolor.storage.mounts import Mount, add_mount, find_mount
from batchcolor.storage.process_token import is_running, process_token
from batchcolor.storage.remote.errors import StorageError
from batchcolor.storage.remote.open_store import OpenedUrl, open_url
from batchcolor.storage.remote.prefetch import TemporarySpace
from batchcolor.storage.remote.retry import DEFAULT_RETRIES, Retry

T = TypeVar("T")
PREFIX = "batchcolor-remote-"
THREADS = 32
"""Requests at once: what hides the latency of a network."""


class RemoteSession:
    """Stores, mounts and temporary files of one job. Thread-safe but for `close`."""

    def __init__(self, space: int | None = None, retries: int = DEFAULT_RETRIES) -> None:
        self.stop = threading.Event()
        self.retry = Retry(retries, self.stop)
        self._space_limit = space
        self._space: TemporarySpace | None = None
        self._folder: Path | None = None
        self._mounts: list[Mount] = []
        self._opened: dict[str, OpenedUrl] = {}
        self._pool: ThreadPoolExecutor | None = None
        self._lock = threading.Lock()
        self._held: dict[str, int] = {}
        """Bytes of each fetched file, by its path."""

    @property
    def folder(self) -> Path:
        """The temporary folder, made when it is needed first."""
        with self._lock:
            if self._folder is None:
                remove_stale_folders()
                suffix = f".{process_token()}"
                self._folder = Path(tempfile.mkdtemp(suffix, PREFIX)).resolve()
                atexit.register(self.close)
        return self._folder

    @property
    def space(self) -> TemporarySpace:
        """The limit of the bytes of temporary files: as asked, or half of what is free."""
        if self._space is None:
            limit = self._space_limit or shutil.disk_usage(self.folder).free // 2
            self._space = TemporarySpace(limit)
        return self._space

    @property
    def pool(self) -> ThreadPoolExecutor:
        """The threads that make requests."""
        if self._pool is None:
            self._pool = ThreadPoolExecutor(THREADS, "remote")
        return self._pool

    def open(self, url: str) -> OpenedUrl:
        """What a URL names. Raises UsageError."""
        if url not in self._opened:
            opened = self._opened[url] = open_url(url, self.fetch_archive)
            opened.store.retry = self.retry
        return self._opened[url]

    def ask(self, opened: OpenedUrl, operation: Callable[[], T]) -> T:
        """The answer of a store, after repetitions. Raises UsageError that names the URL."""
        try:
            return self.retry.call(operation)
        except StorageError as error:
            raise UsageError(f"{opened.shown}: {error}") from error

    def make_folder(self, name: str) -> Path:
        """A new local folder with this name, in a temporary folder of its own."""
        return_to = Path(tempfile.mkdtemp(dir=self.folder))
        folder = return_to / (name.replace("/", "_")[:200] or "root")
        folder.mkdir()
        return folder

    def mount(self, url: str) -> Mount:
        """A local folder that stands for a remote one; the same one for the same URL."""
        shown = describe_url(url)
        for known in self._mounts:
            if known.url == shown:
                return known
        mount = Mount(self.make_folder(url_name(url)), shown)
        self._mounts.append(mount)
        add_mount(mount)
        return mount

    def fetch_archive(self, opened: OpenedUrl) -> Path:
        """A local copy of an archive. Raises UsageError."""
        found = self.ask(opened, lambda: opened.store.stat(opened.path))
        if found is None:
            raise UsageError(f"{opened.shown}: is a folder; name an archive")
        self.check_space(opened.shown, found.size)
        target = self.make_folder("archive") / url_name(opened.url)
        self.ask(opened, lambda: opened.store.fetch(found, target))
        self.space.acquire(target.stat().st_size, self.stop)
        return target

    def hold(self, path: Path, size: int) -> None:
        """Notes that a fetched file is there until `release`."""
        with self._lock:
            self._held[str(path)] = size

    def hold_companions(self, path: Path, companions: tuple[Path, ...]) -> None:
        """Notes that companion files are there for a file until it is released."""
        mount = find_mount(str(path))
        if mount is not None and companions:
            with self._lock:
                mount.companions[str(path)] = companions

    def release_companions(self, path: Path) -> None:
        """Removes the companion files of a file that no other file has as well."""
        mount = find_mount(str(path))
        if mount is None or str(path) not in mount.companions:
            return
        with self._lock:
            companions = mount.companions.pop(str(path), ())
            still = {one for held in mount.companions.values() for one in held}
            for companion in set(companions) - still:
                with contextlib.suppress(OSError):
                    companion.unlink(missing_ok=True)

    def release(self, path: Path) -> None:
        """Removes a fetched file with its companion files, and its name from the mount.

        Does nothing for other files.
        """
        text = str(path)
        mount = find_mount(text)
        if mount is None:
            return
        with self._lock:
            size = self._held.pop(text, None)
        mount.tags.pop(text, None)
        self.release_companions(path)
        if size is not None:
            with contextlib.suppress(OSError):
                if path.is_dir():  # of frames
                    shutil.rmtree(path, ignore_errors=True)
                path.unlink(missing_ok=True)  # its folder stays: another file may be about to come
            self.space.release(size)

    def check_space(self, name: str, size: int | None) -> None:
        """Raises UsageError where something does not fit into the temporary space."""
        if size is not None and size > self.space.limit:
            raise UsageError(f"{name}: {describe_lack_of_space(size, self.space.limit)}")

    def close(self) -> None:
        """Ends the requests and removes the temporary files. May be called repeatedly."""
        self.stop.set()
        pool, self._pool = self._pool, None
        if pool is not None:
            pool.shutdown(wait=True, cancel_futures=True)
        for opened in self._opened.values():
            with contextlib.suppress(Exception):
                opened.store.close()
        self._opened.clear()
        self._mounts = []
        folder, self._folder = self._folder, None
        if folder is not None:
            shutil.rmtree(folder, ignore_errors=True)
            atexit.unregister(self.close)


def describe_lack_of_space(size: int, limit: int) -> str:
    """Why an object is not fetched."""
    mib = 2**20
    return (
        f"needs {size // mib + 1:,} MiB of temporary space, and {limit // mib:,} MiB are allowed; "
        f"give more with --temporary-space, or set TMPDIR to a larger disk"
    )


def remove_stale_folders() -> None:
    """Removes the temporary folders of processes that no longer exist."""
    with contextlib.suppress(OSError):
        for folder in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
            token = folder.name.rpartition(".")[2]
            if not is_running(token):
                shutil.rmtree(folder, ignore_errors=True)
