"""Which objects of the source folders on remote storage are new or have changed: for `--watch`."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from batchcolor.pipeline.planning.sources import Root
from batchcolor.storage.remote.errors import StorageError, is_missing_bucket

State = tuple[int | None, str]
"""Size and tag of an object."""


class ObjectArrivals:
    """The objects of the source folders. One is whole when it is listed, so none is waited for."""

    def __init__(self) -> None:
        self._states: dict[Path, State] = {}
        self._taken: dict[Path, State] = {}

    def update(self, roots: Iterable[Root]) -> None:
        """Lists the folders. Raises StorageError, and then knows what it knew before."""
        found: dict[Path, State] = {}
        for root in roots:
            assert root.remote is not None
            try:
                for entry in root.remote.list():
                    path = root.path.joinpath(*entry.key.split("/"))
                    found[path] = (entry.size, entry.tag)
            except StorageError as error:
                if error.kind != "missing" or is_missing_bucket(error):
                    raise  # else the folder has no objects
        self._states = found
        self._taken = {path: state for path, state in self._taken.items() if path in found}

    def take(self) -> frozenset[Path]:
        """Returns the objects that are new or have another size or tag, each once."""
        ready = [path for path, state in self._states.items() if self._taken.get(path) != state]
        self._taken.update({path: self._states[path] for path in ready})
        return frozenset(ready)

    def put_back(self, paths: Iterable[Path]) -> None:
        """Takes back objects that could not be processed; `take` returns them again."""
        for path in paths:
            self._taken.pop(path, None)
