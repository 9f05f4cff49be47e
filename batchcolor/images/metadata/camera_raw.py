"""Reads the metadata of camera raw files.

Most have the structure of TIFF. Panasonic and Fujifilm store EXIF with the MakerNote in a JPEG
preview; its place is that of ExifTool (lib/Image/ExifTool/PanasonicRaw.pm, FujiFilm.pm).
"""

from __future__ import annotations

import struct
from dataclasses import replace
from pathlib import Path

from batchcolor.images.metadata.ifd import read_directory, read_layout
from batchcolor.images.metadata.model import Metadata
from batchcolor.images.metadata.read import read_blocks, read_tiff_page
from batchcolor.images.metadata.upright import mark_as_upright

PANASONIC, FUJIFILM = b"IIU\0", b"FUJIFILMCCD-RAW "
TIFF_SIGNATURES = (b"II*\0", b"MM\0*", b"IIRO", b"IIRS", b"MMOR")
"""TIFF, and Olympus' variants of it."""
PREVIEW = 0x002E
"""Panasonic's tag of a JPEG with all metadata."""
FUJIFILM_PREVIEW = 84
"""Place of offset and size of the JPEG, big-endian."""
DNG_PRIVATE_DATA, DNG_VERSION = 0xC634, 0xC612
PREVIEW_SIZE = 32 * 2**20


def read_camera_raw(path: Path, notes: list[str]) -> Metadata:
    """Returns EXIF, MakerNote, XMP and IPTC, for upright pixels, without profile and resolution.

    Appends to `notes` what is not read. Raises OSError.
    """
    with path.open("rb") as file:
        head = file.read(100)
        preview = b""
        if head.startswith(FUJIFILM) and len(head) >= FUJIFILM_PREVIEW + 8:
            offset, size = struct.unpack_from(">II", head, FUJIFILM_PREVIEW)
            file.seek(offset)
            preview = file.read(min(size, PREVIEW_SIZE))
        elif head.startswith(PANASONIC):
            file.seek(0)
            preview = _find_panasonic_preview(file.read(PREVIEW_SIZE))
    if preview.startswith(b"\xff\xd8"):
        found = read_blocks(preview, "jpeg", [])
        metadata = Metadata(exif=found.exif, xmp=found.xmp, photoshop=found.photoshop)
        return mark_as_upright(metadata, notes)[0]
    if not head.startswith(TIFF_SIGNATURES):
        notes.append("metadata not kept: this kind of camera raw does not store it as TIFF does")
        return Metadata()
    metadata, _ = read_tiff_page(path, notes)
    return replace(metadata, icc=b"", dpi=None)


def _find_panasonic_preview(data: bytes) -> bytes:
    try:
        layout = read_layout(data[:2] + b"*\0" + data[4:])
        entry = read_directory(data, layout, layout.first).entries.get(PREVIEW)
    except ValueError:
        return b""
    return entry.value if entry else b""
