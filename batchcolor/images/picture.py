"""A decoded picture, and the small square of it that a colorizer sees."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from batchcolor.color import rgb16_to_luma
from batchcolor.images.formats import Format
from batchcolor.images.metadata import Metadata

Plane = NDArray[np.uint8] | NDArray[np.uint16]


@dataclass
class Picture:
    """Upright luma `(H, W)`, uint8 or uint16 over the full range, and its metadata.

    `alpha` is of the same shape and depth, or None. `notes` are shown to the user.
    """

    path: Path
    luma: Plane
    alpha: Plane | None
    format: Format
    metadata: Metadata = field(default_factory=Metadata)
    notes: list[str] = field(default_factory=list)

    @property
    def width(self) -> int:
        """Pixels a row."""
        return int(self.luma.shape[1])

    @property
    def height(self) -> int:
        """Rows."""
        return int(self.luma.shape[0])

    @property
    def depth(self) -> int:
        """Bits a sample: 8 or 16."""
        return 8 * self.luma.itemsize


def resize_luma(luma: Plane, side: int) -> NDArray[np.float32]:
    """The whole picture squeezed into `(side, side)`, 0..1; averaged down, bilinear up.

    The aspect ratio is not kept: chroma is stretched back when it is joined.
    """
    high = np.iinfo(luma.dtype).max
    if luma.dtype == np.uint16:
        luma = (luma >> 8).astype(np.uint8)  # a colorizer sees no finer steps than in training
        high = 255
    # First cheaply to a few times the size by whole boxes, then exactly.
    image = Image.fromarray(np.ascontiguousarray(luma))
    small = image.resize((side, side), Image.Resampling.BILINEAR, reducing_gap=3.0)
    return np.asarray(small, np.float32) / np.float32(high)


def luma_from_array(pixels: NDArray[Any]) -> Plane:
    """Luma of grey `(H, W)` or RGB `(H, W, 3)`, uint8 or uint16."""
    if pixels.ndim == 2:
        return pixels
    if pixels.shape[2] == 1:
        return pixels[..., 0]
    if pixels.dtype == np.uint16:
        return rgb16_to_luma(pixels[..., :3])
    return np.asarray(Image.fromarray(np.ascontiguousarray(pixels[..., :3])).convert("L"))
