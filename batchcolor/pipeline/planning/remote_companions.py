"""Companion files of objects: which objects of a listing say how another one is coloured.

A listing is in the order of its keys, so a picture waits only until the listing is past the names
that its companions may have.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterator
from typing import TypeAlias

from batchcolor.images.companion_files import DECISION_SUFFIX, HINTS_SUFFIX
from batchcolor.images.scan import SkippedEntry
from batchcolor.storage.remote.errors import StorageError
from batchcolor.storage.remote.store import RemoteObject

Entry: TypeAlias = RemoteObject | SkippedEntry
WithCompanions: TypeAlias = tuple[Entry, tuple[RemoteObject, ...]]
"""An entry of a listing, and its companion files; a skipped one has none."""


def attach_companions(
    entries: Iterator[Entry], companions: dict[str, RemoteObject], *, is_sorted: bool
) -> Iterator[WithCompanions]:
    """Yields the entries in their order, each with its companion files.

    `companions`, by their keys, has those that were listed so far when an entry comes, and, where
    the listing is not sorted by key, all of them.
    """
    waiting: deque[Entry] = deque()
    try:
        for entry in entries:
            key = entry.key if isinstance(entry, RemoteObject) else None
            while waiting and (not is_sorted or _is_past(waiting[0], key)):
                yield _attach(waiting.popleft(), companions)
            if is_sorted and key is not None and not waiting:
                _drop_passed(companions, key)
            waiting.append(entry)
    except StorageError:
        # What was listed is coloured; a companion that the next run finds colours it again.
        while waiting:
            yield _attach(waiting.popleft(), companions)
        raise
    while waiting:
        yield _attach(waiting.popleft(), companions)


def list_companion_keys(key: str) -> Iterator[tuple[str, ...]]:
    """Yields the keys that each kind of companion of an object may have; the first wins."""
    for suffix in (DECISION_SUFFIX, HINTS_SUFFIX):
        yield tuple(dict.fromkeys((key + suffix, _stem(key) + suffix)))


def _stem(key: str) -> str:
    return os.path.splitext(key)[0]  # noqa: PTH122  (of the store)


def _is_past(waiting: Entry, key: str | None) -> bool:
    """Whether a listing that has come to `key` lists no companion of an entry any more."""
    if isinstance(waiting, SkippedEntry):
        return True
    prefix = f"{_stem(waiting.key)}."
    return key is not None and key > prefix and not key.startswith(prefix)


def _attach(entry: Entry, companions: dict[str, RemoteObject]) -> WithCompanions:
    if isinstance(entry, SkippedEntry) or not companions:
        return entry, ()
    found = (
        next((companions[key] for key in keys if key in companions), None)
        for keys in list_companion_keys(entry.key)
    )
    return entry, tuple(one for one in found if one is not None)


def _drop_passed(companions: dict[str, RemoteObject], key: str) -> None:
    """Forgets the companions of what lies before `key`: a long listing keeps few in memory."""
    for listed in list(companions):
        base = listed.removesuffix(DECISION_SUFFIX).removesuffix(HINTS_SUFFIX)
        if key <= base or key.startswith(base):
            return
        del companions[listed]
