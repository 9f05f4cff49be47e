"""Decodes SGI files at 8 and 16 bits with FFmpeg; Pillow reduces 16 bits to 8."""

from __future__ import annotations

import struct
from pathlib import Path

from batchcolor.errors import ProcessingError
from batchcolor.images.codec_samples import FileHeader, Samples, split_alpha
from batchcolor.images.readers.ffmpeg_still import decode_integers

HEADER = struct.Struct(">HBBHHHH")
"""Magic number, compression, bytes per sample, dimensions, width, height, channels."""
MAGIC = 0x01DA


def read_header(path: Path) -> FileHeader:
    """Returns size and depth. Raises ValueError, and ProcessingError for grey with alpha."""
    with path.open("rb") as file:
        head = file.read(HEADER.size)
    if len(head) < HEADER.size:
        raise ValueError("truncated: the SGI header is incomplete")
    magic, _, sample_bytes, dimensions, width, height, channels = HEADER.unpack(head)
    if magic != MAGIC or sample_bytes not in (1, 2) or not width:
        raise ValueError(f"damaged: {width} x {height} pixels of {sample_bytes} bytes")
    if dimensions == 3 and channels not in (1, 3, 4):
        raise ProcessingError("decode", f"SGI with {channels} channels: no decoder here reads it")
    return FileHeader(width, height if dimensions > 1 else 1, is_deep=sample_bytes == 2)


def decode(path: Path) -> Samples:
    """Returns samples of 8 or 16 bits. Raises whatever FFmpeg raises."""
    return Samples(*split_alpha(decode_integers("sgi", path.read_bytes())))
