"""Reads a page of a TIFF as it is stored, for its copy in another file.

Errors of the source become ProcessingError of the step "decode" here, so that a caller can tell
them from errors of the file that it writes.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

from batchcolor.errors import ProcessingError
from batchcolor.images.decode_errors import describe_error
from batchcolor.images.metadata.ifd import (
    DamagedDirectoryError,
    Directory,
    read_directory,
    read_layout,
)

STRIP_OFFSETS, TILE_OFFSETS = 0x0111, 0x0144
SEGMENT_TAGS = {STRIP_OFFSETS: 0x0117, TILE_OFFSETS: 0x0145}
"""Tags of the offsets of strips and tiles, and those of their sizes."""
WIDTH, HEIGHT, BITS, COMPRESSION, PHOTOMETRIC = 0x0100, 0x0101, 0x0102, 0x0103, 0x0106
SAMPLES, ROWS_PER_STRIP, PLANAR, TILE_WIDTH, TILE_HEIGHT = 0x0115, 0x0116, 0x011C, 0x0142, 0x0143
UNCOMPRESSED, YCBCR, SEPARATE_PLANES = 1, 6, 2
CHUNK = 2**20


class PageSource:
    """A TIFF whose pages are copied. `order` is the byte order that it had when it was planned.

    Raises ProcessingError where it cannot be read.
    """

    def __init__(self, path: Path, order: str) -> None:
        try:
            self._file = path.open("rb")
        except OSError as error:
            raise ProcessingError("decode", describe_error(error)) from error
        try:
            mapped = mmap.mmap(self._file.fileno(), 0, access=mmap.ACCESS_READ)
            self.data: Any = mapped
            self.layout = read_layout(self.data)
            if self.layout.order != order:
                raise DamagedDirectoryError("changed while the job ran")
        except (OSError, ValueError) as error:
            self._file.close()
            raise ProcessingError("decode", describe_error(error)) from error

    def __enter__(self) -> PageSource:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.data.close()
        self._file.close()

    def read_page(self, offset: int) -> Directory:
        """Returns the directory of a page. Raises ProcessingError."""
        try:
            return read_directory(self.data, self.layout, offset)
        except DamagedDirectoryError as error:
            raise ProcessingError("decode", describe_error(error)) from error

    def list_segments(self, directory: Directory, tag: int) -> list[tuple[int, int]]:
        """Returns offset and size of each strip or tile, all inside the file.

        Sizes that the directory lacks are computed; one that leaves the file ends with it. Raises
        DamagedDirectoryError.
        """
        order, end = self.layout.order, len(self.data)
        offsets = directory.entries[tag].integers(order)
        counts_entry = directory.entries.get(SEGMENT_TAGS[tag])
        counts = counts_entry.integers(order) if counts_entry else ()
        if not offsets or min(offsets) < 0 or max(offsets) > end:
            raise DamagedDirectoryError("its samples are outside the file")
        segments = []
        for index, offset in enumerate(offsets):
            if index < len(counts):
                size = max(0, counts[index])
            else:
                size = self._compute_size(directory, tag, index, offsets)
            segments.append((offset, min(size, end - offset)))
        return segments

    def read_chunks(self, offset: int, size: int) -> Iterator[bytes]:
        """Yields the bytes of a strip or tile. Raises ProcessingError.

        Reads the file and not its mapping: where the disk fails, a mapping ends the process.
        """
        while size:
            try:
                self._file.seek(offset)
                chunk = self._file.read(min(size, CHUNK))
            except OSError as error:
                raise ProcessingError("decode", describe_error(error)) from error
            if not chunk:
                raise ProcessingError("decode", "truncated while the job ran")
            yield chunk
            offset, size = offset + len(chunk), size - len(chunk)

    def _compute_size(
        self, directory: Directory, tag: int, index: int, offsets: tuple[int, ...]
    ) -> int:
        """Returns the size of a segment, or, where it is compressed, an upper limit of it."""
        size = self._compute_uncompressed_size(directory, tag, index)
        if size is not None:
            return size
        limits = [*offsets, directory.offset, len(self.data)]
        return min(limit for limit in limits if limit > offsets[index]) - offsets[index]

    def _compute_uncompressed_size(self, directory: Directory, tag: int, index: int) -> int | None:
        order = self.layout.order

        def read(wanted: int, default: int) -> int:
            value = directory.first_integer(wanted, order)
            return default if value is None else value

        is_subsampled = read(PHOTOMETRIC, 0) == YCBCR
        if read(COMPRESSION, UNCOMPRESSED) != UNCOMPRESSED or is_subsampled:
            return None
        width, rows = read(WIDTH, 0), read(HEIGHT, 0)
        samples = 1 if read(PLANAR, 1) == SEPARATE_PLANES else read(SAMPLES, 1)
        if tag == TILE_OFFSETS:
            width, rows = read(TILE_WIDTH, 0), read(TILE_HEIGHT, 0)
        else:
            strip_rows = max(1, min(rows, read(ROWS_PER_STRIP, rows)))
            strips = max(1, -(-rows // strip_rows))  # of one plane
            rows = min(strip_rows, rows - index % strips * strip_rows)
        return -(-width * samples * read(BITS, 1) // 8) * rows
