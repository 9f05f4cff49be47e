"""Recovers what a damaged PNG still gives: the rows before the first damaged byte."""

from __future__ import annotations

import zlib

from batchcolor.images.png.png_chunks import (
    END_CHUNK,
    HEADER,
    PIXELS,
    SIGNATURE,
    build_chunk,
    count_raw_bytes,
    parse_png_header,
    walk_chunks,
)

STEP = 4096
"""Compressed bytes that are decompressed at once: the rest of a damaged step is lost."""


def salvage_png(data: bytes) -> bytes | None:
    """Returns a PNG of the same size with the pixels that can be decompressed, and black.

    Ancillary chunks are kept where they are intact. Returns None where no pixels are left or
    the palette is damaged. Raises ProcessingError where it has no header.
    """
    header = parse_png_header(data)
    size = count_raw_bytes(header)
    chunks = list(walk_chunks(data))
    stream = b"".join(chunk.read_available(data) for chunk in chunks if chunk.kind == PIXELS)
    rows = _decompress(stream, size)
    if not rows:
        return None
    rows += bytes(size - len(rows))
    kept = [SIGNATURE, build_chunk(HEADER, data[16:29])]
    for chunk in chunks:
        if chunk.kind not in (HEADER, PIXELS) and chunk.is_intact(data):
            kept.append(data[chunk.start : chunk.end])
        elif chunk.kind == "PLTE":
            return None
        elif chunk.kind == PIXELS and rows:
            kept.append(build_chunk(PIXELS, zlib.compress(rows, 1)))
            rows = b""
    return b"".join(kept) + END_CHUNK


def _decompress(stream: bytes, size: int) -> bytes:
    """Returns the first bytes of a compressed stream, as far as it is intact, at most `size`."""
    inflater, rows = zlib.decompressobj(), bytearray()
    for start in range(0, len(stream), STEP):
        try:
            rows += inflater.decompress(stream[start : start + STEP])
        except zlib.error:
            break
        if len(rows) >= size:
            break
    return bytes(rows[:size])
