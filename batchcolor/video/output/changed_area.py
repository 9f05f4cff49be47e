"""Finds the part of a frame that differs from what an animation shows before it."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray


class Area(NamedTuple):
    """A rectangle in pixels, from `left` and `top` up to before `right` and `bottom`."""

    left: int
    top: int
    right: int
    bottom: int

    def crop(self, pixels: NDArray[Any]) -> NDArray[Any]:
        """Returns this part of a picture `(height, width, ...)`."""
        return pixels[self.top : self.bottom, self.left : self.right]


def find_area(mask: NDArray[np.bool_], step: int = 1) -> Area:
    """Returns the smallest rectangle with all true places of a mask `(height, width)`.

    Its left and top are multiples of `step`. Without a true place it is the upper left pixel.
    """
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not len(rows):
        return Area(0, 0, 1, 1)
    left, top = int(columns[0]) // step * step, int(rows[0]) // step * step
    return Area(left, top, int(columns[-1]) + 1, int(rows[-1]) + 1)
