"""Which files of the source folders are complete: for `--watch`."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

PATIENCE = 30.0
"""Seconds after which a file counts as complete although its header or end is missing: damaged."""
PARTIAL_SUFFIXES = frozenset(
    {
        *(".part", ".partial", ".crdownload", ".download", ".filepart", ".opdownload"),
        *(".tmp", ".temp", ".aria2", ".!ut", ".!qb", ".!sync", ".incomplete"),
    }
)
"""Of files that browsers and copying programs rename when they are complete."""


@dataclass
class _State:
    """What is known of one file. `since` is when its size or time of change was first seen."""

    size: int
    mtime_ns: int
    since: float
    is_taken: bool = False


class Arrivals:
    """The files of the source folders, and which of them have not been taken yet.

    A file is complete when its size and its time of change have not changed for `settle` seconds
    and `is_complete` is true, or at the latest after `PATIENCE`. A file that changes afterwards is
    a new arrival.
    """

    def __init__(self, settle: float, is_complete: Callable[[Path], bool]) -> None:
        self._settle, self._is_complete = settle, is_complete
        self._states: dict[Path, _State] = {}
        self._is_first = True

    def update(self, paths: Iterable[Path], now: float) -> None:
        """Compares the files with those of the last call; `now` is a monotonic time in seconds.

        In the first call a file that is older than the settle time counts as unchanged since then.
        """
        found: dict[Path, _State] = {}
        wall = time.time()
        for path in paths:
            if path.suffix.lower() in PARTIAL_SUFFIXES:
                continue
            try:
                status = path.stat()
            except OSError:
                continue  # it vanished, or is a link without a target
            state = self._states.get(path)
            if state is None or (state.size, state.mtime_ns) != (
                status.st_size,
                status.st_mtime_ns,
            ):
                is_old = self._is_first and wall - status.st_mtime >= self._settle
                since = now - PATIENCE if is_old else now
                state = _State(status.st_size, status.st_mtime_ns, since)
            found[path] = state
        self._states, self._is_first = found, False

    def take(self, now: float) -> frozenset[Path]:
        """Returns the files that are complete, each once."""
        ready = [path for path, state in self._states.items() if self._is_ready(path, state, now)]
        for path in ready:
            self._states[path].is_taken = True
        return frozenset(ready)

    def put_back(self, paths: Iterable[Path]) -> None:
        """Takes back files that could not be processed; `take` returns them again."""
        for path in paths:
            if path in self._states:
                self._states[path].is_taken = False

    @property
    def has_pending(self) -> bool:
        """Whether files wait to be complete."""
        return any(not state.is_taken for state in self._states.values())

    def _is_ready(self, path: Path, state: _State, now: float) -> bool:
        age = now - state.since
        if state.is_taken or age < self._settle:
            return False
        return age >= max(self._settle, PATIENCE) or (state.size > 0 and self._is_complete(path))
