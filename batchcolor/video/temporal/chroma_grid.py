"""A change of chroma as a function of position and luma, for all frames of a shot.

Differences of chroma at single samples are averaged in a coarse grid over rows, columns and luma,
blurred, and interpolated for each frame at its own luma. So the change follows the outlines of the
luma, has no detail of its own, and stands still where the picture stands still.

Source: J. Chen, S. Paris, F. Durand, "Real-time edge-aware image processing with the bilateral
grid", SIGGRAPH 2007.
"""

from __future__ import annotations

import numpy as np

from batchcolor.video.temporal.motion import SIDE, Field, Indices

CELLS = 4
"""Cells of the grid along each side of the frame."""
BINS = 8
"""Cells of the grid over luma."""
LUMA_WEIGHT, GLOBAL_WEIGHT = np.float32(0.2), np.float32(2.0)
"""Weight of the mean of its luma in each cell, and of the mean of all samples in that; a cell with
all of its samples has the weight 1."""


def _interpolate_cells() -> Field:
    """Returns the weight of each cell at each sample of a side, `(SIDE, CELLS)`; rows sum to 1."""
    position = (np.arange(SIDE) + 0.5) * CELLS / SIDE - 0.5
    distance = np.abs(np.clip(position, 0, CELLS - 1)[:, None] - np.arange(CELLS))
    weights: Field = np.clip(1 - distance, 0, 1).astype(np.float32)
    return weights


_CELL_WEIGHTS = _interpolate_cells()


class GridSum:
    """Accumulates weighted differences of chroma in the cells of a grid."""

    def __init__(self) -> None:
        self.chroma = np.zeros((2, BINS, CELLS, CELLS), np.float32)
        self.weight = np.zeros((BINS, CELLS, CELLS), np.float32)

    def add(self, guide: Field, difference: Field, confidence: Field) -> None:
        """Adds a frame: luma and confidence `(SIDE, SIDE)`, differences `(2, SIDE, SIDE)`."""
        lower, share = _find_bins(guide)
        for index in range(BINS):
            in_bin = np.where(lower == index, 1 - share, 0) + np.where(lower == index - 1, share, 0)
            weight = (confidence * in_bin).astype(np.float32)
            self.weight[index] += _sum_cells(weight)
            for plane in range(2):
                self.chroma[plane, index] += _sum_cells(weight * difference[plane])

    def solve(self) -> Field:
        """Returns the change of chroma `(2, BINS, SIDE, SIDE)`.

        Cells with few samples get the mean of their luma, and of all where that has few as well.
        """
        chroma, weight = _blur(self.chroma), _blur(self.weight)
        samples = SIDE * SIDE / (BINS * CELLS * CELLS)
        chroma, weight = chroma / samples, weight / samples
        everything = chroma.sum(axis=(1, 2, 3)) / (weight.sum() + np.float32(1e-6))
        of_luma = (chroma.sum(axis=(2, 3)) + GLOBAL_WEIGHT * everything[:, None]) / (
            weight.sum(axis=(1, 2)) + GLOBAL_WEIGHT
        )
        cells = (chroma + LUMA_WEIGHT * of_luma[:, :, None, None]) / (weight + LUMA_WEIGHT)
        rows = np.einsum("yi,cbij->cbyj", _CELL_WEIGHTS, cells)
        change: Field = np.einsum("xj,cbyj->cbyx", _CELL_WEIGHTS, rows).astype(np.float32)
        return change


def apply_grid(change: Field, guide: Field) -> Field:
    """Returns the change of chroma `(2, SIDE, SIDE)` of one frame, interpolated at its luma."""
    lower, share = _find_bins(guide)
    flat = change.reshape(2, BINS, -1)
    here = np.arange(SIDE * SIDE)
    below, above = flat[:, lower.ravel(), here], flat[:, lower.ravel() + 1, here]
    mixed: Field = (below + share.ravel() * (above - below)).reshape(2, SIDE, SIDE)
    return mixed


def _find_bins(guide: Field) -> tuple[Indices, Field]:
    """Returns the lower of the two bins of each sample, and the share of the upper one."""
    position = np.clip(guide, 0, 1) * np.float32(BINS - 1)
    lower = np.minimum(position.astype(np.intp), BINS - 2)
    return lower, (position - lower).astype(np.float32)


def _sum_cells(field: Field) -> Field:
    """Returns weighted sums `(CELLS, CELLS)` of a field `(SIDE, SIDE)`."""
    total: Field = np.linalg.multi_dot([_CELL_WEIGHTS.T, field, _CELL_WEIGHTS])
    return total


def _blur(grid: Field) -> Field:
    """Returns the grid averaged with its neighbours along its last three axes."""
    blurred: Field = grid
    for axis in (-3, -2, -1):
        padded = np.concatenate([blurred.take([0], axis), blurred, blurred.take([-1], axis)], axis)
        length = grid.shape[axis]
        before, same, after = (padded.take(range(it, it + length), axis) for it in range(3))
        blurred = ((before + 2 * same + after) / 4).astype(np.float32)
    return blurred
