"""The small field of a picture on which hints are propagated: its luma, and chroma on it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Field = NDArray[np.float32]

FIELD_SIDE = 288
"""Longer side of the field on which hints are propagated: a face in a group can be hit."""


def make_guide(luma: NDArray[Any], side: int = FIELD_SIDE) -> Field:
    """Returns luma `(h, w)` in 0..1 with its longer side reduced to at most `side`, aspect kept.

    `luma` is `(H, W)`, uint8 or uint16.
    """
    if luma.dtype == np.uint16:
        luma = (luma >> 8).astype(np.uint8)
    height, width = luma.shape
    scale = min(1.0, side / max(height, width))
    size = max(1, round(width * scale)), max(1, round(height * scale))
    image = Image.fromarray(np.ascontiguousarray(luma))
    small = image.resize(size, Image.Resampling.BOX, reducing_gap=3.0)
    return np.asarray(small, np.float32) / np.float32(255)
