"""Inserts metadata chunks into an encoded PNG (PNG, third edition, section 11)."""

from __future__ import annotations

import zlib

from batchcolor.images.metadata.model import Metadata

HEADER_SIZE = 33
"""Bytes of the signature and the IHDR chunk; metadata chunks follow them."""
METRES_PER_INCH = 0.0254


def insert_metadata_chunks(png: bytes, metadata: Metadata) -> bytes:
    """Returns the PNG with ICC profile, density, EXIF, XMP and comment."""
    chunks = b""
    if metadata.icc:
        chunks += _build_chunk(b"iCCP", b"ICC profile\0\0" + zlib.compress(metadata.icc))
    if metadata.dpi:
        x, y = (round(value / METRES_PER_INCH).to_bytes(4, "big") for value in metadata.dpi)
        chunks += _build_chunk(b"pHYs", x + y + b"\1")
    if metadata.exif:
        chunks += _build_chunk(b"eXIf", metadata.exif)
    for keyword, text in (
        (b"XML:com.adobe.xmp", metadata.xmp),
        (b"Comment", b"\n".join(metadata.comments)),
    ):
        if text:
            chunks += _build_chunk(b"iTXt", keyword + b"\0\0\0\0\0" + text)
    return png[:HEADER_SIZE] + chunks + png[HEADER_SIZE:]


def _build_chunk(chunk_type: bytes, content: bytes) -> bytes:
    checksum = zlib.crc32(chunk_type + content).to_bytes(4, "big")
    return len(content).to_bytes(4, "big") + chunk_type + content + checksum
