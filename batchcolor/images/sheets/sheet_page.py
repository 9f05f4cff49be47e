"""A page of a contact sheet: pictures, text and boxes at their positions, encoded as PNG or JPEG.

Positions are in pixels from the upper left corner; the `y` of a text is its baseline.
"""

from __future__ import annotations

import io
from dataclasses import dataclass, field
from typing import Literal

from PIL import Image, ImageDraw

from batchcolor.images.picture import RgbArray
from batchcolor.images.sheets.sheet_text import FontStyle, load_font

JPEG_QUALITY = 90


@dataclass(frozen=True)
class Theme:
    """The colours of a page."""

    background: str
    text: str
    muted_text: str
    error_text: str
    box: str
    box_outline: str
    image_outline: str
    """Around a picture, so that a white sky does not merge with a white page."""


LIGHT = Theme("#ffffff", "#1a1a1a", "#6b6b6b", "#a3231f", "#f6f1f0", "#d9c9c7", "#dcdcdc")
DARK = Theme("#101010", "#d8d8d8", "#9a9a9a", "#f2a09b", "#262120", "#57494a", "#303030")


@dataclass(frozen=True)
class PlacedImage:
    """A picture at its own size."""

    x: int
    y: int
    rgb: RgbArray


@dataclass(frozen=True)
class TextLine:
    """One line of text."""

    x: int
    y: int
    text: str
    style: FontStyle
    color: str


@dataclass(frozen=True)
class Box:
    """A filled rectangle behind the text of a failure."""

    x: int
    y: int
    width: int
    height: int


@dataclass
class SheetPage:
    """A page with its items in drawing order."""

    theme: Theme
    width: int = 0
    height: int = 0
    items: list[PlacedImage | TextLine | Box] = field(default_factory=list)


def encode_page(page: SheetPage, kind: Literal["PNG", "JPEG"]) -> bytes:
    """Draws and encodes a page; pictures are copied pixel by pixel."""
    image = Image.new("RGB", (page.width, page.height), page.theme.background)
    draw = ImageDraw.Draw(image)
    for item in page.items:
        if isinstance(item, PlacedImage):
            height, width = item.rgb.shape[:2]
            corners = ((item.x - 1, item.y - 1), (item.x + width, item.y + height))
            draw.rectangle(corners, outline=page.theme.image_outline)
            image.paste(Image.fromarray(item.rgb), (item.x, item.y))
        elif isinstance(item, TextLine):
            font = load_font(item.style)
            draw.text((item.x, item.y), item.text, item.color, font, anchor="ls")
        else:
            corner = (item.x + item.width - 1, item.y + item.height - 1)
            draw.rectangle(
                ((item.x, item.y), corner), fill=page.theme.box, outline=page.theme.box_outline
            )
    file = io.BytesIO()
    if kind == "PNG":
        image.save(file, "PNG")
    else:
        image.save(file, "JPEG", quality=JPEG_QUALITY, subsampling=0, optimize=True)
    return file.getvalue()
