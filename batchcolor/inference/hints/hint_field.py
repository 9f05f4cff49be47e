"""HintField: colour hints on the small field on which they are propagated."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from batchcolor.color import nearest_chroma_in_gamut, rgb_to_ycbcr
from batchcolor.errors import ProcessingError
from batchcolor.inference.hints.hint import Hint

STEP = "hints"
"""The step of failures that hints cause."""
MIN_WIDTH = 3.0
"""Diameter of the smallest hint, in positions of the field."""


@dataclass(frozen=True)
class HintField:
    """Hints on a field `(h, w)` of a picture."""

    chroma: NDArray[np.float32]
    """Cb and Cr of the hints `(2, h, w)`, inside RGB at the luma of the field; 0 elsewhere."""
    weight: NDArray[np.float32]
    """0..1 `(h, w)`: how much of a position hints cover."""

    def over(self, below: HintField) -> HintField:
        """These hints; where they cover a position, those below do not count there."""
        is_covered = self.weight > 0
        return HintField(
            np.where(is_covered, self.chroma, below.chroma),
            np.where(is_covered, self.weight, below.weight),
        )


def make_hint_field(
    hints: Sequence[Hint], guide: NDArray[np.float32], picture_size: tuple[int, int]
) -> HintField:
    """Returns hints on the field of `guide`, luma `(h, w)` in 0..1; later hints cover earlier ones.

    `picture_size` is width and height of the upright picture, whose pixels are the unit of hints.
    Raises ProcessingError for a hint whose points all lie outside the picture.
    """
    height, width = guide.shape
    chroma = np.zeros((2, height, width), np.float32)
    weight = np.zeros((height, width), np.float32)
    for number, hint in enumerate(hints, start=1):
        check_inside(hint, number, picture_size)
        covered = draw_hint(hint, (width, height), picture_size)
        red, green, blue = (np.float32(value / 255) for value in hint.rgb)
        _, cb, cr = rgb_to_ycbcr(red, green, blue)
        chroma[0][covered], chroma[1][covered] = cb, cr
        weight[covered] = 1
    is_hint = weight > 0
    chroma[:, is_hint] = nearest_chroma_in_gamut(guide[is_hint], chroma[:, is_hint])
    return HintField(chroma, weight)


def check_inside(hint: Hint, number: int, picture_size: tuple[int, int]) -> None:
    """Raises ProcessingError for a hint that does not touch the picture."""
    width, height = picture_size
    if any(0 <= x <= width and 0 <= y <= height for x, y in hint.points):
        return
    x, y = hint.points[0]
    raise ProcessingError(
        STEP,
        f"colour hint {number} at {x:g}, {y:g} lies outside the picture, which has {width} x "
        f"{height} pixels",
    )


def draw_hint(
    hint: Hint, size: tuple[int, int], picture_size: tuple[int, int]
) -> NDArray[np.bool_]:
    """Returns the positions `(h, w)` of a field that a hint covers: at least one."""
    scale_x, scale_y = size[0] / picture_size[0], size[1] / picture_size[1]
    points = [(x * scale_x - 0.5, y * scale_y - 0.5) for x, y in hint.points]
    radius = max(MIN_WIDTH, hint.width * max(scale_x, scale_y)) / 2
    image = Image.new("1", size)
    draw = ImageDraw.Draw(image)
    if len(points) > 1:
        draw.line(points, 1, max(1, round(2 * radius)), joint="curve")
    for x, y in points:
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), 1)
        column = min(max(round(x), 0), size[0] - 1)
        row = min(max(round(y), 0), size[1] - 1)
        draw.point((column, row), 1)
    return np.asarray(image)
