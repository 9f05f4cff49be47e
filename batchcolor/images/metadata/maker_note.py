"""Moves MakerNotes: changes the offsets in them that count from the start of their file.

The rules are those of ExifTool (lib/Image/ExifTool/MakerNotes.pm, FixBase): most notes are one
directory after an optional signature, and their offsets count either from the start of the TIFF
structure, and must be moved, or from the note itself, and must not.
"""

from __future__ import annotations

import struct

from batchcolor.images.metadata.ifd import (
    TYPE_SIZES,
    DamagedDirectoryError,
    Directory,
    Layout,
    read_directory,
)

SIGNATURES = {
    b"SONY DSC \0\0\0": 12,
    b"SONY CAM \0\0\0": 12,
    b"Panasonic\0\0\0": 12,
    b"Nikon\0\1": 8,
    b"OLYMP\0": 8,
    b"EPSON\0": 8,
    b"AGFA\0": 8,
    b"MINOL\0": 8,
    b"AOC\0": 6,
    b"KC\0": 6,
    b"LEICA\0\0\0": 8,
    b"SANYO\0": 8,
    b"\0" * 6: 6,
}
"""Bytes from the start of the note to its directory, by signature; 0 for other notes."""
SELF_CONTAINED = (b"Nikon\0\2", b"OLYMPUS\0", b"OM SYSTEM\0", b"FUJIFILM", b"Apple iOS", b"PENTAX ")
"""Signatures of notes with a structure of their own: their offsets count from the note."""


def move_maker_note(note: bytes, old: int, new: int, order: str) -> bytes:
    """Returns a MakerNote of the file offset `old` for the file offset `new`.

    A note whose structure is not known stays as it is.
    """
    if note.startswith(SELF_CONTAINED) or old == new:
        return note
    start = next((n for s, n in SIGNATURES.items() if note.startswith(s)), 0)
    for note_order in (order, "<" if order == ">" else ">"):
        layout = Layout(note_order, False, start)
        try:
            directory = read_directory(note, layout, start)
        except DamagedDirectoryError:
            continue
        count = struct.unpack_from(f"{note_order}H", note, start)[0]
        if 0 < count <= 512:
            return _move_offsets(note, directory, count, old, new, note_order)
    return note


def _move_offsets(
    note: bytes, directory: Directory, count: int, old: int, new: int, order: str
) -> bytes:
    """Adds `new - old` to offsets of values, if at least half of them lie in the note at `old`."""
    first = directory.offset + 2
    places, inside = [], 0
    for place in range(first, first + 12 * count, 12):
        _, kind, number = struct.unpack_from(f"{order}HHI", note, place)
        size = TYPE_SIZES.get(kind, 0) * number
        if size > 4:
            target = struct.unpack_from(f"{order}I", note, place + 8)[0]
            places.append((place + 8, target))
            inside += old <= target and target + size <= old + len(note)
    if not places or inside * 2 < len(places):
        return note
    moved = bytearray(note)
    for place, target in places:
        if target + new - old >= 0:
            struct.pack_into(f"{order}I", moved, place, target + new - old)
    return bytes(moved)
