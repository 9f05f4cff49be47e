"""A palette taken from a colour photograph: chroma is moved toward it, tone by tone.

What a colour film, a paper and an evening light do to an album shows in how its shadows, middle
tones and lights are coloured. So the chroma of a result is given the mean and the spread that
the reference has in the same band of luma, by the linear map that moves one Gaussian onto
another with the least change (Pitie and Kokaram 2007). Works on the small field of any model.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from batchcolor.color import rgb_to_ycbcr
from batchcolor.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

Field = NDArray[np.float32]

BANDS = np.array([0.1, 0.35, 0.6, 0.85])
"""Luma in the middle of each band; between two of them a place belongs to both in part."""
SIDE = 256
"""Pixels of the reference's long side that is looked at."""
LEAST = 0.02
"""Share of a picture below which a band says nothing, and the whole picture speaks for it."""
FLOOR = 0.01
"""Standard deviation of chroma that everything is taken to have at least: a field without
colour is shifted, not blown up."""
LEAST_GAIN, MOST_GAIN = 0.5, 2.0
PULL = 0.6
"""How far of the way to the palette: all of it washes a picture in two colours."""
GREY = 0.004
"""Mean distance from grey below which a reference has no palette to give."""


@dataclass(frozen=True)
class Moments:
    """Mean `(2,)` and covariance `(2, 2)` of Cb and Cr in one band of luma."""

    mean: NDArray[np.float64]
    covariance: NDArray[np.float64]


class ColorTransfer:
    """The colours of one reference picture, by luma."""

    def __init__(self, luma: Field, chroma: Field) -> None:
        self._moments = list(_moments(luma.ravel(), chroma.reshape(2, -1)))

    @classmethod
    def of(cls, path: Path) -> ColorTransfer:
        """Raises UsageError for a picture that cannot be read or has no colour."""
        if not path.is_file():
            raise UsageError(f"--like {path}: cannot be read, as there is no such file")
        try:
            with warnings.catch_warnings(), Image.open(path) as opened:
                warnings.simplefilter("ignore")  # a bad EXIF block does not change the colours
                image = ImageOps.exif_transpose(opened).convert("RGB")
        except Exception as error:  # a decoder may raise anything
            raise UsageError(f"--like {path}: cannot be read as a picture") from error
        image.thumbnail((SIDE, SIDE))
        red, green, blue = np.asarray(image, np.float32).transpose(2, 0, 1) / 255
        luma, cb, cr = rgb_to_ycbcr(red, green, blue)
        if float(np.hypot(cb, cr).mean()) < GREY:
            raise UsageError(f"--like {path}: has no colour; name a colour photograph")
        return cls(luma, np.stack([cb, cr]))

    def apply(self, chroma: Field, square: Field) -> Field:
        """Chroma `(2, s, s)` moved toward the palette; `square` is the luma `(S, S)` in 0..1."""
        side = chroma.shape[1:]
        small = Image.fromarray(square.astype(np.float32)).resize(side[::-1], Image.Resampling.BOX)
        luma = np.asarray(small).ravel()
        flat = chroma.reshape(2, -1).astype(np.float64)
        moved = np.zeros_like(flat)
        shares = _shares(luma)
        for share, own, wanted in zip(shares, _moments(luma, flat), self._moments, strict=True):
            gain = _transport(own.covariance, wanted.covariance)
            moved += share * (wanted.mean[:, None] + gain @ (flat - own.mean[:, None]))
        moved = flat + PULL * (moved - flat)
        return moved.clip(-0.5, 0.5).reshape(chroma.shape).astype(np.float32)


def _shares(luma: Field) -> NDArray[np.float64]:
    """How much each place `(P,)` belongs to each band: `(bands, P)`, columns sum to 1."""
    place = np.interp(luma, BANDS, np.arange(len(BANDS)))
    shares: NDArray[np.float64] = np.clip(1 - np.abs(place - np.arange(len(BANDS))[:, None]), 0, 1)
    return shares


def _moments(luma: Field, chroma: NDArray[np.floating]) -> Iterator[Moments]:
    """Of each band, or of the whole where a band is all but empty; chroma is `(2, P)`."""
    everywhere = np.ones(luma.size)
    for share in _shares(luma):
        weights = share if share.mean() >= LEAST else everywhere
        mean = np.average(chroma, axis=1, weights=weights)
        yield Moments(mean, np.cov(chroma, aweights=weights, ddof=0) + FLOOR**2 * np.eye(2))


def _transport(own: NDArray[np.float64], wanted: NDArray[np.float64]) -> NDArray[np.float64]:
    """The symmetric matrix that turns one covariance into the other, its gains bounded."""
    root = _power(own, 0.5)
    inverse = _power(own, -0.5)
    values, vectors = np.linalg.eigh(inverse @ _power(root @ wanted @ root, 0.5) @ inverse)
    bounded: NDArray[np.float64] = (vectors * values.clip(LEAST_GAIN, MOST_GAIN)) @ vectors.T
    return bounded


def _power(matrix: NDArray[np.float64], exponent: float) -> NDArray[np.float64]:
    values, vectors = np.linalg.eigh(matrix)
    raised: NDArray[np.float64] = (vectors * values.clip(1e-12) ** exponent) @ vectors.T
    return raised
