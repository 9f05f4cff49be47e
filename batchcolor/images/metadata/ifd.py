"""Reads and writes the directories (IFD) of TIFF, BigTIFF and EXIF (TIFF 6.0, section 2).

Values stay as stored, in the byte order of their file, so that what is not understood is kept.
"""

from __future__ import annotations

import mmap
import struct
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

BYTE, ASCII, SHORT, LONG, UNDEFINED, IFD, LONG8, SLONG8, IFD8 = 1, 2, 3, 4, 7, 13, 16, 17, 18
TYPE_SIZES = {
    **{BYTE: 1, ASCII: 1, SHORT: 2, LONG: 4, 5: 8, 6: 1, UNDEFINED: 1, 8: 2, 9: 4, 10: 8, 11: 4},
    **{12: 8, IFD: 4, LONG8: 8, SLONG8: 8, IFD8: 8, 129: 1},
}
"""Bytes of one value by field type; 16 to 18 are those of BigTIFF, 129 is UTF-8 (EXIF 3.0)."""
SWAP_SIZES = {**TYPE_SIZES, 5: 4, 10: 4}
"""Bytes that change places where the byte order changes; a rational is two integers."""
HEADER_SIZE = 8
INTEGER_CODES = {BYTE: "B", SHORT: "H", LONG: "I", IFD: "I", LONG8: "Q", IFD8: "Q", 8: "h", 9: "i"}

Data = bytes | mmap.mmap
"""A TIFF structure in memory or in a mapped file."""


class DamagedDirectoryError(ValueError):
    """A header or directory that cannot be read."""


@dataclass(frozen=True)
class Layout:
    """What the header of a TIFF structure states. `order` is `<` or `>` as in `struct`."""

    order: str
    is_big: bool
    first: int
    """Offset of the first directory; 0 where there is none."""


@dataclass(frozen=True)
class Entry:
    """One tag with its value as stored. `offset` is the position of the value in its file."""

    tag: int
    type: int
    count: int
    value: bytes
    offset: int = 0

    def integers(self, order: str) -> tuple[int, ...]:
        """Returns the values of an integer type; nothing for other types."""
        code = INTEGER_CODES.get(self.type)
        return struct.unpack(f"{order}{self.count}{code}", self.value) if code else ()


@dataclass(frozen=True)
class Directory:
    """The entries of a directory by tag, and the offset of the next one or 0.

    `offset` is its own position. Entries whose values lie outside the file are not in it.
    """

    offset: int
    entries: dict[int, Entry] = field(default_factory=dict)
    next: int = 0

    def first_integer(self, tag: int, order: str) -> int | None:
        """Returns the first value of a tag with an integer type, or None."""
        entry = self.entries.get(tag)
        values = entry.integers(order) if entry else ()
        return values[0] if values else None


def integer_entry(tag: int, kind: int, values: Iterable[int], order: str) -> Entry:
    """Returns an entry with integers."""
    numbers = tuple(values)
    value = struct.pack(f"{order}{len(numbers)}{INTEGER_CODES[kind]}", *numbers)
    return Entry(tag, kind, len(numbers), value)


def read_layout(data: Data) -> Layout:
    """Reads the header. Raises DamagedDirectoryError where it is none."""
    order = {b"II": "<", b"MM": ">"}.get(bytes(data[:2]))
    if order is None or len(data) < HEADER_SIZE:
        raise DamagedDirectoryError("no TIFF header")
    version = struct.unpack_from(f"{order}H", data, 2)[0]
    if version == 43 and len(data) >= 16:
        return Layout(order, True, struct.unpack_from(f"{order}Q", data, 8)[0])
    return Layout(order, False, struct.unpack_from(f"{order}I", data, 4)[0])


def read_directory(data: Data, layout: Layout, offset: int) -> Directory:
    """Reads the directory at `offset`. Raises DamagedDirectoryError where it leaves the file."""
    count_code, entry_size, inline = ("Q", 20, 8) if layout.is_big else ("H", 12, 4)
    pointer_code = "Q" if layout.is_big else "I"
    try:
        count = struct.unpack_from(layout.order + count_code, data, offset)[0]
        position = offset + struct.calcsize(layout.order + count_code)
        end = position + count * entry_size
        if end > len(data):
            raise DamagedDirectoryError(f"a directory of {count} tags leaves the file")
        entries: dict[int, Entry] = {}
        for place in range(position, end, entry_size):
            tag, kind, number = struct.unpack_from(f"{layout.order}HH{pointer_code}", data, place)
            size = TYPE_SIZES.get(kind, 0) * number
            start = place + entry_size - inline
            if size > inline:
                start = struct.unpack_from(layout.order + pointer_code, data, start)[0]
            if kind in TYPE_SIZES and start + size <= len(data) and tag not in entries:
                value = bytes(data[start : start + size])
                entries[tag] = Entry(tag, kind, number, value, start)
        has_next = end + struct.calcsize(pointer_code) <= len(data)
        following = struct.unpack_from(layout.order + pointer_code, data, end)[0] if has_next else 0
    except (struct.error, OverflowError) as error:
        raise DamagedDirectoryError("a directory leaves the file") from error
    return Directory(offset, entries, following)


def build_header(order: str, first: int) -> bytes:
    """Returns the header of a classic TIFF structure."""
    return (b"II" if order == "<" else b"MM") + struct.pack(f"{order}HI", 42, first)


def build_directory(entries: Iterable[Entry], order: str, offset: int, following: int = 0) -> bytes:
    """Returns a classic directory for the position `offset`, with its values after it.

    An entry with an `offset` other than 0 refers to a value that is already in the file.
    """
    ordered = sorted(entries, key=lambda entry: entry.tag)
    head = struct.pack(f"{order}H", len(ordered))
    values = b""
    start = offset + 2 + 12 * len(ordered) + 4
    for entry in ordered:
        head += struct.pack(f"{order}HHI", entry.tag, entry.type, entry.count)
        if len(entry.value) <= 4:
            head += entry.value.ljust(4, b"\0")
        elif entry.offset:
            head += struct.pack(f"{order}I", entry.offset)
        else:
            head += struct.pack(f"{order}I", start + len(values))
            values += entry.value + b"\0" * (len(entry.value) % 2)
    return head + struct.pack(f"{order}I", following) + values


def to_classic(entry: Entry, order: str) -> Entry:
    """Returns an entry of BigTIFF with the field types of classic TIFF.

    Raises struct.error for a value that 32 bits cannot hold.
    """
    kinds = {LONG8: LONG, IFD8: IFD, SLONG8: 9}
    if entry.type not in kinds:
        return entry
    code = "q" if entry.type == SLONG8 else "Q"
    numbers = struct.unpack(f"{order}{entry.count}{code}", entry.value)
    return replace(integer_entry(entry.tag, kinds[entry.type], numbers, order), offset=entry.offset)


def change_byte_order(entry: Entry) -> Entry:
    """Returns the entry with its numbers in the other byte order."""
    size = SWAP_SIZES[entry.type]
    parts = [entry.value[i : i + size][::-1] for i in range(0, len(entry.value), size)]
    return replace(entry, value=b"".join(parts))
