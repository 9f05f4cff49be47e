"""ObjectIndex: which objects are below a folder, in about 100 bytes each."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator

from batchcolor.storage.journal_files import STATE_FOLDER
from batchcolor.storage.remote.store import RemoteObject

BITS = 60
"""Of the hashes, which Python stores in 32 bytes each. Two of 10 million names are alike with a
probability of 1 in 20,000; a result would then be kept, or made again."""


class ObjectIndex:
    """The names of objects, and their size and tag as one number."""

    def __init__(self, objects: Iterable[RemoteObject] = ()) -> None:
        self._states: dict[int, int] = {}
        for found in objects:
            self.add(found)

    def __len__(self) -> int:
        return len(self._states)

    def add(self, found: RemoteObject) -> None:
        """Adds an object, or what it is now."""
        self._states[_hash(found.key)] = _hash(f"{found.size} {found.tag}")

    def add_results(self, listing: Iterable[RemoteObject]) -> Iterator[RemoteObject]:
        """Adds the objects of an output, but for those of its state folder, which it yields."""
        for found in listing:
            if found.key.startswith(f"{STATE_FOLDER}/"):
                yield found
            else:
                self.add(found)

    def __contains__(self, key: str) -> bool:
        return _hash(key) in self._states

    def describe(self, key: str) -> str:
        """What an object is: changes with its size or tag, empty where there is none."""
        state = self._states.get(_hash(key))
        return "" if state is None else f"{state:x}"

    def has(self, key: str, size: int, tag: str) -> bool:
        """Whether there is an object of this size and with this tag."""
        return self._states.get(_hash(key)) == _hash(f"{size} {tag}")


def _hash(text: str) -> int:
    digest = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> (64 - BITS)
