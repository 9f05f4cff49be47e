"""Decodes DPX (SMPTE ST 268), the pictures of film scanners, with FFmpeg."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from batchcolor.images.codec_samples import FileHeader, Samples, encode_srgb, split_alpha
from batchcolor.images.readers.ffmpeg_still import decode_integers

HEADER_SIZE = 802
LITTLE_ENDIAN = b"XPDS"
LINEAR = 2
LOGARITHMIC = {1: "printing density", 3: "logarithmic"}
"""Transfer characteristics of the first image element (field 21.6)."""


def read_header(path: Path) -> FileHeader:
    """Returns the size. Raises ValueError."""
    width, height, _ = _parse(path)
    return FileHeader(width, height, is_deep=True)


def decode(path: Path) -> Samples:
    """Returns 16-bit samples; linear ones get the curve of sRGB. Raises what FFmpeg raises.

    Logarithmic samples keep their values, with a note: what they look like depends on the film.
    """
    _, _, transfer = _parse(path)
    samples = decode_integers("dpx", path.read_bytes())
    pixels, alpha = split_alpha(_widen(samples))
    if transfer == LINEAR:
        return Samples(encode_srgb(pixels), alpha)
    notes = []
    if transfer in LOGARITHMIC:
        notes.append(f"its samples are {LOGARITHMIC[transfer]} values; they are taken as they are")
    return Samples(pixels, alpha, notes=notes)


def _widen(samples: NDArray[Any]) -> NDArray[Any]:
    """Returns 8-bit samples as 16 bits over the full range."""
    return samples if samples.dtype.itemsize == 2 else samples.astype(np.uint16) * 257


def _parse(path: Path) -> tuple[int, int, int]:
    """Returns width, height and transfer characteristic."""
    with path.open("rb") as file:
        head = file.read(HEADER_SIZE)
    if len(head) < HEADER_SIZE:
        raise ValueError("truncated: the DPX header is incomplete")
    order = "<" if head[:4] == LITTLE_ENDIAN else ">"
    width, height = struct.unpack_from(f"{order}II", head, 772)
    if not (width and height):
        raise ValueError(f"damaged: {width} x {height} pixels in its header")
    return width, height, head[801]
