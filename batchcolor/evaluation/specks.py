"""Specks: connected patches whose hue differs from that of surroundings with the same luma.

A red spot on a grey sleeve is a speck; a red flower on green leaves is none, as luma changes at its
edge. What is a speck is decided in three steps, on the picture reduced to `SIDE` pixels:

1. The surroundings of a pixel are the pixels within `REACH` that have about its luma. Their chroma
   (CIELab) is a robust mean: pixels that differ from it count less.
2. The deviation of a pixel is the distance of its chroma from the nearest chroma of that hue, from
   grey to `STRETCH` times the mean. Connected pixels above `MIN_DEVIATION` are a patch.
3. A patch is a speck if it is neither tiny nor large, and luma does not change along most of its
   outline. Where there is a reference, the colour of the surroundings must also be nearer to it
   than that of the patch.

The thresholds were chosen by eye on 30 old photographs and 31 others.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage
from skimage import color

SIDE = 128
"""Length of the longer side, in pixels, at which specks are looked for."""
REACH = 0.14
"""Distance from a pixel to the edge of its surroundings, as a share of the longer side."""
LUMA_LEVELS = 16
ROUNDS = 3
OUTLIER_CHROMA = 5.0
"""Distance from the mean, in a and b of CIELab, at which a pixel has a quarter of the weight."""
STRETCH = 1.5
MIN_DEVIATION = 6.0
"""In a and b of CIELab, mean of 3 x 3 pixels."""
AREA = (0.0004, 0.1)
"""Smallest and largest area of a speck, as a share of the picture."""
MAX_LUMA_STEP = 0.06
"""Difference of L/100 between a patch and the pixels around it, up to which luma is the same."""
MIN_SMOOTH_OUTLINE = 0.6
"""Share of the outline of a speck along which luma is the same."""

Floats = NDArray[np.float32]
_color: Any = color
"""scikit-image has no type annotations."""


def speck_area(reference: NDArray[np.uint8], output: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Returns the area of specks in each output, in percent of the picture: `(N,)`; 0 is best.

    Both are stacks `(N, H, W, 3)`, uint8 RGB.
    """
    pairs = zip(reference, output, strict=True)
    return np.array([100 * find_specks(it, truth).mean() for truth, it in pairs])


def find_specks(
    output: NDArray[np.uint8], reference: NDArray[np.uint8] | None = None
) -> NDArray[np.bool_]:
    """Returns where a picture `(H, W, 3)` has specks, reduced to `SIDE` pixels: `(h, w)`."""
    luma, chroma = _reduce_to_lab(output)
    expected = _find_surrounding_chroma(luma, chroma)
    deviation = ndimage.uniform_filter(_measure_deviation(chroma, expected), 3)
    truth = None if reference is None else _reduce_to_lab(reference)[1]
    labels, _ = ndimage.label(deviation > MIN_DEVIATION)
    specks = np.zeros(luma.shape, bool)
    for label, box in enumerate(ndimage.find_objects(labels), start=1):
        around = tuple(slice(max(0, axis.start - 2), axis.stop + 2) for axis in box)
        patch = labels[around] == label
        if not AREA[0] <= patch.sum() / luma.size <= AREA[1]:
            continue
        if not _has_smooth_outline(patch, luma[around]):
            continue
        if truth is not None:
            found, surrounding, true = (
                field[:, *around][:, patch].mean(axis=1) for field in (chroma, expected, truth)
            )
            if np.hypot(*(found - true)) <= np.hypot(*(surrounding - true)):
                continue
        specks[around] |= patch
    return specks


def _reduce_to_lab(rgb: NDArray[np.uint8]) -> tuple[Floats, Floats]:
    """Returns L in 0..1 `(h, w)`, and a and b `(2, h, w)`."""
    height, width = rgb.shape[:2]
    scale = SIDE / max(height, width)
    if scale < 1:
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        rgb = np.asarray(Image.fromarray(rgb).resize(size, Image.Resampling.BOX))
    lab = _color.rgb2lab(rgb).astype(np.float32)
    return lab[..., 0] / np.float32(100), np.moveaxis(lab[..., 1:], 2, 0)


def _find_surrounding_chroma(luma: Floats, chroma: Floats) -> Floats:
    """Returns the robust mean chroma of the surroundings of each pixel: `(2, h, w)`."""
    reach = max(1, round(REACH * max(luma.shape)))
    levels = np.linspace(0, 1, LUMA_LEVELS, dtype=np.float32)[:, None, None]
    membership = np.clip(1 - np.abs(luma - levels) * (LUMA_LEVELS - 1), 0, 1)  # (L, h, w)
    weight: Floats = np.ones_like(luma)
    mean = chroma
    for index in range(ROUNDS):
        if index:
            distance: Floats = np.square(chroma - mean).sum(axis=0)
            weight = (1 / np.square(1 + distance / OUTLIER_CHROMA**2)).astype(np.float32)
        total = _sum_similar(membership, weight, reach)
        sums = [_sum_similar(membership, weight * plane, reach) for plane in chroma]
        mean = (np.stack(sums) / np.maximum(total, 1e-6)).astype(np.float32)
    return mean


def _sum_similar(membership: Floats, values: Floats, reach: int) -> Floats:
    """Returns, up to a factor, the sum of the values of the surroundings of each pixel."""
    grid = membership * values
    for axis in (1, 2):
        grid = ndimage.uniform_filter1d(grid, 2 * reach + 1, axis=axis, mode="constant")
    grid = ndimage.convolve1d(grid, [0.25, 0.5, 0.25], axis=0, mode="constant")
    sums: Floats = (membership * grid).sum(axis=0)
    return sums


def _measure_deviation(chroma: Floats, expected: Floats) -> Floats:
    """Returns the distance `(h, w)` of chroma from the segment of the expected hue."""
    square = np.maximum(np.square(expected).sum(axis=0), np.float32(1e-9))
    share = np.clip((chroma * expected).sum(axis=0) / square, 0, STRETCH)
    deviation: Floats = np.hypot(*(chroma - share * expected))
    return deviation


def _has_smooth_outline(patch: NDArray[np.bool_], luma: Floats) -> bool:
    """Returns whether luma is the same on both sides of most of the outline of a patch."""
    outline = ndimage.binary_dilation(patch, iterations=2) & ~patch
    if not outline.any():
        return False
    nearest = ndimage.distance_transform_edt(~patch, return_distances=False, return_indices=True)
    steps = np.abs(luma - luma[tuple(nearest)])[outline]
    return bool((steps < MAX_LUMA_STEP).mean() >= MIN_SMOOTH_OUTLINE)
