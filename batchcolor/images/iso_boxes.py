"""Boxes of the ISO base media file format, of which HEIF, JPEG 2000 and JPEG XL files consist.

Source: ISO/IEC 14496-12, section 4.2.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO

BOX_HEADER = 8
"""Bytes of size and type before the content."""


def build_box(kind: bytes, content: bytes) -> bytes:
    """Returns a box of less than 4 GiB."""
    return (BOX_HEADER + len(content)).to_bytes(4, "big") + kind + content


def iterate_boxes(file: BinaryIO, position: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """Yields type, position and size of the content of each box, with the file at its content.

    The size of a box that goes on after `end` is cut. Raises ValueError for a damaged size.
    """
    while position + BOX_HEADER <= end:
        file.seek(position)
        header = file.read(16)
        size, start = int.from_bytes(header[:4], "big"), position + BOX_HEADER
        if size == 1:
            size, start = int.from_bytes(header[8:], "big"), position + 16
        following = position + size if size else end
        if following < start:
            raise ValueError("damaged: a box has no size")
        file.seek(start)
        yield header[4:8], start, min(following, end) - start
        position = following
