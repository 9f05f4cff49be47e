"""Writes TIFF files of several pages, page after page, so that memory holds one page at a time."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

from batchcolor.errors import ProcessingError
from batchcolor.images.decode_errors import describe_error
from batchcolor.images.metadata.exif import POINTERS
from batchcolor.images.metadata.exif_block import MAIN, read_below
from batchcolor.images.metadata.ifd import (
    HEADER_SIZE,
    IFD8,
    LONG,
    LONG8,
    DamagedDirectoryError,
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
from batchcolor.images.tiff.tiff_page_source import SEGMENT_TAGS, PageSource

SUB_DIRECTORIES, OLD_JPEG_OFFSET = 0x014A, 0x0201
UNCOPYABLE = (DamagedDirectoryError, struct.error, OverflowError, MemoryError)
"""Errors of a directory, or of a value, that the file cannot hold."""
CLASSIC_LIMIT = 3_900_000_000
"""Bytes of samples from which a file is a BigTIFF: offsets of classic TIFF have 32 bits."""
ALIGNMENT = 16


class TiffPageWriter:
    """Appends pages to an empty file. `order` is the byte order of all of them, `<` or `>`."""

    def __init__(self, file: BinaryIO, order: str, *, is_big: bool) -> None:
        self._file, self._order, self._is_big = file, order, is_big
        header = build_header(order, 0)
        if is_big:
            header = header[:2] + struct.pack(f"{order}HHHQ", 43, 8, 0, 0)
        file.write(header)
        self._next_pointer = len(header) - (8 if is_big else 4)
        """Where the offset of the next directory is written."""

    def append(self, encoded: bytes) -> None:
        """Appends the page of a classic TIFF in memory; its values keep their order and distance.

        The first page of a classic TIFF keeps all offsets, so MakerNotes in it stay valid. Raises
        ProcessingError for a page that the file cannot hold.
        """
        layout = read_layout(encoded)
        if layout.order != self._order or layout.is_big:
            raise ValueError("a page in another byte order")
        distance = self._align(HEADER_SIZE) - HEADER_SIZE
        self._file.write(memoryview(encoded)[HEADER_SIZE:])
        try:
            main = read_directory(encoded, layout, layout.first).entries
            self._link(self._move_directory(encoded, layout, main, distance))
        except UNCOPYABLE as error:
            raise ProcessingError("encode", describe_error(error)) from error

    def copy(self, source: Path, offset: int) -> list[str]:
        """Appends a page of another file, with its samples and tags as they are stored.

        Thumbnails and pyramid levels below it are not copied. Returns a note for each directory
        below it that cannot be read. Raises ProcessingError: of the step "decode" where the source
        cannot be read, of "encode" where the page cannot be copied, as an old-style JPEG, whose
        offsets point into its stream. Raises OSError where the own file cannot be written.
        """
        notes: list[str] = []
        with PageSource(source, self._order) as page:
            main = page.read_page(offset)
            if OLD_JPEG_OFFSET in main.entries:
                reason = "is in colour in old-style JPEG, which cannot be copied to another file"
                raise ProcessingError("encode", f"{reason}; --if-colored recolor colours it")
            try:
                self._link(self._copy_directory(page, main, notes))
            except UNCOPYABLE as error:
                reason = f"is in colour and cannot be copied: {describe_error(error)}"
                advice = "--if-colored recolor colours it"
                raise ProcessingError("encode", f"{reason}; {advice}") from error
        return notes

    def _move_directory(
        self,
        data: bytes,
        layout: Layout,
        directory: dict[int, Entry],
        distance: int,
        place: int = MAIN,
    ) -> int:
        """Writes a directory whose values were copied as a whole, `distance` bytes further."""
        entries = []
        below = dict(read_below(data, layout, directory, place, []))
        for entry in directory.values():
            if entry.tag in below:
                found = below[entry.tag]
                offset = self._move_directory(data, layout, found, distance, entry.tag)
                entries.append(self._offsets(entry.tag, [offset]))
            elif entry.tag in SEGMENT_TAGS:
                numbers = entry.integers(layout.order)
                entries.append(self._offsets(entry.tag, [number + distance for number in numbers]))
            elif entry.tag not in POINTERS:
                entries.append(replace(entry, offset=entry.offset + distance))
        return self._write_directory(entries)

    def _copy_directory(
        self, page: PageSource, directory: Directory, notes: list[str], place: int = MAIN
    ) -> int:
        """Writes a directory of another file with its values, strips and tiles."""
        entries: dict[int, Entry] = {}
        for entry in directory.entries.values():
            if entry.tag != SUB_DIRECTORIES and entry.tag not in POINTERS:
                kept = entry if self._is_big else to_classic(entry, page.layout.order)
                entries[entry.tag] = replace(kept, offset=0)
        for tag, found in read_below(page.data, page.layout, directory.entries, place, notes):
            try:
                if directory.first_integer(tag, page.layout.order) == directory.offset:
                    raise DamagedDirectoryError("a directory that points to itself")
                below = self._copy_directory(page, Directory(0, found), notes, tag)
            except (DamagedDirectoryError, struct.error) as error:
                notes.append(f"part of the EXIF dropped: {error}")
            else:
                entries[tag] = self._offsets(tag, [below])
        for tag, counts_tag in SEGMENT_TAGS.items():
            if tag not in directory.entries:
                continue
            segments = page.list_segments(directory, tag)
            entries[tag] = self._offsets(tag, self._copy_segments(page, segments))
            counts = tuple(size for _, size in segments)
            stored = directory.entries.get(counts_tag)
            if stored is None or stored.integers(page.layout.order) != counts:
                entries[counts_tag] = self._offsets(counts_tag, counts)
        return self._write_directory(entries.values())

    def _copy_segments(self, page: PageSource, segments: Iterable[tuple[int, int]]) -> list[int]:
        places = []
        for offset, size in segments:
            places.append(self._align(2))
            for chunk in page.read_chunks(offset, size):
                self._file.write(chunk)
        return places

    def _offsets(self, tag: int, values: Iterable[int]) -> Entry:
        return integer_entry(tag, LONG8 if self._is_big else LONG, values, self._order)

    def _write_directory(self, entries: Iterable[Entry]) -> int:
        """Writes a directory at the end of the file and returns its offset."""
        offset = self._align(ALIGNMENT)
        build = _build_big_directory if self._is_big else build_directory
        self._file.write(build(entries, self._order, offset))
        return offset

    def _link(self, directory: int) -> None:
        """Makes a directory the next page."""
        end = self._file.tell()
        self._file.seek(self._next_pointer)
        code, count_code, size = ("Q", "Q", 20) if self._is_big else ("I", "H", 12)
        self._file.write(struct.pack(self._order + code, directory))
        self._file.flush()
        self._file.seek(directory)
        head = self._file.read(struct.calcsize(f"{self._order}{count_code}"))
        count = struct.unpack(self._order + count_code, head)[0]
        self._next_pointer = directory + len(head) + count * size
        self._file.seek(end)

    def _align(self, unit: int) -> int:
        """Fills the file up to a multiple of `unit` and returns that position."""
        position = self._file.seek(0, 2)
        self._file.write(bytes(-position % unit))
        return self._file.tell()


def _build_big_directory(entries: Iterable[Entry], order: str, offset: int) -> bytes:
    """Returns a directory of BigTIFF for the position `offset`, with its values after it."""
    ordered = sorted(entries, key=lambda entry: entry.tag)
    head = struct.pack(f"{order}Q", len(ordered))
    values = b""
    start = offset + 8 + 20 * len(ordered) + 8
    for entry in ordered:
        kind = IFD8 if entry.tag in POINTERS else entry.type
        head += struct.pack(f"{order}HHQ", entry.tag, kind, entry.count)
        if len(entry.value) <= 8:
            head += entry.value.ljust(8, b"\0")
        elif entry.offset:
            head += struct.pack(f"{order}Q", entry.offset)
        else:
            head += struct.pack(f"{order}Q", start + len(values))
            values += entry.value + b"\0" * (len(entry.value) % 2)
    return head + bytes(8) + values
