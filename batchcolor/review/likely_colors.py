"""Colours that are likely at a place of a picture: the palette from which a hint is chosen."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from batchcolor.color import compute_gamut_scale, ycbcr_to_rgb
from batchcolor.inference.backends.torch import TorchBackend
from batchcolor.inference.runner import Runner

COUNT = 8
MIN_DISTANCE = 0.055
"""In the CbCr plane, between two colours of the palette: nearer ones look alike."""
COMMON = (
    *((-0.10, 0.10), (-0.16, 0.20), (0.14, -0.06), (-0.12, -0.08), (-0.05, 0.22)),
    *((0.20, 0.02), (-0.25, 0.06), (0.08, 0.10), (0.03, -0.14), (0.0, 0.0)),
)
"""Cb, Cr of colours of skin, wood, sky, grass, cloth and paint, where a model has no distribution,
and after the colours of one that has."""
NEIGHBOURHOOD = 1
"""Positions around the place whose probabilities are averaged."""


def find_likely_colors(
    runner: Runner,
    square: NDArray[np.float32],
    chroma: NDArray[np.float32],
    place: tuple[float, float],
) -> list[str]:
    """Returns up to `COUNT` colours `#rrggbb`; the first is that of the result.

    `place` is x and y, 0..1. The colours have the luma of the place, and lie inside RGB.
    """
    x, y = (min(max(value, 0.0), 1.0) for value in place)
    luma = float(_sample(square[None], x, y)[0])
    found: list[tuple[float, float]] = []
    own = _sample(chroma, x, y)
    for cb, cr in [(float(own[0]), float(own[1])), *_rank(runner, square, x, y), *COMMON]:
        if all(np.hypot(cb - b, cr - r) >= MIN_DISTANCE for b, r in found):
            found.append((cb, cr))
    return [to_hex(luma, cb, cr) for cb, cr in found[:COUNT]]


def to_hex(luma: float, cb: float, cr: float) -> str:
    """Returns the colour with this luma; chroma is reduced until it lies inside RGB."""
    y, b, r = (np.full((1, 1), value, np.float32) for value in (luma, cb, cr))
    scale = compute_gamut_scale(y, y, b, r)
    planes = ycbcr_to_rgb(y, b * scale, r * scale)
    return "#" + "".join(f"{int(np.clip(p[0, 0] * 255 + 0.5, 0, 255)):02x}" for p in planes)


def _rank(
    runner: Runner, square: NDArray[np.float32], x: float, y: float
) -> Iterable[tuple[float, float]]:
    """The palette of a model that predicts a distribution, the likeliest colour first."""
    colorizer = runner.backend.colorizer if isinstance(runner.backend, TorchBackend) else None

    from batchcolor.models.delta import Delta

    if not isinstance(colorizer, Delta):
        return []

    import torch

    with torch.inference_mode():
        logits = colorizer.multi_scale_logits(torch.from_numpy(square)[None, None])
    probabilities = logits.softmax(dim=1)[0].float().cpu().numpy()
    height, width = probabilities.shape[1:]
    row, column = min(int(y * height), height - 1), min(int(x * width), width - 1)
    rows = slice(max(0, row - NEIGHBOURHOOD), row + NEIGHBOURHOOD + 1)
    columns = slice(max(0, column - NEIGHBOURHOOD), column + NEIGHBOURHOOD + 1)
    mean = probabilities[:, rows, columns].mean(axis=(1, 2))
    palette = colorizer.palette.float().cpu().numpy()
    # Saturated colours are rare in photographs, and what a hint is for: their share is raised.
    order = np.argsort(-mean * (0.2 + np.linalg.norm(palette, axis=1)))
    return [(float(palette[index, 0]), float(palette[index, 1])) for index in order[:40]]


def _sample(planes: NDArray[np.float32], x: float, y: float) -> NDArray[np.float32]:
    height, width = planes.shape[1:]
    value: NDArray[np.float32] = planes[
        :, min(int(y * height), height - 1), min(int(x * width), width - 1)
    ]
    return value
