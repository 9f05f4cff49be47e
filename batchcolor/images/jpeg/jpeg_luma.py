"""Decodes the luma of 8-bit JPEG: the Y plane as stored where that is right, without RGB."""

from __future__ import annotations

from typing import Any

import numpy as np
import simplejpeg
from numpy.typing import NDArray
from PIL import Image

from batchcolor.images.color_detection import has_colors
from batchcolor.images.color_profiles.icc import ColorConversion

NEAR_WHITE, NEAR_BLACK = 235, 20
"""8-bit RGB samples beyond these may have been clipped when YCbCr became RGB."""
MIN_SATURATION = 24
"""Difference of the largest and smallest RGB sample from which a pixel counts as coloured."""
MAX_CLIPPED_SHARE = 0.002


def decode_jpeg_luma(
    data: bytes, image: Image.Image, conversion: ColorConversion, *, is_strict: bool = True
) -> tuple[NDArray[Any], bool]:
    """Returns the luma of a grey, YCbCr, RGB, CMYK or YCCK JPEG, and whether it is in colour.

    `image` is the JPEG as Pillow opens it. Of YCbCr it is the Y plane, unless colours are
    converted, or more than `MAX_CLIPPED_SHARE` of the pixels are saturated: there viewers clip
    RGB, and Y differs from the luma of the RGB that they show. A decoding at one eighth of the
    size decides. Raises ValueError for damage; without `is_strict` only where nothing decodes.
    """
    if image.mode == "L":
        return conversion.to_luma(_decode(data, "GRAY", is_strict)[..., 0]), False
    if image.mode == "CMYK":
        ink = 255 - _decode(
            data, "CMYK", is_strict
        )  # Adobe's programs store light, and all others follow
        return conversion.to_luma(ink), has_colors(Image.fromarray(ink, "CMYK"))
    if image.info.get("adobe_transform", 1) != 1:
        rgb = _decode(data, "RGB", is_strict)
        return conversion.to_luma(rgb), has_colors(rgb)
    min_size = {"min_width": max(1, image.width // 8), "min_height": max(1, image.height // 8)}
    small = simplejpeg.decode_jpeg(data, "RGB", **min_size, fastdct=True, strict=False)
    if not conversion.is_needed and not _is_clipped(small):
        return _decode(data, "GRAY", is_strict)[..., 0], has_colors(small)
    return conversion.to_luma(_decode(data, "RGB", is_strict)), has_colors(small)


def _decode(data: bytes, color_space: str, is_strict: bool) -> NDArray[np.uint8]:
    pixels: NDArray[np.uint8] = simplejpeg.decode_jpeg(data, color_space, strict=is_strict)
    return pixels


def _is_clipped(small: NDArray[np.uint8]) -> bool:
    """Whether saturated pixels have more than `MAX_CLIPPED_SHARE` of an RGB picture."""
    red, green, blue = small.transpose(2, 0, 1).copy()  # planes are reduced faster than pixels
    high = np.maximum(np.maximum(red, green), blue)
    low = np.minimum(np.minimum(red, green), blue)
    is_clipped = ((high > NEAR_WHITE) | (low < NEAR_BLACK)) & (high - low > MIN_SATURATION)
    return bool(is_clipped.mean() >= MAX_CLIPPED_SHARE)
