"""Colour hints that are painted in an editor: a PNG with a transparent background."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from batchcolor.color import nearest_chroma_in_gamut, rgb_to_ycbcr
from batchcolor.errors import ProcessingError
from batchcolor.hooks.thread_warnings import silence_warnings
from batchcolor.inference.hints.hint_field import STEP, HintField

MAX_ASPECT_ERROR = 0.02
"""Relative difference between the aspect ratios of hints and picture, as by rounding to pixels."""
MIN_COVERAGE = 0.02
"""Opacity of a position, 0..1, from which it is a hint: a thin line covers part of a position."""


def read_painted_hints(
    path: Path, guide: NDArray[np.float32], picture_size: tuple[int, int]
) -> HintField:
    """Returns the opaque parts of a picture as hints on the field of `guide`.

    `guide` is luma `(h, w)` in 0..1.

    The painted picture has the aspect ratio of the upright picture, whose width and height are
    `picture_size`, at any resolution. Raises ProcessingError where it cannot be read or used.
    """
    try:
        with silence_warnings(), Image.open(path) as opened:
            _check_size(path, opened, picture_size)
            image = ImageOps.exif_transpose(opened)
            if not image.has_transparency_data:
                raise ProcessingError(
                    STEP, f"{path.name} has no transparent background, so all of it is colour hints"
                )
            pixels = image.convert("RGBa")  # colours times opacity, so that their mean is weighted
    except ProcessingError:
        raise
    except Exception as error:  # a decoder may raise anything
        raise ProcessingError(STEP, f"{path.name} cannot be read as a picture") from error
    height, width = guide.shape
    small = np.asarray(pixels.resize((width, height), Image.Resampling.BOX), np.float32) / 255
    opacity = small[..., 3]
    is_hint = opacity >= MIN_COVERAGE
    red, green, blue = (small[is_hint, channel] / opacity[is_hint] for channel in range(3))
    _, cb, cr = rgb_to_ycbcr(red, green, blue)
    chroma = np.zeros((2, height, width), np.float32)
    chroma[:, is_hint] = nearest_chroma_in_gamut(guide[is_hint], np.stack([cb, cr]))
    return HintField(chroma, np.where(is_hint, opacity, 0).astype(np.float32))


def _check_size(path: Path, image: Image.Image, picture_size: tuple[int, int]) -> None:
    """Raises ProcessingError for hints of another picture."""
    width, height = image.size
    if image.getexif().get(0x0112, 1) >= 5:
        width, height = height, width
    own, expected = width / height, picture_size[0] / picture_size[1]
    tolerance = MAX_ASPECT_ERROR + 1 / min(width, height) + 1 / min(picture_size)
    if abs(own / expected - 1) > tolerance:
        raise ProcessingError(
            STEP,
            f"{path.name} has {width} x {height} pixels, and the upright picture "
            f"{picture_size[0]} x {picture_size[1]}: their shapes differ",
        )
