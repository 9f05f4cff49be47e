"""The decoded picture, and the square of luma that a colorizer gets of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from batchcolor.color import rgb16_to_luma
from batchcolor.errors import LIMITS, ProcessingError
from batchcolor.images.formats import Format
from batchcolor.images.jpeg_stream.grey_jpeg import GreyJpeg
from batchcolor.images.metadata.model import Metadata

Plane = NDArray[np.uint8] | NDArray[np.uint16]
"""Samples of one channel `(H, W)` over the full range of their type."""
RgbArray = NDArray[np.uint8]
"""`(H, W, 3)`, 8 bits a sample, gamma-encoded as stored."""
STRIP_HEIGHT = 256
"""Rows converted at once, so that temporary arrays are small."""
ROW_GAP = 2
"""How many times as many rows as the square has remain after rows are averaged."""
MAX_ROWS = 256
"""Rows whose sum fits 16 bits."""


@dataclass
class Picture:
    """The upright luma and alpha of a source file, with its metadata.

    `luma` is `(H, W)`, uint8 or uint16, full range. `alpha` has the same shape and type, or is
    None. `notes` are reported to the user.
    """

    path: Path
    luma: Plane
    alpha: Plane | None
    format: Format
    metadata: Metadata = field(default_factory=Metadata)
    notes: list[str] = field(default_factory=list)
    is_colored: bool = False
    """Whether the source is a picture in colour, and not grey or toned."""
    is_lossless: bool = False
    """Whether the source is a lossless file of a format that can also be lossy."""
    bits: int = 0
    """Bits per sample of the source, where it is AVIF, HEIC or DPX of more than 8; else 0."""
    grey_jpeg: GreyJpeg | None = None
    """The source, where a JPEG can be made of it without coding its luma again."""

    @property
    def width(self) -> int:
        """Pixels per row."""
        return int(self.luma.shape[1])

    @property
    def height(self) -> int:
        """Rows."""
        return int(self.luma.shape[0])

    @property
    def depth(self) -> int:
        """Bits per sample: 8 or 16."""
        return 8 * self.luma.itemsize


def check_size(width: int, height: int, max_pixels: int) -> None:
    """Raises ProcessingError for a picture of more than `max_pixels`."""
    if width * height > max_pixels:
        raise ProcessingError(
            LIMITS,
            f"{width} x {height} pixels exceed --max-pixels {max_pixels:,}; "
            f"raise the limit to colour it",
        )


def note_dropped_frames(count: int, notes: list[str], word: str = "first") -> None:
    """Adds a note where a file has more pictures than the one that is coloured."""
    if count > 1:
        notes.append(f"the {word} of {count} pages or frames; the others are dropped")


def resize_luma(luma: Plane, side: int) -> NDArray[np.float32]:
    """Resizes luma to a square `(side, side)`, 0..1, bilinearly with antialiasing.

    The aspect ratio is not kept; joining resizes chroma to that of the picture.
    """
    is_deep = luma.dtype == np.uint16
    rows = (luma >> 8 if is_deep else luma).astype(np.uint8, copy=False)  # as in training
    height, width = luma.shape
    count = max(1, min(height // side // ROW_GAP, MAX_ROWS))
    if count > 1:
        rows = _average_rows(rows, count)
    # reducing_gap: first a box average to at least three times the size, then the resampling
    small = Image.fromarray(np.ascontiguousarray(rows)).resize(
        (side, side),
        Image.Resampling.BILINEAR,
        box=(0, 0, width, height / count),
        reducing_gap=3.0,
    )
    return np.asarray(small, np.float32) / np.float32(255)


def resize_chroma(chroma: NDArray[np.float32], shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Resizes chroma `(2, h, w)` to another `shape`, bilinearly."""
    if chroma.shape[1:] == shape:
        return chroma
    height, width = shape
    planes = [
        Image.fromarray(np.ascontiguousarray(plane, np.float32)).resize(
            (width, height), Image.Resampling.BILINEAR
        )
        for plane in chroma
    ]
    return np.stack([np.asarray(plane, np.float32) for plane in planes])


def _average_rows(luma: NDArray[np.uint8], count: int) -> NDArray[np.uint8]:
    """Returns the means of `count` rows each; the last ones may be fewer.

    It is the larger part of the box average and, unlike that of Pillow, vectorized.
    """
    height, width = luma.shape
    whole = height // count
    means = np.empty((-(-height // count), width), np.uint8)
    sums = np.empty((min(whole, max(8, STRIP_HEIGHT // count)), width), np.uint16)
    for top in range(0, whole, len(sums)):
        part = means[top : min(top + len(sums), whole)]
        lines, total = luma[top * count : (top + len(part)) * count], sums[: len(part)]
        np.add(lines[::count], lines[1::count], out=total, dtype=np.uint16)
        for row in range(2, count):
            np.add(total, lines[row::count], out=total)
        total += np.uint16(count // 2)
        np.floor_divide(total, np.uint16(count), out=part, casting="unsafe")
    if whole < len(means):
        means[whole] = luma[whole * count :].mean(axis=0) + 0.5
    return means


def reduce_to_8_bits(samples: NDArray[Any]) -> NDArray[np.uint8]:
    """Returns 16-bit samples as 8 bits, rounded to the nearest step. The shape is kept."""
    result = np.empty(samples.shape, np.uint8)
    for top in range(0, len(samples), STRIP_HEIGHT):
        part = slice(top, top + STRIP_HEIGHT)
        result[part] = (samples[part].astype(np.uint32) + 128) // 257
    return result


def array_to_luma(pixels: NDArray[Any]) -> Plane:
    """Returns the luma of grey `(H, W)` or `(H, W, 1)` or RGB `(H, W, 3)`, uint8 or uint16."""
    if pixels.ndim == 2:
        return pixels
    if pixels.shape[2] == 1:
        return pixels[..., 0]
    if pixels.dtype == np.uint16:
        return rgb16_to_luma(pixels[..., :3])
    return np.asarray(Image.fromarray(np.ascontiguousarray(pixels[..., :3])).convert("L"))
