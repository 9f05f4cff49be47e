"""Inserts metadata segments into an encoded JPEG (ITU-T T.81, JFIF 1.02, CIPA DC-008)."""

from __future__ import annotations

from batchcolor.images.metadata.model import Metadata

MAX_PAYLOAD = 65533
"""Bytes of payload of the largest segment."""
ICC_HEADER_SIZE = 14
"""Identifier, part number and number of parts before each part of an ICC profile."""
APP1, APP2, COMMENT = 0xE1, 0xE2, 0xFE


def insert_metadata_segments(jpeg: bytes, metadata: Metadata) -> bytes:
    """Returns the JPEG with density in its JFIF segment, and EXIF, XMP, ICC and comment after it.

    EXIF and XMP that exceed one segment are dropped, as they cannot be divided.
    """
    head, rest = jpeg[:2], jpeg[2:]
    if rest[:2] == b"\xff\xe0":
        length = 2 + int.from_bytes(rest[2:4], "big")
        jfif, rest = bytearray(rest[:length]), rest[length:]
        if metadata.dpi:
            jfif[11] = 1  # unit: pixels per inch
            for offset, value in zip((12, 14), metadata.dpi, strict=True):
                jfif[offset : offset + 2] = min(65535, round(value)).to_bytes(2, "big")
        head += bytes(jfif)
    if metadata.exif:
        head += _build_segment(APP1, b"Exif\0\0" + metadata.exif)
    if metadata.xmp:
        head += _build_segment(APP1, b"http://ns.adobe.com/xap/1.0/\0" + metadata.xmp)
    part_size = MAX_PAYLOAD - ICC_HEADER_SIZE
    parts = [metadata.icc[i : i + part_size] for i in range(0, len(metadata.icc), part_size)]
    if len(parts) <= 255:
        for number, part in enumerate(parts, 1):
            head += _build_segment(APP2, b"ICC_PROFILE\0" + bytes([number, len(parts)]) + part)
    for comment in metadata.comments:
        head += _build_segment(COMMENT, comment)
    return head + rest


def _build_segment(marker: int, payload: bytes) -> bytes:
    """Returns one marker segment, or nothing where the payload is too large for it."""
    if len(payload) > MAX_PAYLOAD:
        return b""
    return bytes([0xFF, marker]) + (len(payload) + 2).to_bytes(2, "big") + payload
