"""Moves MakerNotes: changes the offsets in them that count from the start of their file.

The rules are those of ExifTool (lib/Image/ExifTool/MakerNotes.pm, FixBase): most notes are one
directory after an optional signature, and their offsets count either from the start of the TIFF
structure, and must be moved, or from the note itself, and must not.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from batchcolor.images.metadata.ifd import IFD, TYPE_SIZES

SIGNATURES = {
    b"SONY DSC \0\0\0": 12,
    b"SONY CAM \0\0\0": 12,
    b"VHAB     \0": 12,
    b"Panasonic\0\0\0": 12,
    b"SIGMA\0": 10,
    b"FOVEON\0": 10,
    b"Nikon\0\1": 8,
    b"OLYMP\0": 8,
    b"EPSON\0": 8,
    b"AGFA\0": 8,
    b"MINOL\0": 8,
    b"Ricoh\0": 8,
    b"RICOH\0\0\0": 8,
    b"SANYO\0": 8,
    b"LEICA\0\0\0": 8,
    b"AOC\0": 6,
    b"KC\0": 6,
    b"QVC\0": 6,
    b"DCI\0": 6,
    b"\0" * 6: 6,
    b"JVC ": 4,
}
"""Bytes from the start of the note to its directory, by signature; 0 for other notes."""
SELF_CONTAINED = (
    *(b"Nikon\0\2", b"OLYMPUS\0", b"OM SYSTEM\0", b"FUJIFILM", b"Apple iOS", b"PENTAX \0"),
    *(b"RICOH\0II", b"RICOH\0MM", b"MOT\0", b"GE\0\0"),
)
"""Signatures of notes with a structure of their own: their offsets count from the note."""
OLYMPUS_DIRECTORIES = frozenset({0x2010, 0x2020, 0x2030, 0x2031, 0x2040, 0x2050, 0x3000, 0x4000})
"""Tags of a note `OLYMP` whose values are directories with offsets of the same kind."""
MAX_TAGS = 512


def move_maker_note(note: bytes, old: int, new: int, order: str) -> bytes:
    """Returns a MakerNote of the file offset `old` for the file offset `new`.

    A note whose structure is not known stays as it is.
    """
    if note.startswith(SELF_CONTAINED) or old == new:
        return note
    start = next((n for s, n in SIGNATURES.items() if note.startswith(s)), 0)
    for note_order in (order, "<" if order == ">" else ">"):
        if _counts_from_file(note, start, old, note_order):
            moved = bytearray(note)
            _move_offsets(moved, start, old, new, note_order)
            return bytes(moved)
    return note


def _counts_from_file(note: bytes, start: int, old: int, order: str) -> bool:
    """Whether the directory at `start` has offsets that count from the start of the file.

    Values follow the directory, so the lowest offset is near its end: from the file or the note.
    """
    targets = [target for _, _, target, _ in _walk(note, start, order)]
    if not targets:
        return False
    inside = sum(old <= target < old + len(note) for target in targets)
    end = start + 2 + 12 * struct.unpack_from(f"{order}H", note, start)[0]
    lowest = min(targets)
    return inside * 2 >= len(targets) and abs(lowest - old - end) <= abs(lowest - end)


def _walk(note: bytes | bytearray, start: int, order: str) -> Iterator[tuple[int, int, int, bool]]:
    """Yields tag, place of the offset, offset, and whether a directory is there."""
    if start + 2 > len(note):
        return
    count = struct.unpack_from(f"{order}H", note, start)[0]
    if not 0 < count <= MAX_TAGS or start + 2 + 12 * count > len(note):
        return
    for place in range(start + 2, start + 2 + 12 * count, 12):
        tag, kind, number = struct.unpack_from(f"{order}HHI", note, place)
        is_directory = kind == IFD or (tag in OLYMPUS_DIRECTORIES and note.startswith(b"OLYMP\0"))
        if TYPE_SIZES.get(kind, 0) * number > 4 or is_directory:
            yield tag, place + 8, struct.unpack_from(f"{order}I", note, place + 8)[0], is_directory


def _move_offsets(note: bytearray, start: int, old: int, new: int, order: str) -> None:
    """Adds `new - old` to the offsets of a directory and of those below it."""
    for _, place, target, is_directory in list(_walk(note, start, order)):
        if target + new - old >= 0:
            struct.pack_into(f"{order}I", note, place, target + new - old)
        if is_directory and start < target - old < len(note):
            _move_offsets(note, target - old, old, new, order)
