"""Tells photographs in colour from grey ones that are toned, tinted or discoloured.

A tone (sepia, cyanotype, faded paper, the cast of a scanner) is one curve: its chroma depends on
luma alone. In a photograph in colour, areas of equal luma have different colours. So the median
chroma of each luma level is subtracted, and the spread of what remains decides. docs/experiments.md
has the measurement.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms, ImageFilter

GREY_MODES = frozenset({"1", "L", "LA", "La", "I", "F", "I;16", "I;16B", "I;16L", "I;16N"})
SIDE = 64
"""Longest side of the sample, in pixels: noise, fringes and JPEG blocks average out."""
LEVELS = 16
"""Luma levels of the toning curve."""
SMOOTHING = 0.7
"""Standard deviation of the curve's smoothing, in levels."""
MIN_CHROMA_RANGE = 2.0
"""Steps of 255. Chroma within it is that of a grey picture stored in RGB."""
MIN_SPREAD = 1.6
"""Steps of 255. The radius of the circle as large as the ellipse of the remaining chroma's standard
deviations: a spread along one axis alone, as of stained paper, does not count as colour."""
MARGIN = 0.12
"""Part of each side that cannot make a picture one in colour: borders, colour charts, album pages.
The spread must be in the whole picture and inside of its margins."""


def has_colors(pixels: Image.Image | NDArray[Any]) -> bool:
    """Whether a picture is in colour, and not grey or toned.

    `pixels` is a Pillow image of any mode, or an array, grey `(H, W)` or RGB `(H, W, 3 or more)`,
    uint8 or uint16. Takes about a millisecond for a picture in colour, nothing for a grey one.
    """
    image = pixels if isinstance(pixels, Image.Image) else _array_to_image(pixels)
    if image is None or image.mode in GREY_MODES:
        return False
    sample = np.asarray(_sample(image), np.float32)
    luma, chroma = sample[..., 0].ravel(), sample[..., 1:].reshape(-1, 2)
    if np.ptp(chroma, axis=0).max() <= MIN_CHROMA_RANGE:
        return False
    rest = (chroma - _fit_toning_curve(luma, chroma)).reshape(*sample.shape[:2], 2)
    top, left = (round(MARGIN * side) for side in rest.shape[:2])
    inner = rest[top : len(rest) - top, left : rest.shape[1] - left]
    return min(_measure_spread(rest), _measure_spread(inner)) > MIN_SPREAD


def _measure_spread(rest: NDArray[np.float64]) -> float:
    """Returns the spread of chroma `(H, W, 2)` around the toning curve, in steps of 255."""
    pairs = rest.reshape(-1, 2)
    variances = np.linalg.eigvalsh(pairs.T @ pairs / len(pairs))
    return float(np.prod(np.maximum(variances, 0)) ** 0.25)


def _array_to_image(pixels: NDArray[Any]) -> Image.Image | None:
    """Returns RGB as a Pillow image of about four times the sample's size; None for grey."""
    if pixels.ndim != 3 or pixels.shape[2] < 3:
        return None
    step = max(1, max(pixels.shape[:2]) // (4 * SIDE))
    few = pixels[::step, ::step, :3]
    if few.dtype == np.uint16:
        few = few >> 8
    if all(np.array_equal(few[..., 0], few[..., channel]) for channel in (1, 2)):
        return None  # grey that is stored as RGB
    return Image.fromarray(np.ascontiguousarray(few, np.uint8))


def _sample(image: Image.Image) -> Image.Image:
    """Returns the picture at the sample's size, in YCbCr, with single deviating pixels removed."""
    factor = max(1, max(image.size) // (4 * SIDE))
    if image.mode in ("P", "PA", "LAB", "CMYK", "HSV", "RGBA", "RGBa"):
        image = _thin_out(image, factor)
        image = _to_rgb(image)
    elif factor > 1:
        image = image.reduce(factor)
    image = image if image.mode == "YCbCr" else image.convert("RGB")
    image.thumbnail((SIDE, SIDE), Image.Resampling.BOX)
    return image.convert("YCbCr").filter(ImageFilter.MedianFilter(3))


def _thin_out(image: Image.Image, factor: int) -> Image.Image:
    """Returns every `factor`-th pixel, before an expensive conversion."""
    size = max(1, image.width // factor), max(1, image.height // factor)
    return image.resize(size, Image.Resampling.NEAREST)


def _to_rgb(image: Image.Image) -> Image.Image:
    """Returns RGB; transparent areas are grey, so that invisible colours do not count."""
    if image.mode == "LAB":
        return _lab_to_rgb(image)
    if not image.has_transparency_data:
        return image.convert("RGB")
    rgba = image.convert("RGBA")
    page = Image.new("RGBA", rgba.size, (128, 128, 128, 255))
    return Image.alpha_composite(page, rgba).convert("RGB")


def _lab_to_rgb(image: Image.Image) -> Image.Image:
    """Converts a CIELab image (mode LAB) to sRGB."""
    to_srgb = ImageCms.buildTransform(
        ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB"), "LAB", "RGB"
    )
    rgb = ImageCms.applyTransform(image, to_srgb)
    assert rgb is not None  # only in-place transforms return None
    return rgb


def _fit_toning_curve(
    luma: NDArray[np.float32], chroma: NDArray[np.float32]
) -> NDArray[np.float64]:
    """Returns the chroma that a tone would give each pixel: the median of its luma level, smoothed.

    `luma` is `(N,)` in 0..255, `chroma` and the result are `(N, 2)`.
    """
    level = np.minimum(luma.astype(np.intp) * LEVELS // 256, LEVELS - 1)
    counts = np.bincount(level, minlength=LEVELS)
    medians = np.zeros((LEVELS, 2))
    for index in np.flatnonzero(counts):
        medians[index] = np.median(chroma[level == index], axis=0)
    levels = np.arange(LEVELS)
    distance = (levels[:, None] - levels) / SMOOTHING
    weights = np.exp(-(distance**2) / 2) * counts
    curve = weights @ medians / np.maximum(weights.sum(axis=1, keepdims=True), 1e-9)
    position = (luma + 0.5) * (LEVELS / 256) - 0.5
    return np.stack([np.interp(position, levels, curve[:, axis]) for axis in (0, 1)], axis=1)
