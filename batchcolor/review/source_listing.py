"""SourceListing: what of the remote sources is there, and the decisions and hints beside them.

Runs in a thread: the page is there before it, and asks again when it has ended.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from batchcolor.errors import BatchcolorError
from batchcolor.images.companion_files import is_decision_file, is_hints_file
from batchcolor.pipeline.planning.remote_companions import list_companion_keys
from batchcolor.review.remote_access import RemoteAccess
from batchcolor.review.remote_sources import RemoteRoot, RemoteSources
from batchcolor.storage.remote.errors import StorageError

if TYPE_CHECKING:
    from batchcolor.storage.remote.store import RemoteObject, Store


class SourceListing:
    """Lists the folders of remote sources in the background. Thread-safe."""

    def __init__(self, sources: RemoteSources, access: RemoteAccess) -> None:
        self._sources, self._access = sources, access
        self.faults: tuple[str, ...] = ()
        """What cannot be listed."""
        self._gone: frozenset[Path] = frozenset()
        self._thread: threading.Thread | None = None
        self._stop = threading.Event()

    def is_gone(self, source: Path) -> bool:
        """Whether a source was not in the last listing of its folder."""
        return source in self._gone

    def start(self, finished: Callable[[], None]) -> None:
        """Lists everything, unless that is in progress; `finished` is called at the end."""
        if self._thread is not None and self._thread.is_alive():
            return
        places = self._sources.list_places()
        if not places:
            return
        self._thread = threading.Thread(
            target=self._run, args=(places, finished), name="sources", daemon=True
        )
        self._thread.start()

    def join(self) -> None:
        """Waits for the end of the listing."""
        if self._thread is not None:
            self._thread.join()

    def close(self) -> None:
        """Ends the listing."""
        self._stop.set()
        self.join()

    def _run(self, places: dict[RemoteRoot, dict[str, Path]], finished: Callable[[], None]) -> None:
        gone: set[Path] = set()
        faults: list[str] = []
        for root, keys in places.items():
            if root.is_archive or root.text.startswith(("http://", "https://")):
                continue  # fetched whole, or never listed, for what may not be asked for
            try:
                gone |= self._list(root, keys)
            except (BatchcolorError, StorageError) as error:
                faults.append(
                    f"{root.url} cannot be listed ({str(error).removeprefix(f'{root.url}: ')}): "
                    f"decisions and hints beside its pictures are not shown"
                )
            if self._stop.is_set():
                return
        self._gone, self.faults = frozenset(gone), tuple(faults)
        finished()

    def _list(self, root: RemoteRoot, keys: dict[str, Path]) -> set[Path]:
        """Fetches the companion files of a root; returns the sources that are gone."""
        from batchcolor.storage.remote.prefetch import map_in_order

        store, base = self._sources.open_root(root)
        missing, companions = set(keys), {}
        try:
            for found in self._find_objects(root, keys, store, base):
                missing.discard(found.key)
                name = found.key.rpartition("/")[2]
                if is_decision_file(name) or is_hints_file(name):
                    companions[found.key] = found
                if self._stop.is_set():
                    return set()
        except StorageError as error:
            if error.kind != "missing":
                raise
        wanted = (
            (companions[name], path.with_name(name.rpartition("/")[2]))
            for key, path in keys.items()
            for names in list_companion_keys(key)
            for name in names
            if name in companions
        )
        session = self._access.session
        for _ in map_in_order(session.pool, partial(self._fetch, store), _unique(wanted), 64):
            if self._stop.is_set():
                break
        return {keys[key] for key in missing}

    def _find_objects(
        self, root: RemoteRoot, keys: Iterable[str], store: Store, base: str
    ) -> Iterator[RemoteObject]:
        """The objects of a root; around a single one, only those that belong to it."""
        if not root.single:
            yield from store.list(base)
            return
        retry = self._access.session.retry
        for key in keys:
            for name in (key, *(one for names in list_companion_keys(key) for one in names)):
                path = f"{base.rstrip('/')}/{name}"
                try:
                    found = retry.call(partial(store.stat, path))
                except StorageError as error:
                    if error.kind != "missing":
                        raise
                    continue
                if found is not None:
                    yield replace(found, key=name)

    def _fetch(self, store: Store, wanted: tuple[RemoteObject, Path]) -> None:
        found, path = wanted
        path.parent.mkdir(parents=True, exist_ok=True)
        incomplete = path.with_name(f"{threading.get_ident()}.companion")
        self._access.session.retry.call(lambda: store.fetch(found, incomplete))
        incomplete.replace(path)


def _unique(
    wanted: Iterable[tuple[RemoteObject, Path]],
) -> Iterator[tuple[RemoteObject, Path]]:
    seen: set[Path] = set()
    for found, path in wanted:
        if path not in seen:
            seen.add(path)
            yield found, path
