"""Encodes the pages of a sheet as a PDF: text as text, pictures losslessly at their own size."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

from batchcolor.hooks.thread_warnings import silence_warnings
from batchcolor.images.sheets.sheet_page import Box, PlacedImage, SheetPage, TextLine
from batchcolor.images.sheets.sheet_text import font_path

PIXELS_PER_INCH = 150


def encode_pdf(pages: Sequence[SheetPage]) -> bytes:
    """Returns one PDF with all pages."""
    import matplotlib as mpl
    from matplotlib.backends.backend_pdf import PdfPages
    from matplotlib.figure import Figure

    file = io.BytesIO()
    with (
        silence_warnings(),  # about fonts: missing glyphs are escaped before
        mpl.rc_context({"pdf.fonttype": 42}),
        PdfPages(file, metadata={"Creator": "batchcolor"}) as document,
    ):
        for page in pages:
            size = (page.width / PIXELS_PER_INCH, page.height / PIXELS_PER_INCH)
            figure = Figure(figsize=size, dpi=PIXELS_PER_INCH, facecolor=page.theme.background)
            for item in page.items:
                if isinstance(item, TextLine):
                    _add_text(figure, page, item)
                else:
                    _add_image_or_box(figure, page, item)
            document.savefig(figure, dpi=PIXELS_PER_INCH)
    return file.getvalue()


def _add_text(figure: Any, page: SheetPage, line: TextLine) -> None:
    from matplotlib.font_manager import FontProperties

    points = line.style.height * 72 / PIXELS_PER_INCH
    figure.text(
        line.x / page.width,
        1 - line.y / page.height,
        line.text,
        color=line.color,
        fontproperties=FontProperties(fname=str(font_path(line.style.bold)), size=points),
        va="baseline",
        parse_math=False,  # a file name may contain dollar signs
    )


def _add_image_or_box(figure: Any, page: SheetPage, item: PlacedImage | Box) -> None:
    from matplotlib.patches import Rectangle

    if isinstance(item, PlacedImage):
        height, width = item.rgb.shape[:2]
    else:
        height, width = item.height, item.width
    corner = item.x / page.width, 1 - (item.y + height) / page.height
    extent = width / page.width, height / page.height
    theme = page.theme
    fill, outline = (
        ("none", theme.image_outline)
        if isinstance(item, PlacedImage)
        else (theme.box, theme.box_outline)
    )
    rectangle = Rectangle(corner, *extent, linewidth=0.5, facecolor=fill, edgecolor=outline)
    rectangle.set_transform(figure.transFigure)
    figure.add_artist(rectangle)
    if isinstance(item, PlacedImage):
        axes = figure.add_axes((*corner, *extent))
        axes.set_axis_off()
        axes.imshow(item.rgb, interpolation="none", aspect="auto")
