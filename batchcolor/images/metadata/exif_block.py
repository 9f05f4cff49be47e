"""Builds EXIF blocks from the directories of TIFF files and of other blocks."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace

from batchcolor.images.metadata.exif import (
    EXIF_IFD,
    INTEROPERABILITY_IFD,
    MAKER_NOTE,
    POINTERS,
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

MAIN = 0
"""Stands for the main directory; others have the tag that points to them."""
Place = tuple[int, int]
"""A directory and a tag in it."""


def build_block(
    data: Data,
    layout: Layout,
    entries: dict[int, Entry],
    notes: list[str],
    dropped: Collection[Place] = (),
) -> bytes:
    """Returns an EXIF block of entries of the main directory and the directories below them.

    Values stay as stored; MakerNotes are moved. What is in `dropped` is not copied.
    """
    block = bytearray(build_header(layout.order, HEADER_SIZE))
    writer = _BlockWriter(data, layout, notes, dropped, block)
    writer.append(entries, MAIN)
    return bytes(block)


@dataclass
class _BlockWriter:
    """Copies directories of a file to the end of a block."""

    data: Data
    layout: Layout
    notes: list[str]
    dropped: Collection[Place]
    block: bytearray

    def append(self, entries: dict[int, Entry], directory: int) -> int:
        """Appends a directory, its MakerNote and the directories below it; returns its offset."""
        order, offset = self.layout.order, len(self.block)
        entries = {t: entry for t, entry in entries.items() if (directory, t) not in self.dropped}
        below = dict(read_below(self.data, self.layout, entries, directory, self.notes))
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
            final[tag] = integer_entry(tag, LONG, [self.append(found, tag)], order)
        self.block[offset : offset + size] = build_directory(final.values(), order, offset)
        return offset


def read_below(
    data: Data, layout: Layout, entries: dict[int, Entry], directory: int, notes: list[str]
) -> Iterator[tuple[int, dict[int, Entry]]]:
    """Yields the tags of a directory that point to others, with the entries of those.

    Adds a note for one that cannot be read.
    """
    nested = {MAIN: POINTERS, EXIF_IFD: {INTEROPERABILITY_IFD}}
    for tag in sorted(nested.get(directory, ())):
        target = Directory(0, entries).first_integer(tag, layout.order)
        try:
            found = read_directory(data, layout, target).entries if target else {}
        except DamagedDirectoryError as error:
            notes.append(f"part of the EXIF dropped: {error}")
            continue
        if found:
            yield tag, found


def shrink_block(block: bytes, limit: int, notes: list[str]) -> bytes:
    """Returns the block without its largest values, so that it has at most `limit` bytes.

    Its thumbnail is not kept. The dropped tags are named in `notes`.
    """
    layout = read_layout(block)
    main = read_directory(block, layout, layout.first).entries
    sizes = _measure_values(block, layout, main, MAIN)
    dropped: list[Place] = []
    shrunk = build_block(block, layout, main, notes)
    for place in sorted(sizes, key=lambda place: -sizes[place]):
        if len(shrunk) <= limit:
            break
        dropped.append(place)
        shrunk = build_block(block, layout, main, [], dropped)
    if dropped:
        names = ", ".join(f"0x{place[1]:04X} ({sizes[place]:,} bytes)" for place in dropped)
        notes.append(f"EXIF exceeds {limit:,} bytes: dropped tag {names}")
    return shrunk


def _measure_values(
    data: Data, layout: Layout, entries: dict[int, Entry], directory: int
) -> dict[Place, int]:
    """Returns the bytes of the values of a directory and of those below it."""
    sizes = {(directory, tag): len(entry.value) for tag, entry in entries.items()}
    for tag, found in read_below(data, layout, entries, directory, []):
        sizes.update(_measure_values(data, layout, found, tag))
    return sizes
