"""Sets the tag Software in an EXIF block without moving anything else in it.

Offsets in a block count from its first byte, also those inside of maker notes, whose structure is
the manufacturer's. So a new first directory is appended and the header points to it; all that the
old directory points to stays in its place (TIFF 6.0, section 2; Exif 3.0, 4.5.2).
"""

from __future__ import annotations

import struct

SOFTWARE = 0x0131
ASCII = 2
ENTRY_SIZE = 12
EMPTY_BLOCK = b"MM\0*\0\0\0\x08\0\0\0\0\0\0"
"""A header and a directory without entries."""


def read_software(exif: bytes) -> str:
    """Returns the value of Software; empty where the block has none or is damaged."""
    try:
        order, entries, _ = _read_first_directory(exif)
    except ValueError:
        return ""
    for entry in entries:
        tag, _, count = struct.unpack(f"{order}HHI", entry[:8])
        if tag == SOFTWARE:
            start = struct.unpack(f"{order}I", entry[8:])[0]
            value = entry[8:] if count <= 4 else exif[start : start + count]
            return value[:count].split(b"\0")[0].decode("utf-8", "replace").strip()
    return ""


def write_software(exif: bytes, software: str) -> bytes:
    """Returns the block with the tag Software set; an empty block gives a new one.

    Raises ValueError for a block whose first directory cannot be read.
    """
    exif = exif or EMPTY_BLOCK
    order, entries, rest = _read_first_directory(exif)
    kept = [entry for entry in entries if struct.unpack(f"{order}H", entry[:2])[0] != SOFTWARE]
    text = software.encode("ascii", "replace") + b"\0"
    block = exif if len(exif) % 2 == 0 else exif + b"\0"  # directories begin at even offsets
    start = len(block)
    value_offset = start + 2 + ENTRY_SIZE * (len(kept) + 1) + 4
    value = text.ljust(4, b"\0") if len(text) <= 4 else struct.pack(f"{order}I", value_offset)
    kept.append(struct.pack(f"{order}HHI", SOFTWARE, ASCII, len(text)) + value)
    kept.sort(key=lambda entry: struct.unpack(f"{order}H", entry[:2])[0])
    directory = struct.pack(f"{order}H", len(kept)) + b"".join(kept) + rest
    if len(text) > 4:
        directory += text
    return block[:4] + struct.pack(f"{order}I", start) + block[8:] + directory


def _read_first_directory(exif: bytes) -> tuple[str, list[bytes], bytes]:
    """Returns byte order (of `struct`), entries and the offset of the next directory, packed.

    Raises ValueError.
    """
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(exif[:4])
    if order is None or len(exif) < 8:
        raise ValueError("no TIFF header")
    start = struct.unpack(f"{order}I", exif[4:8])[0]
    if not 8 <= start <= len(exif) - 2:
        raise ValueError("the first directory is outside of the block")
    count = struct.unpack(f"{order}H", exif[start : start + 2])[0]
    end = start + 2 + ENTRY_SIZE * count
    if end > len(exif):
        raise ValueError("the first directory is truncated")
    entries = [exif[place : place + ENTRY_SIZE] for place in range(start + 2, end, ENTRY_SIZE)]
    return order, entries, exif[end : end + 4].ljust(4, b"\0")
