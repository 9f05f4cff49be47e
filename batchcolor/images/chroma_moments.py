"""Mean and covariance of chroma in bands of luma, and the transfer of one set of them to another.

Film stock, paper and light colour shadows, midtones and highlights differently. So chroma in each
band of luma gets the mean and, in part, the covariance of another picture's chroma, through the
linear Monge-Kantorovitch map between two Gaussians.

Source: F. Pitie and A. Kokaram, "The linear Monge-Kantorovitch linear colour mapping for
example-based colour transfer", CVMP 2007.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Field = NDArray[np.float32]
Moments = NDArray[np.float64]
"""Of each band of luma: mean of Cb and Cr, and the values of their covariance, `(bands, 6)`."""

BAND_CENTERS = np.array([0.1, 0.35, 0.6, 0.85])
"""Luma at the centre of each band; between two centres the weights are interpolated."""
MIN_BAND_SHARE = 0.02
"""Share of the picture below which a band has too few samples; the whole picture is used then."""
MIN_CHROMA_STD = 0.01
"""Standard deviation added to every covariance, so that chroma near grey is not amplified."""
MIN_GAIN, MAX_GAIN = 0.5, 2.0
TRANSFER_STRENGTH = 0.6
"""Share of the full transfer that is applied; the full transfer leaves only two hues."""


def measure_moments(luma: Field, chroma: NDArray[np.floating]) -> Moments:
    """Returns the moments of chroma `(2, P)` in each band of luma `(P,)`.

    A band with too few samples has those of all samples.
    """
    uniform = np.ones(luma.size)
    rows = []
    for band in _weigh_bands(luma):
        weights = band if band.mean() >= MIN_BAND_SHARE else uniform
        mean = np.average(chroma, axis=1, weights=weights)
        covariance = np.cov(chroma, aweights=weights, ddof=0) + MIN_CHROMA_STD**2 * np.eye(2)
        rows.append(np.concatenate([mean, covariance.ravel()]))
    return np.stack(rows)


@dataclass(frozen=True)
class MomentTransfer:
    """Maps chroma with the moments `source` to chroma with the moments `target`.

    `strength` is the share of the full transfer that is applied.
    """

    source: Moments
    target: Moments
    strength: float = TRANSFER_STRENGTH

    def apply(self, luma: Field, chroma: Field) -> Field:
        """Returns the chroma `(2, s, s)` of a picture or frame; `luma` is `(s, s)`."""
        flat = chroma.reshape(2, -1).astype(np.float64)
        mapped = np.zeros_like(flat)
        bands = zip(_weigh_bands(luma.ravel()), self.source, self.target, strict=True)
        for weights, source, target in bands:
            gain = _monge_kantorovitch(source[2:].reshape(2, 2), target[2:].reshape(2, 2))
            mapped += weights * (target[:2, None] + gain @ (flat - source[:2, None]))
        mapped = flat + self.strength * (mapped - flat)
        return mapped.clip(-0.5, 0.5).reshape(chroma.shape).astype(np.float32)


def _weigh_bands(luma: Field) -> NDArray[np.float64]:
    """Returns the weight of each band at each position: `(bands, P)`, columns sum to 1."""
    position = np.interp(luma, BAND_CENTERS, np.arange(len(BAND_CENTERS)))
    distance = np.abs(position - np.arange(len(BAND_CENTERS))[:, None])
    weights: NDArray[np.float64] = np.clip(1 - distance, 0, 1)
    return weights


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
