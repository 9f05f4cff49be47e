"""Metadata segments put into a JPEG that was encoded without any (ITU-T T.81, JFIF, Exif)."""

from __future__ import annotations

from batchcolor.images.metadata import Metadata

LONGEST = 65533
"""Bytes of payload that one segment can hold."""


def with_metadata(jpeg: bytes, metadata: Metadata) -> bytes:
    """The JPEG with EXIF, XMP, ICC profile, comment and density after its JFIF segment.

    EXIF and XMP that are too long for one segment are dropped; they cannot be divided.
    """
    head, rest = jpeg[:2], jpeg[2:]
    if rest[:2] == b"\xff\xe0":
        length = 2 + int.from_bytes(rest[2:4], "big")
        jfif, rest = bytearray(rest[:length]), rest[length:]
        if metadata.dpi:
            jfif[11] = 1  # dots an inch
            for place, value in zip((12, 14), metadata.dpi, strict=True):
                jfif[place : place + 2] = min(65535, round(value)).to_bytes(2, "big")
        head += bytes(jfif)
    if metadata.exif:
        head += _segment(0xE1, b"Exif\0\0" + metadata.exif)
    if metadata.xmp:
        head += _segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0" + metadata.xmp)
    chunk = LONGEST - 14
    parts = [metadata.icc[i : i + chunk] for i in range(0, len(metadata.icc), chunk)]
    if len(parts) <= 255:
        for number, part in enumerate(parts, 1):
            head += _segment(0xE2, b"ICC_PROFILE\0" + bytes([number, len(parts)]) + part)
    if metadata.comment:
        head += _segment(0xFE, metadata.comment)
    return head + rest


def _segment(marker: int, payload: bytes) -> bytes:
    if len(payload) > LONGEST:
        return b""
    return bytes([0xFF, marker]) + (len(payload) + 2).to_bytes(2, "big") + payload
