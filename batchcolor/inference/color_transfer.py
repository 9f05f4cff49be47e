"""Color transfer from a reference photograph (`--like`), separately for each band of luma.

Film stock, paper and light colour shadows, midtones and highlights differently. So in each band of
luma the chroma of a result gets the mean and, in part, the covariance of the reference's chroma,
through the linear Monge-Kantorovitch map between two Gaussians. Works on the chroma of any model.

Source: F. Pitie and A. Kokaram, "The linear Monge-Kantorovitch linear colour mapping for
example-based colour transfer", CVMP 2007.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from batchcolor.color import rgb_to_ycbcr
from batchcolor.errors import UsageError
from batchcolor.hooks.thread_warnings import silence_warnings
from batchcolor.images.color_detection import has_colors

if TYPE_CHECKING:
    from collections.abc import Iterator

Field = NDArray[np.float32]

BAND_CENTERS = np.array([0.1, 0.35, 0.6, 0.85])
"""Luma at the centre of each band; between two centres the weights are interpolated."""
REFERENCE_SIDE = 256
"""Longer side, in pixels, to which the reference is reduced."""
MIN_BAND_SHARE = 0.02
"""Share of the picture below which a band has too few samples; the whole picture is used then."""
MIN_CHROMA_STD = 0.01
"""Standard deviation added to every covariance, so that chroma near grey is not amplified."""
MIN_GAIN, MAX_GAIN = 0.5, 2.0
TRANSFER_STRENGTH = 0.6
"""Share of the full transfer that is applied; the full transfer leaves only two hues."""
MIN_REFERENCE_CHROMA = 0.004
"""Mean distance from grey below which a reference has no colour to transfer."""


@dataclass(frozen=True)
class Moments:
    """Mean `(2,)` and covariance `(2, 2)` of Cb and Cr in one band of luma."""

    mean: NDArray[np.float64]
    covariance: NDArray[np.float64]


class ColorTransfer:
    """Transfers the colours of one reference picture to chroma."""

    def __init__(self, luma: Field, chroma: Field, note: str = "") -> None:
        self.note = note
        """What to tell the user about the reference; empty where it is as expected."""
        self._moments = list(_band_moments(luma.ravel(), chroma.reshape(2, -1)))

    @classmethod
    def from_picture(cls, path: Path) -> ColorTransfer:
        """Reads the reference. Raises UsageError if it cannot be read or has no colour.

        One that is toned, as a sepia print, is used with a note.
        """
        if not path.is_file():
            raise UsageError(f"--like {path}: cannot be read, there is no such file")
        try:
            with silence_warnings(), Image.open(path) as opened:
                image = ImageOps.exif_transpose(opened).convert("RGB")
        except Exception as error:  # a decoder may raise anything
            raise UsageError(f"--like {path}: cannot be read as a picture") from error
        image.thumbnail((REFERENCE_SIDE, REFERENCE_SIDE))
        red, green, blue = np.asarray(image, np.float32).transpose(2, 0, 1) / 255
        luma, cb, cr = rgb_to_ycbcr(red, green, blue)
        if float(np.hypot(cb, cr).mean()) < MIN_REFERENCE_CHROMA:
            raise UsageError(f"--like {path}: has no colour; use a colour photograph")
        note = ""
        if not has_colors(image):
            note = f"reference {path}: is toned or nearly grey; results get its tone"
        return cls(luma, np.stack([cb, cr]), note)

    def apply(self, chroma: Field, square: Field) -> Field:
        """Returns chroma `(2, s, s)` with the reference's colours; `square` is luma `(S, S)`."""
        side = chroma.shape[1:]
        small = Image.fromarray(square.astype(np.float32)).resize(side[::-1], Image.Resampling.BOX)
        luma = np.asarray(small).ravel()
        flat = chroma.reshape(2, -1).astype(np.float64)
        mapped = np.zeros_like(flat)
        bands = zip(_band_weights(luma), _band_moments(luma, flat), self._moments, strict=True)
        for weights, source, target in bands:
            gain = _monge_kantorovitch(source.covariance, target.covariance)
            mapped += weights * (target.mean[:, None] + gain @ (flat - source.mean[:, None]))
        mapped = flat + TRANSFER_STRENGTH * (mapped - flat)
        return mapped.clip(-0.5, 0.5).reshape(chroma.shape).astype(np.float32)


def _band_weights(luma: Field) -> NDArray[np.float64]:
    """Returns the weight of each band at each position: `(bands, P)`, columns sum to 1."""
    position = np.interp(luma, BAND_CENTERS, np.arange(len(BAND_CENTERS)))
    distance = np.abs(position - np.arange(len(BAND_CENTERS))[:, None])
    weights: NDArray[np.float64] = np.clip(1 - distance, 0, 1)
    return weights


def _band_moments(luma: Field, chroma: NDArray[np.floating]) -> Iterator[Moments]:
    """Yields the moments of chroma `(2, P)` in each band, or of all where a band is too small."""
    uniform = np.ones(luma.size)
    for band in _band_weights(luma):
        weights = band if band.mean() >= MIN_BAND_SHARE else uniform
        mean = np.average(chroma, axis=1, weights=weights)
        yield Moments(
            mean, np.cov(chroma, aweights=weights, ddof=0) + MIN_CHROMA_STD**2 * np.eye(2)
        )


def _monge_kantorovitch(
    source: NDArray[np.float64], target: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Returns the symmetric matrix that maps one covariance to the other, with bounded gains."""
    root = _matrix_power(source, 0.5)
    inverse = _matrix_power(source, -0.5)
    middle = _matrix_power(root @ target @ root, 0.5)
    values, vectors = np.linalg.eigh(inverse @ middle @ inverse)
    bounded: NDArray[np.float64] = (vectors * values.clip(MIN_GAIN, MAX_GAIN)) @ vectors.T
    return bounded


def _matrix_power(matrix: NDArray[np.float64], exponent: float) -> NDArray[np.float64]:
    """Returns a power of a symmetric positive matrix."""
    values, vectors = np.linalg.eigh(matrix)
    raised: NDArray[np.float64] = (vectors * values.clip(1e-12) ** exponent) @ vectors.T
    return raised
