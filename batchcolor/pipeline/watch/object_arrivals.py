"""Which objects of the source folders on remote storage are new or have changed: for `--watch`."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from batchcolor.pipeline.planning.sources import Root
from batchcolor.storage.remote.errors import StorageError, is_missing_bucket

State = tuple[int | None, str]
"""Size and tag of an object."""


class ObjectArrivals:
    """The objects of the source folders.

    One of a bucket is whole when it is listed, so none is waited for. Elsewhere a file may be
    listed while it is written: it is ready when a later listing has the same size and tag. Both are
    what the storage states; the clock of this computer is compared with no time of an object.
    """

    def __init__(self, settle: float) -> None:
        """`settle`: seconds between two listings that state the same of a file that is whole."""
        self._settle = settle
        self._states: dict[Path, State] = {}
        self._taken: dict[Path, State] = {}
        self._waiting: dict[Path, tuple[State, float]] = {}
        """What may be incomplete, and when it was first listed as it is."""

    def update(self, roots: Iterable[Root], now: float) -> None:
        """Lists the folders; `now` is monotonic.

        Raises StorageError, and then knows what it knew before.
        """
        found: dict[Path, State] = {}
        waiting: dict[Path, tuple[State, float]] = {}
        for root in roots:
            assert root.remote is not None
            try:
                for entry in root.remote.list():
                    path = root.path.joinpath(*entry.key.split("/"))
                    state = found[path] = (entry.size, entry.tag)
                    if root.remote.store.is_whole or self._taken.get(path) == state:
                        continue
                    known, since = self._waiting.get(path, (None, now))
                    if known != state or now - since < self._settle:
                        waiting[path] = (state, since if known == state else now)
            except StorageError as error:
                if error.kind != "missing" or is_missing_bucket(error):
                    raise  # else the folder has no objects
        self._states, self._waiting = found, waiting
        self._taken = {path: state for path, state in self._taken.items() if path in found}

    def take(self) -> frozenset[Path]:
        """Returns the objects that are new or have another size or tag, each once."""
        ready = [
            path
            for path, state in self._states.items()
            if self._taken.get(path) != state and path not in self._waiting
        ]
        self._taken.update({path: self._states[path] for path in ready})
        return frozenset(ready)

    def put_back(self, paths: Iterable[Path]) -> None:
        """Takes back objects that could not be processed; `take` returns them again."""
        for path in paths:
            self._taken.pop(path, None)
