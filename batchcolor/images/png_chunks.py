"""Metadata chunks put into a PNG that was encoded without any (PNG, third edition, section 11)."""

from __future__ import annotations

import zlib

from batchcolor.images.metadata import Metadata

HEADER_END = 33
"""Signature and IHDR; metadata stands right behind them."""
INCH = 0.0254


def with_chunks(png: bytes, metadata: Metadata) -> bytes:
    """The PNG with ICC profile, density, EXIF, XMP and comment."""
    chunks = b""
    if metadata.icc:
        chunks += _chunk(b"iCCP", b"ICC profile\0\0" + zlib.compress(metadata.icc))
    if metadata.dpi:
        across, down = (round(value / INCH).to_bytes(4, "big") for value in metadata.dpi)
        chunks += _chunk(b"pHYs", across + down + b"\1")
    if metadata.exif:
        chunks += _chunk(b"eXIf", metadata.exif)
    for keyword, text in ((b"XML:com.adobe.xmp", metadata.xmp), (b"Comment", metadata.comment)):
        if text:
            chunks += _chunk(b"iTXt", keyword + b"\0\0\0\0\0" + text)
    return png[:HEADER_END] + chunks + png[HEADER_END:]


def _chunk(kind: bytes, content: bytes) -> bytes:
    check = zlib.crc32(kind + content).to_bytes(4, "big")
    return len(content).to_bytes(4, "big") + kind + content + check
