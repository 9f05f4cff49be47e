"""Factors that reduce chroma towards grey where luma has nothing to recognize."""

from __future__ import annotations

import torch

MIN_LUMA_STD = 0.02
"""Standard deviation of luma below which the chroma of an image is reduced towards grey."""
NOISE_LAGS = (1 / 32, 1 / 16)
"""Distances, as a share of the side, at which luma is compared with itself."""
NOISE_CORRELATION = (0.04, 0.09)
"""Correlation up to which an image is noise, and from which it is not. Of 1,028 photographs, one
in a thousand has less than 0.09; uniform and Gaussian noise of any size has 0.02, strips of noise
up to 0.05."""
MIN_VARIANCE = 1e-8


def low_contrast_gate(luma: torch.Tensor) -> torch.Tensor:
    """Returns a factor `(N, 1, 1, 1)`: 0 for a uniform image, 1 from `MIN_LUMA_STD` on."""
    deviation: torch.Tensor = luma.float().std(dim=(1, 2, 3), correction=0, keepdim=True)
    return (deviation / MIN_LUMA_STD).clamp(max=1)


def noise_gate(luma: torch.Tensor) -> torch.Tensor:
    """Returns a factor `(N, 1, 1, 1)`: 0 where luma is noise along an axis, else 1.

    Photographs correlate with themselves over short distances in both axes, noise does not. A strip
    of noise that is enlarged to a square correlates along one axis only.
    """
    centred = luma.float() - luma.float().mean(dim=(1, 2, 3), keepdim=True)
    variance = centred.square().mean(dim=(1, 2, 3), keepdim=True).clamp(min=MIN_VARIANCE)
    side = luma.shape[-1]
    axes = []
    for axis in (2, 3):
        found = []
        for lag in (max(1, round(side * share)) for share in NOISE_LAGS):
            first, second = (centred.narrow(axis, start, side - lag) for start in (0, lag))
            found.append((first * second).mean(dim=(1, 2, 3), keepdim=True).abs())
        axes.append(torch.maximum(*found))
    correlation = torch.minimum(*axes) / variance
    lowest, highest = NOISE_CORRELATION
    return ((correlation - lowest) / (highest - lowest)).clamp(0, 1)
