"""Text of contact sheets: fonts, widths, and text shortened or wrapped to a width.

The font is DejaVu Sans, which is part of matplotlib: Latin, Greek, Cyrillic, Hebrew, Arabic.
"""

from __future__ import annotations

import functools
import importlib.util
from dataclasses import dataclass
from pathlib import Path

from PIL import ImageFont

ELLIPSIS = "\N{HORIZONTAL ELLIPSIS}"


@dataclass(frozen=True)
class FontStyle:
    """Height of a font in pixels, and its weight."""

    height: int
    bold: bool = False

    @property
    def line_height(self) -> int:
        """Pixels from baseline to baseline."""
        return round(self.height * 1.45)


def measure_text_width(text: str, style: FontStyle) -> int:
    """Returns the width of a text in pixels."""
    return round(load_font(style).getlength(text))


def escape_missing_glyphs(text: str) -> str:
    r"""Returns the text with characters that the font lacks as escapes, such as `\u5bb6`."""
    if text.isascii() and text.isprintable():
        return text
    available = _available_characters()
    return "".join(c if ord(c) in available else c.encode("unicode_escape").decode() for c in text)


def elide_text(text: str, style: FontStyle, width: int) -> str:
    """Returns the text with its middle omitted if it is wider than `width` pixels.

    The beginning and the end of a file name, with its suffix, stay readable.
    """
    text = escape_missing_glyphs(text)
    if measure_text_width(text, style) <= width:
        return text
    low, high = 0, len(text)
    while low < high:
        kept = (low + high + 1) // 2
        if measure_text_width(_omit_middle(text, kept), style) <= width:
            low = kept
        else:
            high = kept - 1
    return _omit_middle(text, low)


def _omit_middle(text: str, kept: int) -> str:
    tail = kept // 2
    return f"{text[: kept - tail]}{ELLIPSIS}{text[len(text) - tail :]}"


def wrap_text(text: str, style: FontStyle, width: int, max_lines: int) -> list[str]:
    """Returns at most `max_lines` lines of at most `width` pixels; the last one may be elided."""
    lines: list[str] = []
    remaining = " ".join(escape_missing_glyphs(text).split())
    while remaining and len(lines) < max_lines - 1 and measure_text_width(remaining, style) > width:
        cut = len(remaining)
        while cut > 1 and measure_text_width(remaining[:cut].rstrip(), style) > width:
            space = remaining.rfind(" ", 0, cut)
            cut = space if space > 0 else cut - 1
        lines.append(remaining[:cut].rstrip())
        remaining = remaining[cut:].lstrip()
    if remaining:
        lines.append(elide_text(remaining, style, width))
    return lines


def font_path(bold: bool) -> Path:
    """Returns the path of the font file."""
    name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
    # Found without an import: importing matplotlib is slow, and fails without a writable folder.
    spec = importlib.util.find_spec("matplotlib")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent / "mpl-data" / "fonts" / "ttf" / name


@functools.cache
def load_font(style: FontStyle) -> ImageFont.FreeTypeFont:
    """Returns the font for Pillow."""
    return ImageFont.truetype(font_path(style.bold), style.height)


@functools.cache
def _available_characters() -> frozenset[int]:
    from fontTools.ttLib import TTFont

    with TTFont(font_path(bold=False)) as font:
        return frozenset(font.getBestCmap())
