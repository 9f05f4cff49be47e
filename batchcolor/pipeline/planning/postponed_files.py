"""Files of other shards: their names count where a name of this shard depends on them.

Jobs have millions of such files, so each is kept as a record of bytes instead of objects.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import TypeAlias

from batchcolor.images.scan import UnopenedFile

DIGEST_SIZE = 8
"""Bytes of a digest of a folder and a stem. Two that are equal only cause a file to be opened."""
RECORD = struct.Struct(f"<{DIGEST_SIZE}sQIQH")
"""Digest, position in the scan, number of the folder, place and size of the name in bytes."""
BUCKETS = 2**14
ENCODING = ("utf-8", "surrogatepass")

Folder: TypeAlias = tuple[Path, Path, Path]
"""The folder of its source in the output folder, the folder, and that relative to the source."""


@dataclass(frozen=True, slots=True)
class PostponedFile:
    """A file that is not opened before a name depends on it.

    `below` is the folder of its source in the output folder, `order` its position in the scan.
    """

    below: Path
    file: UnopenedFile
    order: int


class PostponedFiles:
    """Files by the beginning of the names that their results can have.

    A result has the stem of its source, or that stem, a dash and more. So what a result may be
    called depends only on files whose stem is its own up to its end or to one of its dashes.
    """

    def __init__(self) -> None:
        self._buckets: dict[int, bytearray] = {}
        """Records, by the digest of the folder of the result and the stem in lower case."""
        self._names = bytearray()
        """The names of all files, one after the other."""
        self._folders: dict[Folder, tuple[int, str]] = {}
        """Number of each folder, and the folder of its results in lower case."""
        self._numbered: list[Folder] = []

    def add(self, postponed: PostponedFile) -> None:
        """Adds a file."""
        file = postponed.file
        number, folder = self._number_folder((postponed.below, file.folder, file.below))
        stem = file.name.removesuffix(Path(file.name).suffix).casefold()
        digest, name = _digest(folder, stem), file.name.encode(*ENCODING)
        record = RECORD.pack(digest, postponed.order, number, len(self._names), len(name))
        self._bucket(digest).extend(record)
        self._names += name

    def take(self, result: str, order: int) -> list[PostponedFile]:
        """Removes and returns the files before `order` that may have a result of this name.

        `result` is a path relative to the output folder in lower case.
        """
        folder, _, name = result.rpartition(os.sep)
        stems = _list_stems(name) if self._names else ()
        taken = [one for stem in stems for one in self._take(_digest(folder or ".", stem), order)]
        return sorted(taken, key=lambda one: one.order)

    def _take(self, digest: bytes, order: int) -> Iterator[PostponedFile]:
        bucket = self._bucket(digest)
        start = bucket.find(digest)
        while start >= 0:
            if start % RECORD.size:  # bytes of two records
                start += 1
            else:
                found = self._read(bucket, start)
                if found.order < order:
                    del bucket[start : start + RECORD.size]
                    yield found
                else:
                    start += RECORD.size
            start = bucket.find(digest, start)

    def _read(self, bucket: bytearray, start: int) -> PostponedFile:
        _, order, number, place, size = RECORD.unpack_from(bucket, start)
        below, folder, relative = self._numbered[number]
        name = self._names[place : place + size].decode(*ENCODING)
        return PostponedFile(below, UnopenedFile(folder, name, relative), order)

    def _number_folder(self, folder: Folder) -> tuple[int, str]:
        found = self._folders.get(folder)
        if found is None:
            below, _, relative = folder
            found = len(self._numbered), str(below / relative).casefold()
            self._folders[folder] = found
            self._numbered.append(folder)
        return found

    def _bucket(self, digest: bytes) -> bytearray:
        return self._buckets.setdefault(int.from_bytes(digest[:2]) % BUCKETS, bytearray())


def _digest(folder: str, stem: str) -> bytes:
    text = f"{folder}{os.sep}{stem}"
    return blake2b(text.encode(*ENCODING), digest_size=DIGEST_SIZE).digest()


def _list_stems(result: str) -> Iterator[str]:
    """The stems that a source may have whose result has this name."""
    yield result
    stem, suffix = os.path.splitext(result)  # noqa: PTH122  (a text, not a path)
    if suffix:
        yield stem
    dash = result.find("-", 1)
    while dash > 0:
        yield result[:dash]
        dash = result.find("-", dash + 1)
