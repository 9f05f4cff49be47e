"""Bilinear upsampling of small fields, faster than Pillow, whose result has to be copied twice."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Field = NDArray[np.float32]
Taps = tuple[NDArray[np.intp], NDArray[np.intp], Field]


class Upsampled:
    """A field `(h, w)` at `size` (width, height), bilinear between sample centres.

    Where that is smaller than the field, Pillow resizes it, with antialiasing.
    """

    def __init__(self, field: Field, size: tuple[int, int]) -> None:
        width, height = size
        self._height = height
        if width < field.shape[1] or height < field.shape[0]:
            image = Image.fromarray(np.ascontiguousarray(field))
            self._wide = np.array(image.resize(size, Image.Resampling.BILINEAR), np.float32)
        else:
            left, right, share = _find_column_taps(*field.shape, width)
            first, step = field.take(left), field.take(right)
            step -= first
            step *= share
            first += step
            self._wide = first

    def read_rows(self, rows: slice) -> Field:
        """Returns these rows, as an array of their own."""
        if self._wide.shape[0] >= self._height:
            return self._wide[rows].copy()
        above, below, share = _find_taps(self._wide.shape[0], self._height)
        first, step = self._wide.take(above[rows], axis=0), self._wide.take(below[rows], axis=0)
        step -= first
        step *= share[rows, None]
        first += step
        return first


@lru_cache(maxsize=64)
def _find_taps(count: int, size: int) -> Taps:
    """Returns for each of `size` samples its two neighbours of `count`, and the second's share."""
    centres = (np.arange(size) + 0.5) * count / size - 0.5
    lower = np.floor(centres).astype(np.intp)
    share = (centres - lower).astype(np.float32)
    return np.clip(lower, 0, count - 1), np.clip(lower + 1, 0, count - 1), share


@lru_cache(maxsize=64)
def _find_column_taps(height: int, width: int, wide: int) -> Taps:
    """Returns `_find_taps` of each row, as flat indices `(height, wide)`, which are read faster."""
    left, right, share = _find_taps(width, wide)
    starts = width * np.arange(height)[:, None]
    return starts + left, starts + right, share
