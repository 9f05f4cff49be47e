"""Two perceptual hashes of 64 bits, and an index that finds near ones."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

CROPS = (
    (0.0, 0.0, 1.0, 1.0),
    *((x, y, x + 0.8, y + 0.8) for x, y in ((0, 0), (0.2, 0), (0, 0.2), (0.2, 0.2), (0.1, 0.1))),
    *((x, y, x + 0.6, y + 0.6) for x, y in ((0, 0), (0.4, 0), (0, 0.4), (0.4, 0.4), (0.2, 0.2))),
    *((0.0, 0.1, 1.0, 0.9), (0.1, 0.0, 0.9, 1.0), (0.0, 0.2, 1.0, 0.8), (0.2, 0.0, 0.8, 1.0)),
)
"""Left, top, right and bottom of the crops of an evaluation picture, as shares of its sides."""
MEDIAN_CELLS = 8


def _dct_basis(length: int, count: int) -> NDArray[np.float64]:
    positions = (2 * np.arange(length) + 1) / (2 * length)
    return np.asarray(np.cos(np.pi * positions * np.arange(1, count + 1)[:, None]))


BASIS = _dct_basis(32, MEDIAN_CELLS)


def _pack(bits: NDArray[np.bool_]) -> int:
    return int.from_bytes(np.packbits(bits).tobytes(), "big")


def difference_hash(luma: Image.Image) -> int:
    """Returns whether each cell of a 9x8 grid of luma is brighter than its left neighbour."""
    grid = np.asarray(luma.resize((9, 8), Image.Resampling.BOX))
    return _pack(grid[:, 1:] > grid[:, :-1])


def frequency_hash(luma: Image.Image) -> int:
    """Returns whether each of 8x8 low frequencies of 32x32 luma is above their median.

    Source: C. Zauner, "Implementation and benchmarking of perceptual image hash functions", 2010.
    """
    grid = np.asarray(luma.resize((32, 32), Image.Resampling.BOX), np.float64)
    frequencies = BASIS @ grid @ BASIS.T
    return _pack(frequencies > np.median(frequencies))


def hash_luma(luma: Image.Image) -> tuple[int, int]:
    """Returns both hashes of a greyscale picture."""
    return difference_hash(luma), frequency_hash(luma)


def hash_whole(image: Image.Image) -> NDArray[np.uint64]:
    """Returns the hashes `(2, 2)` of the whole picture and of its middle square."""
    luma = image.convert("L")
    side = min(luma.size)
    left, top = (luma.width - side) // 2, (luma.height - side) // 2
    middle = luma.crop((left, top, left + side, top + side))
    return np.array([hash_luma(luma), hash_luma(middle)], np.uint64)


def hash_crops(image: Image.Image) -> NDArray[np.uint64]:
    """Returns the hashes `(N, 2)` of crops of a picture, each also mirrored."""
    luma = image.convert("L")
    rows = []
    for left, top, right, bottom in CROPS:
        box = (left * luma.width, top * luma.height, right * luma.width, bottom * luma.height)
        crop = luma.crop((round(box[0]), round(box[1]), round(box[2]), round(box[3])))
        rows.append(hash_luma(crop))
        rows.append(hash_luma(crop.transpose(Image.Transpose.FLIP_LEFT_RIGHT)))
    whole = hash_whole(image)
    mirrored = hash_whole(image.transpose(Image.Transpose.FLIP_LEFT_RIGHT))
    return np.concatenate([np.array(rows, np.uint64), whole, mirrored])


class HashIndex:
    """Rows of two hashes. A picture is near where either of its hashes is within a distance."""

    def __init__(self, distance: int) -> None:
        self.distance = distance
        self._rows = np.zeros((1024, 2), np.uint64)
        self._count = 0

    def rows(self) -> NDArray[np.uint64]:
        """Returns all rows `(N, 2)`."""
        return self._rows[: self._count]

    def add(self, rows: NDArray[np.uint64]) -> None:
        """Appends rows `(N, 2)`."""
        while self._count + len(rows) > len(self._rows):
            self._rows = np.concatenate([self._rows, np.zeros_like(self._rows)])
        self._rows[self._count : self._count + len(rows)] = rows
        self._count += len(rows)

    def is_near(self, rows: NDArray[np.uint64]) -> bool:
        """Returns whether one of the rows `(N, 2)` is near one of the index."""
        known = self.rows()
        return any(
            bool((np.bitwise_count(known[:, which] ^ row[which]) <= self.distance).any())
            for row in rows
            for which in range(2)
        )
