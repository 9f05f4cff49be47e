"""Sets the tag Software in an EXIF block without moving anything else in it.

Offsets in a block count from its first byte, also those inside of MakerNotes, whose structure is
the manufacturer's. So a new first directory is appended and the header points to it; all that the
old directory points to stays in its place (TIFF 6.0, section 2; Exif 3.0, 4.5.2).
"""

from __future__ import annotations

from batchcolor.images.metadata.exif import SOFTWARE, read_tags, set_text


def read_software(exif: bytes) -> str:
    """Returns the value of Software; empty where the block has none or is damaged."""
    try:
        entry = read_tags(exif).get(SOFTWARE)
    except ValueError:
        return ""
    return entry.value.split(b"\0")[0].decode("utf-8", "replace").strip() if entry else ""


def write_software(exif: bytes, software: str) -> bytes:
    """Returns the block with the tag Software set; an empty block gives a new one.

    Raises ValueError for a block whose first directory cannot be read.
    """
    return set_text(exif, SOFTWARE, software)
