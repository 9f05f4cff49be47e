"""Decodes DPX (SMPTE ST 268), the pictures of film scanners, with FFmpeg."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from batchcolor.images.codec_samples import FileHeader, Samples, encode_srgb, split_alpha
from batchcolor.images.dpx_header import (
    BLOCK_FORMAT,
    HEADER_SIZE,
    DpxHeader,
    parse_dpx_header,
)
from batchcolor.images.metadata.model import Block
from batchcolor.images.readers.ffmpeg_still import decode_integers

LINEAR = 2
LOGARITHMIC = {1: "printing density", 3: "logarithmic"}
"""Transfer characteristics of the first image element (field 21.6)."""


def read_header(path: Path) -> FileHeader:
    """Returns the size. Raises ValueError."""
    header = read_dpx_header(path)
    return FileHeader(header.width, header.height, is_deep=True)


def read_dpx_header(path: Path) -> DpxHeader:
    """Returns the header of a file. Raises ValueError, OSError."""
    with path.open("rb") as file:
        return parse_dpx_header(file.read(HEADER_SIZE))


def is_dpx(path: Path) -> bool:
    """Whether a file has the signature of DPX. Raises OSError."""
    with path.open("rb") as file:
        return file.read(4) in (b"SDPX", b"XPDS")


def decode(path: Path) -> Samples:
    """Returns 16-bit samples; linear ones get the curve of sRGB. Raises what FFmpeg raises.

    Logarithmic samples keep their values, with a note: what they look like depends on the film.
    """
    data = path.read_bytes()
    header = parse_dpx_header(data)
    samples = decode_integers("dpx", data)
    pixels, alpha = split_alpha(_widen(samples))
    blocks = (Block(BLOCK_FORMAT, header.content, header.raw),)
    if header.transfer == LINEAR:
        return Samples(encode_srgb(pixels), alpha, blocks=blocks, bits=header.bits)
    notes = []
    if header.transfer in LOGARITHMIC:
        kind = LOGARITHMIC[header.transfer]
        notes.append(f"its samples are {kind} values; they are taken as they are")
    return Samples(pixels, alpha, notes=notes, blocks=blocks, bits=header.bits)


def _widen(samples: NDArray[Any]) -> NDArray[Any]:
    """Returns 8-bit samples as 16 bits over the full range."""
    return samples if samples.dtype.itemsize == 2 else samples.astype(np.uint16) * 257
