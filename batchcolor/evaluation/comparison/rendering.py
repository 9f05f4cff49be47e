"""Panels, words and boxes at their places on a page, painted as PNG, JPEG or PDF.

Places are pixels from the upper left corner; a text's `y` is its baseline.
"""

from __future__ import annotations

import functools
import importlib.util
import io
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw, ImageFont

from batchcolor.evaluation.inference import RGB

PAPER = "#ffffff"
INK, PALE, ALARM = "#1a1a1a", "#6b6b6b", "#a3231f"
BOX, EDGE = "#f6f1f0", "#d9c9c7"
PDF_DPI = 150
"""Pixels of a panel to an inch of paper."""
JPEG_QUALITY = 88


@dataclass(frozen=True)
class FontStyle:
    """A font's height in pixels and its weight."""

    height: int
    bold: bool = False


@dataclass(frozen=True)
class Panel:
    """A picture at its own size."""

    x: int
    y: int
    rgb: RGB


@dataclass(frozen=True)
class TextLine:
    """One line of text."""

    x: int
    y: int
    text: str
    face: FontStyle
    ink: str = INK


@dataclass(frozen=True)
class Box:
    """A pale field behind the words of a failure."""

    x: int
    y: int
    width: int
    height: int


@dataclass
class Page:
    """What is painted, in this order."""

    width: int = 0
    height: int = 0
    items: list[Panel | TextLine | Box] = field(default_factory=list)


def measure_text_width(text: str, face: FontStyle) -> int:
    """Pixels that a text takes."""
    return round(_pillow_font(face).getlength(text))


def drawable(text: str) -> str:
    """The text, with characters that the font lacks written as their numbers."""
    known = _characters()
    return "".join(c if ord(c) in known else c.encode("unicode_escape").decode() for c in text)


def elide_text(text: str, face: FontStyle, width: int) -> str:
    """The text shortened in its middle, so that the beginning and the suffix are seen."""
    text = drawable(text)
    if measure_text_width(text, face) <= width:
        return text
    low, high = 0, len(text)
    while low < high:
        kept = (low + high + 1) // 2
        if measure_text_width(_without_middle(text, kept), face) <= width:
            low = kept
        else:
            high = kept - 1
    return _without_middle(text, low)


def _without_middle(text: str, kept: int) -> str:
    tail = kept // 2
    return f"{text[: kept - tail]}\N{HORIZONTAL ELLIPSIS}{text[len(text) - tail :]}"


def wrap_text(text: str, face: FontStyle, width: int, most: int) -> list[str]:
    """The text in lines of at most this width; at most so many, the last one elide_text."""
    lines: list[str] = []
    left = " ".join(drawable(text).split())
    while left and len(lines) < most - 1 and measure_text_width(left, face) > width:
        cut = len(left)
        while cut > 1 and measure_text_width(left[:cut].rstrip(), face) > width:
            space = left.rfind(" ", 0, cut)
            cut = space if space > 0 else cut - 1
        lines.append(left[:cut].rstrip())
        left = left[cut:].lstrip()
    if left:
        lines.append(elide_text(left, face, width))
    return lines


def raster(page: Page, kind: str) -> bytes:
    """The page as PNG or JPEG; panels are copied as they are."""
    image = Image.new("RGB", (page.width, page.height), PAPER)
    draw = ImageDraw.Draw(image)
    for item in page.items:
        if isinstance(item, Panel):
            image.paste(Image.fromarray(item.rgb), (item.x, item.y))
        elif isinstance(item, TextLine):
            font = _pillow_font(item.face)
            draw.text((item.x, item.y), item.text, fill=item.ink, font=font, anchor="ls")
        else:
            corner = (item.x + item.width - 1, item.y + item.height - 1)
            draw.rectangle(((item.x, item.y), corner), fill=BOX, outline=EDGE)
    file = io.BytesIO()
    if kind == "PNG":
        image.save(file, "PNG")
    else:
        image.save(file, "JPEG", quality=JPEG_QUALITY, subsampling=0, optimize=True)
    return file.getvalue()


def render_pdf(pages: Sequence[Page]) -> bytes:
    """One PDF of all pages: text as text, panels without loss at their own resolution."""
    import matplotlib as mpl
    from matplotlib.backends.backend_pdf import PdfPages
    from matplotlib.figure import Figure

    file = io.BytesIO()
    with (
        warnings.catch_warnings(),
        mpl.rc_context({"pdf.fonttype": 42}),
        PdfPages(file, metadata={"Creator": "batchcolor"}) as book,
    ):
        warnings.simplefilter("ignore")  # of fonts; names are made drawable before
        for page in pages:
            size = (page.width / PDF_DPI, page.height / PDF_DPI)
            figure = Figure(figsize=size, dpi=PDF_DPI, facecolor=PAPER)
            for item in page.items:
                _draw_in(figure, page, item)
            book.savefig(figure, dpi=PDF_DPI)
    return file.getvalue()


def _draw_in(figure: Any, page: Page, item: Panel | TextLine | Box) -> None:
    from matplotlib.font_manager import FontProperties
    from matplotlib.patches import Rectangle

    if isinstance(item, TextLine):
        points = item.face.height * 72 / PDF_DPI
        figure.text(
            item.x / page.width,
            1 - item.y / page.height,
            item.text,
            color=item.ink,
            fontproperties=FontProperties(fname=str(_font_file(item.face.bold)), size=points),
            va="baseline",
            parse_math=False,  # a name may have dollar signs
        )
        return
    if isinstance(item, Panel):
        height, width = item.rgb.shape[:2]
    else:
        height, width = item.height, item.width
    left, bottom = item.x / page.width, 1 - (item.y + height) / page.height
    place = (left, bottom, width / page.width, height / page.height)
    if isinstance(item, Panel):
        axes = figure.add_axes(place)
        axes.set_axis_off()
        axes.imshow(item.rgb, interpolation="none", aspect="auto")
    else:
        pale = Rectangle(
            place[:2], place[2], place[3], facecolor=BOX, edgecolor=EDGE, linewidth=0.5
        )
        pale.set_transform(figure.transFigure)
        figure.add_artist(pale)


def _font_file(bold: bool) -> Path:
    """DejaVu Sans, which comes with matplotlib: Latin, Greek, Cyrillic, Hebrew, Arabic."""
    name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
    # Found without an import: matplotlib fails to import where no cache folder is writable.
    spec = importlib.util.find_spec("matplotlib")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent / "mpl-data" / "fonts" / "ttf" / name


@functools.cache
def _pillow_font(face: FontStyle) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(_font_file(face.bold), face.height)


@functools.cache
def _characters() -> frozenset[int]:
    from fontTools.ttLib import TTFont

    with TTFont(_font_file(bold=False)) as font:
        return frozenset(font.getBestCmap())
