"""Spreads colour hints over a picture by the likeness of Delta's features.

The correction that hints ask for is interpolated by Gaussian-process regression (C. Rasmussen and
C. Williams, "Gaussian Processes for Machine Learning", MIT Press 2006, chapter 2): where a position
is like that of a hint, in the decoder's features, luma, chroma and place, the correction is that of
the hint; where it is unlike all of them, the network's own chroma holds. Sky behind branches gets
the hint of the sky, which a propagation along neighbours does not reach.

Kernel and likeness have no trained parameters, so they fit all weights of the network. Without
hints the chroma is not changed at all.
"""

from __future__ import annotations

import torch
from torch.nn import functional

MAX_POINTS = 512
"""Positions with hints from which they are averaged on a grid of half the side: solving takes the
cube of their number."""
NOISE = 0.02
"""Variance of a hint as a share of that of the correction: contradictory hints are averaged."""
WINDOW = 9
"""Side of the square whose luma describes a position, in positions of the chroma."""
PLACE_WEIGHT = 1.2
LUMA_WEIGHT = 8.0
MEAN_WEIGHT = 4.2
STD_WEIGHT = 2.4
CHROMA_WEIGHT = 55.0
FEATURE_WEIGHT = 0.9
"""Weights of squared differences: of place (sides of the picture are 1), luma, mean and standard
deviation of luma in the window, the network's chroma, and the mean over standardized features."""
MIN_FEATURE_STD = 0.05
"""Standard deviation of a feature in a picture below which it hardly counts."""


def spread_hints(
    chroma: torch.Tensor, features: torch.Tensor, luma: torch.Tensor, hints: torch.Tensor
) -> torch.Tensor:
    """Returns chroma `(N, 2, s, s)` in -0.5..0.5 with the hints of each picture.

    chroma `(N, 2, s, s)` and features `(N, C, s, s)` of the network; luma `(N, 1, S, S)`; hints
    `(N, 3, S, S)`: 1 where a hint is, its Cb and Cr. S is divisible by s, and s by 4.
    """
    pictures = [
        _correct_picture(*parts) if bool(parts[-1][0].any()) else parts[0]
        for parts in zip(
            chroma.float().split(1),
            features.float().split(1),
            luma.float().split(1),
            hints.float(),
            strict=True,
        )
    ]
    return torch.cat(pictures).clamp(-0.5, 0.5).to(chroma.dtype)


def _correct_picture(
    chroma: torch.Tensor, features: torch.Tensor, luma: torch.Tensor, hints: torch.Tensor
) -> torch.Tensor:
    """Returns the chroma `(1, 2, s, s)` of one picture with its hints `(3, S, S)`."""
    side = chroma.shape[-1]
    described = describe_positions(chroma, features, luma)
    covered, colour, like = _average_hints(hints, described, chroma)
    kernel = _compute_kernel(like, like)
    kernel.diagonal().add_(NOISE)
    weights = torch.linalg.solve(kernel, colour - covered)
    everywhere = described.flatten(2)[0].t()  # (s s, D)
    correction = _compute_kernel(everywhere, like) @ weights  # (s s, 2)
    return chroma + correction.t().reshape(1, 2, side, side)


def describe_positions(
    chroma: torch.Tensor, features: torch.Tensor, luma: torch.Tensor
) -> torch.Tensor:
    """Returns `(1, D, s, s)`: half the squared distance of two positions is their unlikeness."""
    side = chroma.shape[-1]
    small = functional.interpolate(luma, size=(side, side), mode="area")
    mean, square = (
        functional.avg_pool2d(x, WINDOW, 1, WINDOW // 2, count_include_pad=False)
        for x in (small, small**2)
    )
    std = (square - mean**2).clamp(min=0).sqrt()
    place = (torch.arange(side, device=chroma.device, dtype=torch.float32) / side).expand(1, 1, side, side)
    spread = features.std(dim=(2, 3), keepdim=True) + MIN_FEATURE_STD
    standardized = (features - features.mean(dim=(2, 3), keepdim=True)) / spread
    parts = (
        (torch.cat([place, place.transpose(2, 3)], dim=1), PLACE_WEIGHT),
        (small, LUMA_WEIGHT),
        (mean, MEAN_WEIGHT),
        (std, STD_WEIGHT),
        (chroma, CHROMA_WEIGHT),
        (standardized, FEATURE_WEIGHT / features.shape[1]),
    )
    return torch.cat([part * weight**0.5 for part, weight in parts], dim=1)


def _average_hints(
    hints: torch.Tensor, described: torch.Tensor, chroma: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Returns the network's chroma `(H, 2)`, the hints' chroma and the description `(H, D)`.

    Each of the H points is the mean of a cell of a grid that has hints: of the finest grid with at
    most `MAX_POINTS` of them, or of one with a quarter of the side.
    """
    side = chroma.shape[-1]
    factor = hints.shape[-1] // side
    weight = functional.avg_pool2d(hints[None, :1], factor)
    colour = functional.avg_pool2d(hints[None, 1:], factor)
    given = torch.cat([chroma * weight, colour, described * weight], dim=1)
    for _ in range(2):
        if int((weight > 0).sum()) <= MAX_POINTS:
            break
        weight, given = functional.avg_pool2d(weight, 2), functional.avg_pool2d(given, 2)
    is_covered = weight.flatten() > 0
    points = (given / weight.clamp(min=1e-9)).flatten(2)[0].t()[is_covered]
    return points[:, :2], points[:, 2:4], points[:, 4:]


def _compute_kernel(first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
    """Returns the covariance `(A, B)` of positions described by `(A, D)` and `(B, D)`."""
    return torch.exp(-(torch.cdist(first, second) ** 2) / 2)
