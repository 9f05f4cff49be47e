"""Reads and changes Photoshop image resources (Adobe Photoshop File Formats Specification)."""

from __future__ import annotations

import struct
from collections.abc import Collection, Iterator

IPTC_RESOURCE, OLD_THUMBNAIL, THUMBNAIL = 0x0404, 0x0409, 0x040C
IPTC_DIGEST = 0x0425
DERIVED_RESOURCES = frozenset({IPTC_RESOURCE, IPTC_DIGEST, OLD_THUMBNAIL, THUMBNAIL})
"""Resources that repeat what is elsewhere: IPTC, its checksum, and the picture."""
SIGNATURES = (b"8BIM", b"PHUT", b"AgHg", b"DCSR", b"MeSa")


def read_resources(block: bytes) -> dict[int, bytes]:
    """Returns the content of resources by number, of a damaged block those before the damage."""
    found: dict[int, bytes] = {}
    for number, start, size, _ in _walk(block):
        found.setdefault(number, block[start : start + size])
    return found


def drop_truncated(block: bytes, notes: list[str]) -> bytes:
    """Returns the block without a resource that exceeds it; decoders refuse such a file."""
    end = max((start + size + size % 2 for _, start, size, _ in _walk(block)), default=0)
    if block[end : end + 4] not in SIGNATURES:
        return block
    notes.append("truncated Photoshop resource dropped")
    return block[:end]


def remove_resources(block: bytes, numbers: Collection[int]) -> bytes:
    """Returns the block without some resources; all other bytes are unchanged."""
    kept, position = b"", 0
    for number, start, size, first in _walk(block):
        if number in numbers:
            kept += block[position:first]
            position = start + size + size % 2
    return kept + block[position:]


def add_resource(block: bytes, number: int, content: bytes) -> bytes:
    """Returns the block with one more resource, without a name, at its end."""
    head = b"8BIM" + struct.pack(">HHI", number, 0, len(content))
    return block + head + content + b"\0" * (len(content) % 2)


def build_thumbnail(jpeg: bytes, width: int, height: int) -> bytes:
    """Returns the content of a thumbnail resource with a JPEG in it."""
    row = (width * 24 + 31) // 32 * 4
    header = struct.pack(">6IHH", 1, width, height, row, row * height, len(jpeg), 24, 1)
    return header + jpeg


def _walk(block: bytes) -> Iterator[tuple[int, int, int, int]]:
    """Yields number, start and size of the content, and the first byte of each resource."""
    position = 0
    while block[position : position + 4] in SIGNATURES and position + 12 <= len(block):
        name = block[position + 6] + 1
        start = position + 6 + name + name % 2 + 4
        if start > len(block):
            return
        size = struct.unpack_from(">I", block, start - 4)[0]
        if start + size > len(block):
            return
        yield struct.unpack_from(">H", block, position + 4)[0], start, size, position
        position = start + size + size % 2
