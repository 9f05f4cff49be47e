"""Hint: a colour at a point of a picture or along a stroke."""

from __future__ import annotations

import math
import re
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

MAX_COORDINATE = 1_000_000
"""Larger than the side of any picture; keeps computations with coordinates finite."""
MAX_POINTS = 100_000
"""Points of one stroke."""


def _check_color(text: str) -> str:
    if not re.fullmatch("#[0-9a-fA-F]{6}", text):
        raise ValueError("a colour is written as #rrggbb")
    return text.lower()


def _check_coordinate(value: float) -> float:
    if not math.isfinite(value) or abs(value) > MAX_COORDINATE:
        raise ValueError("a coordinate is a number of pixels")
    return value


Coordinate = Annotated[float, AfterValidator(_check_coordinate)]
Color = Annotated[str, AfterValidator(_check_color)]


class Hint(BaseModel):
    """A colour at a point, or along a stroke of several points.

    Coordinates are pixels of the upright picture, as programs that respect the EXIF orientation
    show it: x to the right, y down, 0 0 is the top left corner. Raises pydantic's ValidationError.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    points: tuple[tuple[Coordinate, Coordinate], ...] = Field(min_length=1, max_length=MAX_POINTS)
    """x and y; lines connect several points to a stroke."""
    color: Color
    """`#rrggbb`, sRGB. Only its chroma counts: the picture keeps its luma."""
    width: float = Field(default=0.0, ge=0, le=MAX_COORDINATE, allow_inf_nan=False)
    """Diameter of the point or stroke in pixels; 0: one position of the field of chroma."""
    page: int = Field(default=1, ge=1)
    """Page of a file with several pages, from 1."""

    @property
    def rgb(self) -> tuple[int, int, int]:
        """Red, green and blue, 0..255."""
        red, green, blue = bytes.fromhex(self.color[1:])
        return red, green, blue
