"""Decodes Radiance HDR (RGBE) with FFmpeg."""

from __future__ import annotations

import re
from pathlib import Path

from batchcolor.images.codec_samples import FileHeader, Samples
from batchcolor.images.readers.ffmpeg_still import decode_linear

MAX_HEADER = 1 << 16
SIZE = re.compile(rb"\n\n[-+]([XY]) +(\d+) +[-+][XY] +(\d+)\n")


def read_header(path: Path) -> FileHeader:
    """Returns the size. Raises ValueError."""
    with path.open("rb") as file:
        match = SIZE.search(file.read(MAX_HEADER))
    if match is None:
        raise ValueError("damaged: the Radiance header has no size")
    first, second = int(match[2]), int(match[3])
    width, height = (second, first) if match[1] == b"Y" else (first, second)
    return FileHeader(width, height, is_deep=True)


def decode(path: Path) -> Samples:
    """Returns the picture at 16 bits. Raises what FFmpeg raises."""
    return decode_linear("hdr", path.read_bytes())
