"""Finds the parts of GIF frames as FFmpeg passes them (GIF 89a, sections 15 to 23).

The first packet of a file or of an encoder begins with the header and the global colour table.
"""

from __future__ import annotations

from collections.abc import Iterator

SIGNATURES = (b"GIF87a", b"GIF89a")
HEADER_SIZE, DESCRIPTOR_SIZE = 13, 10
EXTENSION, IMAGE = 0x21, 0x2C
HAS_TABLE = 0x80
DEPTH = 0x07
"""Bits of flags: whether a colour table follows, and its size."""


def find_image(packet: bytes) -> int | None:
    """Returns the offset of the image descriptor, after a header and extensions; else None."""
    return next((place for place in _iterate_blocks(packet) if packet[place] == IMAGE), None)


def _iterate_blocks(packet: bytes) -> Iterator[int]:
    """Yields the offset of each extension behind a header, and of the first image descriptor."""
    position = 0
    if packet.startswith(SIGNATURES):
        position = HEADER_SIZE + table_size(packet[10]) if len(packet) > HEADER_SIZE else 0
    while position < len(packet) and packet[position] in (EXTENSION, IMAGE):
        yield position
        if packet[position] == IMAGE:
            return
        position += 2
        while position < len(packet) and packet[position]:
            position += 1 + packet[position]
        position += 1


def table_size(flags: int) -> int:
    """Returns the bytes of a colour table."""
    return 3 << ((flags & DEPTH) + 1) if flags & HAS_TABLE else 0
