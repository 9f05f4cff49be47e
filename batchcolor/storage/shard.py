"""Shards: the parts of one job that several processes or computers do at the same time.

A source belongs to the shard that a hash of its name gives: its path below the source folders, as
decisions name it. So every process finds the same parts, in whatever order it lists the folders.
"""

from __future__ import annotations

import hashlib
import math
import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from batchcolor.errors import UsageError

MAX_SHARDS = 1_000_000
TAG = re.compile(r"([1-9][0-9]{0,6})-of-([1-9][0-9]{0,6})")


@dataclass(frozen=True, order=True)
class Shard:
    """Part `index`, from 1, of a job of `count` parts. Raises UsageError for other numbers."""

    index: int
    count: int

    def __post_init__(self) -> None:
        if not 1 <= self.index <= self.count <= MAX_SHARDS:
            limit = f", and at most {MAX_SHARDS:,}" if self.count > MAX_SHARDS else ""
            raise UsageError(
                f"--shard {self.index}/{self.count}: I/N is a part from 1 to N of N parts{limit}, "
                f"as 1/4"
            )

    def __str__(self) -> str:
        return f"{self.index}/{self.count}"

    @property
    def tag(self) -> str:
        """What stands in names of files that belong to this shard."""
        return f"{self.index}-of-{self.count}"

    def has(self, name: str) -> bool:
        """Whether the source with this name, a path with forward slashes, is in this shard."""
        return hash_name(name) % self.count == self.index - 1

    def overlaps(self, other: Shard) -> bool:
        """Whether a source can be in both shards."""
        return (self.index - other.index) % math.gcd(self.count, other.count) == 0

    def contains(self, other: Shard) -> bool:
        """Whether every source of the other shard is in this one."""
        return other.count % self.count == 0 and self.overlaps(other)

    def name_file(self, path: Path) -> Path:
        """The path with the shard in its name: `report-1-of-4.json` for `report.json`."""
        return path.with_name(f"{path.stem}-{self.tag}{path.suffix}")


class ShardSet:
    """Shards of any numbers; finds quickly whether one of them has a source in common."""

    def __init__(self, shards: Iterable[Shard] = ()) -> None:
        self._indexes: dict[int, set[int]] = {}
        self._residues: dict[tuple[int, int], set[int]] = {}
        """Indexes of a count, modulo a divisor of it."""
        for shard in shards:
            self.add(shard)

    def add(self, shard: Shard) -> None:
        """Adds a shard."""
        self._indexes.setdefault(shard.count, set()).add(shard.index)
        for (count, divisor), residues in self._residues.items():
            if count == shard.count:
                residues.add(shard.index % divisor)

    def overlaps(self, shard: Shard) -> bool:
        """Whether a source can be in this shard and in one of the set."""
        for count, indexes in self._indexes.items():
            divisor = math.gcd(count, shard.count)
            if (count, divisor) not in self._residues:
                self._residues[count, divisor] = {index % divisor for index in indexes}
            if shard.index % divisor in self._residues[count, divisor]:
                return True
        return False


WHOLE = Shard(1, 1)
"""All sources: what a job without shards does."""


def hash_name(name: str) -> int:
    """A number of 64 bits for a name, the same on every computer.

    Systems store accents in one or in two characters (NFC, NFD): both give the same number.
    """
    text = name if name.isascii() else unicodedata.normalize("NFC", name)
    digest = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "big")


def parse_shard(text: str) -> Shard:
    """The shard of `I/N`. Raises UsageError."""
    index, slash, count = text.strip().partition("/")
    if not (slash and index.strip().isdecimal() and count.strip().isdecimal()):
        raise UsageError(f"--shard {text}: write it as I/N, as 1/4 for the first of four parts")
    return Shard(int(index), int(count))


def parse_tag(text: str) -> Shard | None:
    """The shard of a tag; None for any other text."""
    found = TAG.fullmatch(text)
    if found is None:
        return None
    index, count = int(found[1]), int(found[2])
    return Shard(index, count) if index <= count <= MAX_SHARDS else None
