"""Removes specks from a field of chroma: patches whose hue differs from that of their surroundings.

The surroundings of a position are the positions near it that have about its luma. Their chroma is a
robust mean, computed on a bilateral grid (J. Chen, S. Paris, F. Durand, "Real-time edge-aware image
processing with the bilateral grid", SIGGRAPH 2007): small arrays of space and luma, so that the
cost is that of a few operations on the field. A patch gets the hue of its surroundings where the
network's own distribution of colours hardly prefers what the patch has.
"""

from __future__ import annotations

import torch
from torch.nn import functional

SCALE = 2
"""Positions of the field, along each axis, in one that specks are looked for in: a quarter of the
time, and specks of one position are invisible."""
CELL = 2
"""Of those positions, how many are in a cell of the grid, along each axis."""
REACH = 2
"""Cells from a position to the edge of its surroundings: 5 x 5 of the 16 x 16 cells."""
LUMA_LEVELS = 7
ROUNDS = 3
"""Rounds of the robust mean; each gives less weight to what differs from the previous mean."""
OUTLIER_CHROMA = 0.04
"""Distance in the CbCr plane from the mean at which the weight of a position is a quarter."""
STRETCH = 1.5
"""A patch may have up to this many times the chroma of its surroundings: that is the same hue."""
DEVIATION = (0.006, 0.02)
"""Distances in the CbCr plane from the nearest chroma of the surroundings' hue: up to the first,
nothing changes; from the second on, a patch gets that chroma."""
COST = (0.8, 2.2)
"""Increases of the expected CIEDE2000 error by that change: up to the first, it is made; from the
second on it is not, as the network is sure of what the patch has."""
SOFT_ENCODING_STD = 0.02
"""Standard deviation, in the CbCr plane, with which chroma is interpolated between the colours of
the palette."""


def remove_specks(
    chroma: torch.Tensor,
    luma: torch.Tensor,
    expected_error: torch.Tensor,
    palette: torch.Tensor,
) -> torch.Tensor:
    """Returns chroma `(N, 2, s, s)` without specks.

    chroma `(N, 2, s, s)`; luma `(N, 1, S, S)`, 0..1; the expected CIEDE2000 error `(N, s, s, K)` of
    each colour of the palette, chroma `(K, 2)`.
    """
    side = chroma.shape[-1] // SCALE
    small = functional.avg_pool2d(chroma.float(), SCALE)
    small_luma = functional.interpolate(luma.float(), size=(side, side), mode="area")
    error = expected_error.float().reshape(len(chroma), side, SCALE, side, SCALE, -1)
    replacement = keep_hue(small, find_surrounding_chroma(small, small_luma))
    deviation = (replacement - small).norm(dim=1, keepdim=True)
    weights = [encode(it, palette.float()) for it in (replacement, small)]
    cost = ((weights[0] - weights[1]) * error.mean(dim=(2, 4))).sum(dim=-1)[:, None]
    share = (1 - ramp(cost, *COST)) * ramp(deviation, *DEVIATION)
    change = functional.interpolate(
        share * (replacement - small), scale_factor=SCALE, mode="bilinear", align_corners=False
    )
    return (chroma + change).clamp(-0.5, 0.5)


def find_surrounding_chroma(chroma: torch.Tensor, luma: torch.Tensor) -> torch.Tensor:
    """Returns the robust mean chroma of the surroundings of each position, `(N, 2, s, s)`.

    chroma `(N, 2, s, s)`, luma `(N, 1, s, s)`.
    """
    count, _, side, _ = chroma.shape
    levels = torch.linspace(0, 1, LUMA_LEVELS, device=luma.device)[:, None, None]
    membership = (1 - (luma - levels).abs() * (LUMA_LEVELS - 1)).clamp(min=0)  # (N, L, s, s)
    weight = torch.ones_like(luma)
    mean = chroma
    for index in range(ROUNDS):
        if index:
            distance = (chroma - mean).square().sum(dim=1, keepdim=True)
            weight = (1 + distance / OUTLIER_CHROMA**2) ** -2.0
        weighted = torch.cat([weight, weight * chroma], dim=1)  # (N, 3, s, s)
        grid = (weighted[:, :, None] * membership[:, None]).flatten(1, 2)  # (N, 3 L, s, s)
        grid = functional.avg_pool2d(grid, CELL)
        grid = functional.avg_pool2d(grid, 2 * REACH + 1, stride=1, padding=REACH)
        grid = functional.interpolate(grid, size=(side, side), mode="bilinear", align_corners=False)
        sums = (grid.view(count, 3, LUMA_LEVELS, side, side) * membership[:, None]).sum(dim=2)
        mean = sums[:, 1:] / sums[:, :1].clamp(min=1e-6)
    return mean


def keep_hue(chroma: torch.Tensor, surrounding: torch.Tensor) -> torch.Tensor:
    """Returns the chroma `(N, 2, s, s)` of the surroundings' hue that is nearest to `chroma`.

    It lies between grey and `STRETCH` times the surrounding chroma.
    """
    product = (chroma * surrounding).sum(dim=1, keepdim=True)
    square = surrounding.square().sum(dim=1, keepdim=True).clamp(min=1e-8)
    return (product / square).clamp(0, STRETCH) * surrounding


def encode(chroma: torch.Tensor, palette: torch.Tensor) -> torch.Tensor:
    """Returns weights `(N, s, s, K)`, sum 1, of the palette's colours near each chroma."""
    products = chroma.permute(0, 2, 3, 1) @ palette.t()
    squares = palette.square().sum(dim=1) / 2
    return ((products - squares) / SOFT_ENCODING_STD**2).softmax(dim=-1)


def ramp(values: torch.Tensor, start: float, end: float) -> torch.Tensor:
    """Returns 0 up to `start`, 1 from `end` on, and linear values between."""
    return ((values - start) / (end - start)).clamp(0, 1)
