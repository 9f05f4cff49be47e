"""Decodes Sun raster files with FFmpeg; Pillow misreads run lengths and pixels of 32 bits."""

from __future__ import annotations

import struct
from pathlib import Path

from batchcolor.images.codec_samples import FileHeader, Samples, split_alpha
from batchcolor.images.readers.ffmpeg_still import decode_integers

HEADER = struct.Struct(">8I")
"""Magic number, width, height, depth, length, type, colour map type, colour map length."""
MAGIC, RUN_LENGTHS = 0x59A66A95, 2


def read_header(path: Path) -> FileHeader:
    """Returns the size. Raises ValueError; also where samples are missing."""
    with path.open("rb") as file:
        head = file.read(HEADER.size)
    if len(head) < HEADER.size:
        raise ValueError("truncated: the Sun raster header is incomplete")
    magic, width, height, depth, length, kind, _, map_length = HEADER.unpack(head)
    if magic != MAGIC or depth not in (1, 4, 8, 24, 32) or not (width and height):
        raise ValueError(f"damaged: {width} x {height} pixels of {depth} bits")
    size = length if kind == RUN_LENGTHS else (width * depth + 15) // 16 * 2 * height
    if path.stat().st_size < HEADER.size + map_length + size:
        raise ValueError("truncated: samples are missing")
    return FileHeader(width, height)


def decode(path: Path) -> Samples:
    """Returns 8-bit samples. Raises whatever FFmpeg raises."""
    return Samples(*split_alpha(decode_integers("sunrast", path.read_bytes())))
