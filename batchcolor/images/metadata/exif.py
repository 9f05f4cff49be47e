"""Reads and changes EXIF blocks (CIPA DC-008) in place, so that every other byte keeps its place.

MakerNotes and private tags refer to positions in the block; a block that is written anew breaks
them. A value that grows is therefore appended, and the directory with it.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from dataclasses import replace

from batchcolor.images.metadata.ifd import (
    ASCII,
    HEADER_SIZE,
    INTEGER_CODES,
    LONG,
    SHORT,
    Directory,
    Entry,
    Layout,
    build_directory,
    build_header,
    integer_entry,
    read_directory,
    read_layout,
)

ORIENTATION, SOFTWARE = 0x0112, 0x0131
X_RESOLUTION, Y_RESOLUTION = 0x011A, 0x011B
EXIF_IFD, GPS_IFD, INTEROPERABILITY_IFD, MAKER_NOTE = 0x8769, 0x8825, 0xA005, 0x927C
POINTERS = frozenset({EXIF_IFD, GPS_IFD, INTEROPERABILITY_IFD})
"""Tags whose value is the offset of a directory."""
PIXEL_WIDTH, PIXEL_HEIGHT = 0xA002, 0xA003
COMPRESSION, THUMBNAIL_OFFSET, THUMBNAIL_LENGTH = 0x0103, 0x0201, 0x0202
IMAGE_WIDTH, IMAGE_HEIGHT, STRIP_OFFSETS = 0x0100, 0x0101, 0x0111
OLD_JPEG = 6
"""Compression of a JPEG thumbnail."""
THUMBNAIL_TAGS = frozenset(
    {
        *(0x00FE, IMAGE_WIDTH, IMAGE_HEIGHT, 0x0102, COMPRESSION, 0x0106, STRIP_OFFSETS, 0x0115),
        *(0x0116, 0x0117, 0x011C, THUMBNAIL_OFFSET, THUMBNAIL_LENGTH, 0x0211, 0x0212, 0x0213),
        *(0x0214, 0x0140, 0x0142, 0x0143, 0x0144, 0x0145),
    }
)
"""Tags of IFD1 that describe how its pixels are stored."""


def read_orientation(block: bytes) -> int | None:
    """Returns the orientation, 1 for a value that is not 1 to 8; None where there is no such tag.

    Raises DamagedDirectoryError for a block whose first directory cannot be read.
    """
    layout = read_layout(block)
    entry = read_directory(block, layout, layout.first).entries.get(ORIENTATION)
    if entry is None or entry.count != 1:
        return None
    (value,) = entry.integers(layout.order) or (1,)
    return value if 1 <= value <= 8 else 1


def mark_block_as_upright(block: bytes, *, is_turned: bool) -> bytes:
    """Returns the block with orientation 1; `is_turned` exchanges width and height."""
    layout = read_layout(block)
    main = read_directory(block, layout, layout.first)
    changed = bytearray(block)
    _put_integer(changed, main.entries.get(ORIENTATION), 1, layout.order)
    if is_turned:
        exif = _read_sub_directory(block, layout, main, EXIF_IFD)
        _exchange(changed, main, X_RESOLUTION, Y_RESOLUTION)
        _exchange(changed, exif, PIXEL_WIDTH, PIXEL_HEIGHT)
    thumbnail = _read_thumbnail_directory(block, layout, main)
    _put_integer(changed, thumbnail.entries.get(ORIENTATION), 1, layout.order)
    return bytes(changed)


def set_text(block: bytes, tag: int, text: str) -> bytes:
    """Returns the block with a text (UTF-8) in its first directory; a new block for an empty one.

    Raises DamagedDirectoryError for a block whose first directory cannot be read.
    """
    value = text.encode() + b"\0"
    return set_entries(block, [Entry(tag, ASCII, len(value), value)])


def set_entries(block: bytes, entries: Iterable[Entry]) -> bytes:
    """Returns the block with a new first directory at its end; old values keep their place."""
    if not block:
        return build_header("<", HEADER_SIZE) + build_directory(entries, "<", HEADER_SIZE)
    layout = read_layout(block)
    main = read_directory(block, layout, layout.first)
    kept = dict(main.entries)
    kept.update({entry.tag: replace(entry, offset=0) for entry in entries})
    block += b"\0" * (len(block) % 2)
    directory = build_directory(kept.values(), layout.order, len(block), main.next)
    return build_header(layout.order, len(block)) + block[HEADER_SIZE:] + directory


def remove_orientation(block: bytes) -> bytes:
    """Returns the block without the tag, for encoders that build a block with it anew."""
    if ORIENTATION not in read_tags(block):
        return block
    layout = read_layout(block)
    main = read_directory(block, layout, layout.first)
    kept = [entry for tag, entry in main.entries.items() if tag != ORIENTATION]
    block += b"\0" * (len(block) % 2)
    directory = build_directory(kept, layout.order, len(block), main.next)
    return build_header(layout.order, len(block)) + block[HEADER_SIZE:] + directory


def read_tags(block: bytes) -> dict[int, Entry]:
    """Returns the entries of the first directory; nothing for an empty block."""
    if not block:
        return {}
    layout = read_layout(block)
    return read_directory(block, layout, layout.first).entries


def has_thumbnail(block: bytes) -> bool:
    """Whether the block has a second directory with a thumbnail."""
    layout = read_layout(block)
    main = read_directory(block, layout, layout.first)
    found = _read_thumbnail_directory(block, layout, main).entries
    return THUMBNAIL_OFFSET in found or STRIP_OFFSETS in found


def read_thumbnail(block: bytes) -> bytes:
    """Returns the thumbnail if it is a JPEG, else nothing."""
    layout = read_layout(block)
    main = read_directory(block, layout, layout.first)
    found = _read_thumbnail_directory(block, layout, main)
    start = found.first_integer(THUMBNAIL_OFFSET, layout.order) or 0
    length = found.first_integer(THUMBNAIL_LENGTH, layout.order) or 0
    thumbnail = block[start : start + length] if start + length <= len(block) else b""
    return thumbnail if thumbnail.startswith(b"\xff\xd8") else b""


def replace_thumbnail(block: bytes, jpeg: bytes) -> bytes:
    """Returns the block with another thumbnail; the old bytes are overwritten.

    It takes the place of the old one where it fits there, else it is appended.
    """
    layout = read_layout(block)
    main = read_directory(block, layout, layout.first)
    found = _read_thumbnail_directory(block, layout, main)
    old = read_thumbnail(block)
    if not old:
        return _append_thumbnail(block, layout, found, jpeg)
    start = found.first_integer(THUMBNAIL_OFFSET, layout.order) or 0
    changed = bytearray(block)
    changed[start : start + len(old)] = jpeg[: len(old)].ljust(len(old), b"\0")
    if len(jpeg) > len(old):
        if start + len(old) < len(block):
            changed[start : start + len(old)] = bytes(len(old))
            changed += bytes(len(changed) % 2)
            start = len(changed)
        changed[start:] = jpeg
    _put_integer(changed, found.entries[THUMBNAIL_OFFSET], start, layout.order)
    _put_integer(changed, found.entries[THUMBNAIL_LENGTH], len(jpeg), layout.order)
    return bytes(changed)


def remove_thumbnail(block: bytes) -> bytes:
    """Returns the block without its second directory; bytes of the thumbnail at the end go too."""
    layout = read_layout(block)
    main = read_directory(block, layout, layout.first)
    if not main.next:
        return block
    old, changed = read_thumbnail(block), bytearray(block)
    struct.pack_into(f"{layout.order}I", changed, main.offset + 2 + _count(block, layout) * 12, 0)
    if old and block.endswith(old):
        del changed[-len(old) :]
    return bytes(changed)


def _append_thumbnail(block: bytes, layout: Layout, found: Directory, jpeg: bytes) -> bytes:
    """Appends a directory and a JPEG thumbnail in place of one with samples in strips."""
    kept = [entry for tag, entry in found.entries.items() if tag not in THUMBNAIL_TAGS]
    block += b"\0" * (len(block) % 2)
    size = 2 + 12 * (len(kept) + 3) + 4
    entries = [
        *kept,
        integer_entry(COMPRESSION, SHORT, [OLD_JPEG], layout.order),
        integer_entry(THUMBNAIL_OFFSET, LONG, [len(block) + size], layout.order),
        integer_entry(THUMBNAIL_LENGTH, LONG, [len(jpeg)], layout.order),
    ]
    directory = build_directory(entries, layout.order, len(block), found.next)
    changed = bytearray(block)
    place = layout.first + 2 + _count(block, layout) * 12
    struct.pack_into(f"{layout.order}I", changed, place, len(block))
    return bytes(changed) + directory + jpeg


def _count(block: bytes, layout: Layout) -> int:
    """Returns the number of entries that the first directory states."""
    return int(struct.unpack_from(f"{layout.order}H", block, layout.first)[0])


def _read_sub_directory(block: bytes, layout: Layout, parent: Directory, tag: int) -> Directory:
    """Returns the directory that a tag points to; an empty one where it cannot be read."""
    return _read_or_empty(block, layout, parent.first_integer(tag, layout.order) or 0)


def _read_thumbnail_directory(block: bytes, layout: Layout, main: Directory) -> Directory:
    return _read_or_empty(block, layout, main.next)


def _read_or_empty(block: bytes, layout: Layout, offset: int) -> Directory:
    try:
        return read_directory(block, layout, offset) if offset else Directory(0)
    except ValueError:
        return Directory(0)


def _put_integer(block: bytearray, entry: Entry | None, value: int, order: str) -> None:
    """Writes an integer in its entry. Other values may lie anywhere in a damaged block."""
    if entry is not None and entry.type in INTEGER_CODES and entry.count == 1:
        struct.pack_into(order + INTEGER_CODES[entry.type], block, entry.offset, value)


def _exchange(block: bytearray, directory: Directory, first: int, second: int) -> None:
    """Exchanges the values of two entries of one type and count."""
    one, other = directory.entries.get(first), directory.entries.get(second)
    if not one or not other or min(one.offset, other.offset) < HEADER_SIZE:
        return
    if (one.type, one.count) == (other.type, other.count):
        block[one.offset : one.offset + len(one.value)] = other.value
        block[other.offset : other.offset + len(other.value)] = one.value
