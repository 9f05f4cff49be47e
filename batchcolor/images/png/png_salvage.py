"""Recovers what a damaged PNG still gives: the rows before the first damaged byte."""

from __future__ import annotations

import zlib

from batchcolor.images.png.png_chunks import (
    END_CHUNK,
    HEADER,
    PIXELS,
    SIGNATURE,
    PngHeader,
    build_chunk,
    count_raw_bytes,
    list_passes,
    parse_png_header,
    walk_chunks,
)

LAST_FILTER = b"\4"
"""The highest filter type (section 9.2)."""
STEP = 4096
"""Compressed bytes that are decompressed at once; those of a damaged step one by one."""


def salvage_png(data: bytes) -> bytes | None:
    """Returns a PNG of the same size with the pixels that can be decompressed, and black.

    Ancillary chunks are kept where they are intact. Returns None where no pixels are left or
    the palette is damaged. Raises ProcessingError where it has no header.
    """
    header = parse_png_header(data)
    size = count_raw_bytes(header)
    chunks = list(walk_chunks(data))
    stream = b"".join(chunk.read_available(data) for chunk in chunks if chunk.kind == PIXELS)
    rows = _cut_at_invalid_row(_decompress(stream, size), header)
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
        step, before = stream[start : start + STEP], inflater.copy()
        try:
            rows += inflater.decompress(step)
        except zlib.error:
            rows += _decompress_bytes(before, step)
            break
        if len(rows) >= size:
            break
    return bytes(rows[:size])


def _cut_at_invalid_row(rows: bytes, header: PngHeader) -> bytes:
    """Returns the rows before the first one whose filter type does not exist."""
    position = 0
    for count, size in list_passes(header):
        for _ in range(count):
            if rows[position : position + 1] > LAST_FILTER:
                return rows[:position]
            position += size
    return rows


def _decompress_bytes(inflater: zlib._Decompress, step: bytes) -> bytes:
    """Returns what the bytes before the damaged one give."""
    rows = bytearray()
    for index in range(len(step)):
        try:
            rows += inflater.decompress(step[index : index + 1])
        except zlib.error:
            break
    return bytes(rows)
