"""Finds the darkest and the brightest luma of each block of a picture."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def find_block_bounds(
    luma: NDArray[np.uint8], side: int
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Returns minimum and maximum of each block of `side` x `side` pixels, a power of two.

    Both are `(ceil(H / side), ceil(W / side))`; blocks at an edge may be smaller.
    """
    return _reduce_blocks(luma, side, np.minimum), _reduce_blocks(luma, side, np.maximum)


def _reduce_blocks(luma: NDArray[np.uint8], side: int, reduce: np.ufunc) -> NDArray[np.uint8]:
    height, width = luma.shape
    whole = height // side
    rows = np.empty((-(-height // side), -(-width // side) * side), np.uint8)
    if whole:
        lines = luma[: whole * side]
        reduce(lines[::side], lines[1::side], out=rows[:whole, :width])
        for line in range(2, side):
            reduce(rows[:whole, :width], lines[line::side], out=rows[:whole, :width])
    if whole < len(rows):
        reduce.reduce(luma[whole * side :], axis=0, out=rows[whole, :width])
    rows[:, width:] = rows[:, width - 1 : width]
    while side > 1:
        rows = _reduce_pairs(rows, reduce)
        side //= 2
    return rows


def _reduce_pairs(rows: NDArray[np.uint8], reduce: np.ufunc) -> NDArray[np.uint8]:
    """Reduces neighbours in a row, as the two bytes of 16-bit words: vectorized, unlike steps."""
    words = rows.view(np.uint16)
    reduced: NDArray[np.uint16] = reduce(words & np.uint16(255), words >> np.uint16(8))
    return reduced.astype(np.uint8)
