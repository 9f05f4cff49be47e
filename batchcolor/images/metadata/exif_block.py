"""Builds EXIF blocks from the directories of TIFF files and of other blocks."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace

from batchcolor.images.metadata.exif import (
    EXIF_IFD,
    GPS_IFD,
    INTEROPERABILITY_IFD,
    MAKER_NOTE,
)
from batchcolor.images.metadata.ifd import (
    HEADER_SIZE,
    LONG,
    DamagedDirectoryError,
    Data,
    Directory,
    Entry,
    Layout,
    build_directory,
    build_header,
    integer_entry,
    read_directory,
    read_layout,
    to_classic,
)
from batchcolor.images.metadata.maker_note import move_maker_note

POINTERS = frozenset({EXIF_IFD, GPS_IFD, INTEROPERABILITY_IFD})


def build_block(
    data: Data,
    layout: Layout,
    entries: dict[int, Entry],
    notes: list[str],
    dropped: Collection[int] = (),
) -> bytes:
    """Returns an EXIF block of entries of the main directory and the directories below them.

    Values stay as stored; MakerNotes are moved. Tags in `dropped` are not copied.
    """
    block = bytearray(build_header(layout.order, HEADER_SIZE))
    writer = _BlockWriter(data, layout, notes, dropped, block)
    writer.append(entries, POINTERS)
    return bytes(block)


@dataclass
class _BlockWriter:
    """Copies directories of a file to the end of a block."""

    data: Data
    layout: Layout
    notes: list[str]
    dropped: Collection[int]
    block: bytearray

    def append(self, entries: dict[int, Entry], pointers: Collection[int]) -> int:
        """Appends a directory, its MakerNote and the directories below it; returns its offset."""
        order, offset = self.layout.order, len(self.block)
        entries = {tag: entry for tag, entry in entries.items() if tag not in self.dropped}
        below = {tag: found for tag in pointers if (found := self._read_below(entries, tag))}
        final = {t: to_classic(e, order) for t, e in entries.items() if t not in POINTERS}
        final = {tag: replace(entry, offset=0) for tag, entry in final.items()}
        final.update({tag: integer_entry(tag, LONG, [0], order) for tag in below})
        note = entries.get(MAKER_NOTE)
        if note is not None:
            final[MAKER_NOTE] = replace(note, offset=1)
        size = len(build_directory(final.values(), order, offset))
        self.block += bytes(size)
        if note is not None:
            final[MAKER_NOTE] = replace(note, offset=len(self.block))
            self.block += move_maker_note(note.value, note.offset, len(self.block), order)
            self.block += b"\0" * (len(self.block) % 2)
        for tag, found in below.items():
            nested = (INTEROPERABILITY_IFD,) if tag == EXIF_IFD else ()
            final[tag] = integer_entry(tag, LONG, [self.append(found, nested)], order)
        self.block[offset : offset + size] = build_directory(final.values(), order, offset)
        return offset

    def _read_below(self, entries: dict[int, Entry], tag: int) -> dict[int, Entry]:
        """Returns the entries of the directory that a tag points to."""
        target = Directory(0, entries).first_integer(tag, self.layout.order)
        try:
            return read_directory(self.data, self.layout, target).entries if target else {}
        except DamagedDirectoryError as error:
            self.notes.append(f"part of the EXIF dropped: {error}")
            return {}


def shrink_block(block: bytes, limit: int, notes: list[str]) -> bytes:
    """Returns the block without its largest values, so that it has at most `limit` bytes.

    Its thumbnail is not kept. The dropped tags are named in `notes`.
    """
    layout = read_layout(block)
    main = read_directory(block, layout, layout.first)
    entries = dict(main.entries)
    for tag in POINTERS:
        below = main.first_integer(tag, layout.order)
        if below:
            entries.update(read_directory(block, layout, below).entries)
    dropped: list[int] = []
    shrunk = build_block(block, layout, main.entries, notes)
    for entry in sorted(entries.values(), key=lambda entry: -len(entry.value)):
        if len(shrunk) <= limit:
            break
        dropped.append(entry.tag)
        shrunk = build_block(block, layout, main.entries, notes, dropped)
    if dropped:
        names = ", ".join(f"0x{tag:04X} ({len(entries[tag].value):,} bytes)" for tag in dropped)
        notes.append(f"EXIF exceeds {limit:,} bytes: dropped tag {names}")
    return shrunk
