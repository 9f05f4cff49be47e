"""Draws chroma back to the outlines of luma with a joint bilateral filter.

The chroma of a model is coarse, so the colours of an object reach over its outline, as a halo that
moves with it. Each sample becomes the mean of the samples around it whose luma is alike.

Source: G. Petschnigg et al., "Digital photography with flash and no-flash image pairs", SIGGRAPH
2004.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from batchcolor.video.temporal.motion import Field

REACH, STEP = 6, 2
"""Largest distance of a sample that counts, and from one such sample to the next."""
SPATIAL_STD = 3.5
LUMA_STD = np.float32(0.05)
"""Standard deviations of the weights: in samples, and in luma, 0..1."""


def filter_along_edges(guide: Field, chroma: Field) -> Field:
    """Returns chroma `(2, s, s)`, averaged where the luma `guide` `(s, s)` is alike."""
    total, weights = chroma.copy(), np.ones_like(guide)
    for rows, columns, nearness in _OFFSETS:
        here, there = _overlap(rows, columns, guide.shape[0])
        difference = (guide[here] - guide[there]) / LUMA_STD
        weight = nearness * np.exp(np.square(difference) * np.float32(-0.5))
        total[:, *here] += weight * chroma[:, *there]
        total[:, *there] += weight * chroma[:, *here]
        weights[here] += weight
        weights[there] += weight
    filtered: Field = total / weights
    return filtered


def _list_offsets() -> Iterator[tuple[int, int, np.float32]]:
    """Yields one of each two opposite offsets, in rows and columns, and its weight."""
    for rows in range(0, REACH + 1, STEP):
        for columns in range(-REACH, REACH + 1, STEP):
            if rows > 0 or columns > 0:
                squared = (rows * rows + columns * columns) / SPATIAL_STD**2
                yield rows, columns, np.float32(np.exp(-squared / 2))


def _overlap(rows: int, columns: int, side: int) -> tuple[tuple[slice, slice], ...]:
    """Returns the areas of the frame that lie so many rows and columns apart."""
    first = slice(max(-columns, 0), side - max(columns, 0))
    second = slice(max(columns, 0), side - max(-columns, 0))
    return (slice(0, side - rows), first), (slice(rows, side), second)


_OFFSETS = tuple(_list_offsets())
