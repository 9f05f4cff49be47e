"""The test input of an exported model, and the comparison of its results with torch's."""

from __future__ import annotations

import numpy as np
from PIL import Image

from batchcolor.inference.backends.backend import Array

GRIDS = (3, 7, 19, 61)
"""Sides of the random grids that a test square is the sum of."""
TOLERANCES = {"float32": (2e-3, 2e-4), "bfloat16": (0.04, 0.004)}
"""Largest and mean difference of chroma that a precision may cause; 0.004 is one of 255 levels."""


def make_test_luma(batch_size: int, side: int) -> Array:
    """Returns luma `(batch_size, 1, side, side)`: random shapes from coarse to fine."""
    generator = np.random.default_rng(0)
    return np.stack([_make_square(generator, side) for _ in range(batch_size)])[:, None]


def _make_square(generator: np.random.Generator, side: int) -> Array:
    square = np.zeros((side, side), np.float32)
    for grid in GRIDS:
        values = Image.fromarray(generator.random((grid, grid), np.float32))
        square += np.asarray(values.resize((side, side), Image.Resampling.BICUBIC)) / len(GRIDS)
    return ((square - 0.5) * 2 + 0.5).clip(0, 1)


def find_difference(chroma: Array, expected: Array, precision: str) -> str:
    """Returns how chroma differs from torch's beyond the tolerance; "" where it does not."""
    if chroma.shape != expected.shape:
        return f"shape {chroma.shape} instead of {expected.shape}"
    difference = np.abs(chroma - expected)[:, :2]  # a third channel is doubt, which colours nothing
    largest, mean = float(difference.max()), float(difference.mean())
    if not (largest <= TOLERANCES[precision][0] and mean <= TOLERANCES[precision][1]):
        return f"chroma differs by {largest:.2g}, {mean:.2g} on average"
    return ""
