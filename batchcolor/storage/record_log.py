"""Records in a file that only grows: after a kill, all complete ones are there.

Each record is stored with its size and CRC-32. What a kill, a power cut or a full disk leaves
incomplete at the end is recognized and removed.
"""

from __future__ import annotations

import contextlib
import struct
import zlib
from pathlib import Path
from typing import BinaryIO

HEADER = struct.Struct("<QI")
"""Size and CRC-32 of the content that follows."""


class RecordLog:
    """One file of records. Raises OSError where it cannot be read or written."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file: BinaryIO | None = None
        self._places: list[tuple[int, int]] = []
        """Offset and size of the content of each record."""

    def __len__(self) -> int:
        return len(self._places)

    def open(self) -> None:
        """Opens or creates the file and finds its complete records."""
        self.path.touch()
        self._file = file = self.path.open("r+b")
        self._places, end = [], 0
        while (size := _read_complete(file)) is not None:
            self._places.append((end + HEADER.size, size))
            end += HEADER.size + size
        file.truncate(end)
        file.seek(end)

    def append(self, content: bytes) -> None:
        """Appends a record and passes it to the system, which keeps it if the process dies."""
        assert self._file is not None
        start = self._file.seek(0, 2)
        self._file.write(HEADER.pack(len(content), zlib.crc32(content)))
        self._file.write(content)
        self._file.flush()
        self._places.append((start + HEADER.size, len(content)))

    def read(self, number: int) -> bytes:
        """Returns the content of a record."""
        assert self._file is not None
        offset, size = self._places[number]
        self._file.seek(offset)
        return self._file.read(size)

    def clear(self) -> None:
        """Removes all records."""
        assert self._file is not None
        self._file.seek(0)
        self._file.truncate()
        self._places = []

    def close(self) -> None:
        """Closes the file; an error of the disk, which `append` reports, is not raised again."""
        file, self._file = self._file, None
        if file is not None:
            with contextlib.suppress(OSError):
                file.close()


def _read_complete(file: BinaryIO) -> int | None:
    """Returns the size of the next record; None where it is missing, incomplete or damaged."""
    header = file.read(HEADER.size)
    if len(header) < HEADER.size:
        return None
    size, expected = HEADER.unpack(header)
    checksum, left = 0, size
    while left:
        chunk = file.read(min(left, 2**20))
        if not chunk:
            return None
        checksum, left = zlib.crc32(chunk, checksum), left - len(chunk)
    return size if checksum == expected else None
