"""Lays out contact sheets: labelled rows and columns of pictures on one or several pages.

The only layout of such sheets: `compare`, the contact strip of a film and the sample sheets of
training use it. Pictures keep their pixels; the caller scales them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from batchcolor.images.picture import RgbArray
from batchcolor.images.sheets.sheet_page import (
    LIGHT,
    Box,
    PlacedImage,
    SheetPage,
    TextLine,
    Theme,
)
from batchcolor.images.sheets.sheet_text import (
    FontStyle,
    elide_text,
    escape_missing_glyphs,
    measure_text_width,
    wrap_text,
)

NO_RESULT = "no result"
MIN_HEADING_WIDTH = 96
"""Width in pixels that a heading may take above narrower pictures."""
MAX_TITLE_LINES, MAX_FAILURE_LINES = 3, 3


@dataclass(frozen=True)
class SheetColumn:
    """The headings of a column. Columns of the same group have a narrower gap between them."""

    heading: str = ""
    subheading: str = ""
    group: str = ""


@dataclass(frozen=True)
class SheetCell:
    """A picture with the caption below it, or the reason why there is none."""

    rgb: RgbArray | None = None
    caption: str = ""
    failure: str = ""


@dataclass(frozen=True)
class SheetRow:
    """One cell for each column, from the left, and a caption with a detail below them.

    A row with `failure` has no cells; the reason takes their place.
    """

    cells: tuple[SheetCell, ...] = ()
    caption: str = ""
    detail: str = ""
    failure: str = ""


@dataclass(frozen=True)
class SheetSection:
    """Rows that have the same columns."""

    columns: tuple[SheetColumn, ...]
    rows: tuple[SheetRow, ...]


@dataclass(frozen=True)
class _Dimensions:
    """Font sizes and distances of a sheet, in pixels."""

    title: FontStyle
    heading: FontStyle
    small: FontStyle
    margin: int
    gap: int
    group_gap: int


def _choose_dimensions(side: int) -> _Dimensions:
    """Returns dimensions that grow with the side of the pictures."""
    heading = max(12, min(28, round(side / 18)))
    return _Dimensions(
        title=FontStyle(round(heading * 1.5), bold=True),
        heading=FontStyle(heading, bold=True),
        small=FontStyle(max(10, round(heading * 0.8))),
        margin=2 * heading,
        gap=max(4, heading // 2),
        group_gap=round(heading * 1.4),
    )


def layout_sheet(
    sections: Sequence[SheetSection],
    side: int,
    *,
    title: str = "",
    theme: Theme = LIGHT,
    rows_per_page: int | None = None,
) -> list[SheetPage]:
    """Returns one page with all sections, or pages of one size with at most `rows_per_page` rows.

    `side` is the long side of most pictures in pixels; it decides the size of the text.
    """
    dimensions = _choose_dimensions(side)
    pages = [SheetPage(theme, height=dimensions.margin)]
    for number, section in enumerate(sections):
        # Rows are spread evenly, so that the last page does not have a single one.
        page_count = math.ceil(len(section.rows) / (rows_per_page or len(section.rows)))
        page_rows = math.ceil(len(section.rows) / page_count)
        for start in range(0, len(section.rows), page_rows):
            if rows_per_page and (number or start):
                pages.append(SheetPage(theme, height=dimensions.margin))
            layout = _SectionLayout(pages[-1], dimensions, section, side)
            if title and not number and not start:
                layout.add_title(title)
            layout.add_rows(section.rows[start : start + page_rows])
    for page in pages:
        page.width = max(other.width for other in pages)
        page.height = max(other.height for other in pages)
    return pages


class _SectionLayout:
    """Adds a section below the items of a page; `page.height` is the height in use so far."""

    def __init__(
        self, page: SheetPage, dimensions: _Dimensions, section: SheetSection, side: int
    ) -> None:
        self.page, self.dimensions, self.section = page, dimensions, section
        self.widths = self._choose_widths(section, side)
        self.lefts = [dimensions.margin]
        for width, (left, right) in zip(self.widths, pairwise(section.columns), strict=False):
            gap = dimensions.gap if left.group == right.group else dimensions.group_gap
            self.lefts.append(self.lefts[-1] + width + gap)
        self.right = self.lefts[-1] + self.widths[-1]
        page.width = max(page.width, self.right + dimensions.margin)

    def _choose_widths(self, section: SheetSection, side: int) -> list[int]:
        """Returns the width of the widest picture for each column, or more for its heading."""
        widest = max(
            (c.rgb.shape[1] for row in section.rows for c in row.cells if c.rgb is not None),
            default=side,
        )
        headings = [
            max(
                measure_text_width(escape_missing_glyphs(column.heading), self.dimensions.heading),
                measure_text_width(escape_missing_glyphs(column.subheading), self.dimensions.small),
            )
            for column in section.columns
        ]
        limit = max(side, MIN_HEADING_WIDTH)
        return [max(widest, min(heading, limit)) for heading in headings]

    def add_title(self, text: str) -> None:
        """Adds a title over the whole width."""
        style, page = self.dimensions.title, self.page
        for line in wrap_text(text, style, self.right - self.dimensions.margin, MAX_TITLE_LINES):
            page.height += style.line_height
            self._add_text(self.dimensions.margin, page.height - style.height // 3, line, style)
        page.height += self.dimensions.heading.height

    def add_rows(self, rows: Sequence[SheetRow]) -> None:
        """Adds the headings of the columns, then the rows."""
        if any(column.heading or column.subheading for column in self.section.columns):
            self._add_headings()
        gap = 0
        for row in rows:
            gap = self._add_row(row)
        # The gap below the last row becomes the margin.
        self.page.height += self.dimensions.margin - gap

    def _add_headings(self) -> None:
        dimensions = self.dimensions
        baseline = self.page.height + dimensions.heading.height
        second_baseline = baseline + dimensions.small.line_height
        muted = self.page.theme.muted_text
        for column, x, width in zip(self.section.columns, self.lefts, self.widths, strict=True):
            heading = elide_text(column.heading, dimensions.heading, width)
            subheading = elide_text(column.subheading, dimensions.small, width)
            self._add_text(x, baseline, heading, dimensions.heading)
            self._add_text(x, second_baseline, subheading, dimensions.small, muted)
        has_subheadings = any(column.subheading for column in self.section.columns)
        bottom = second_baseline if has_subheadings else baseline
        self.page.height = bottom + dimensions.gap + dimensions.small.height // 2

    def _add_row(self, row: SheetRow) -> int:
        """Adds a row; returns the gap below it."""
        if row.failure:
            self._add_failed_row(row.failure)
        else:
            self._add_cells(row.cells)
        if row.caption:
            self._add_caption(row)
        has_text = row.caption or any(cell.caption for cell in row.cells)
        gap = self.dimensions.group_gap if has_text else self.dimensions.gap
        self.page.height += gap
        return gap

    def _add_cells(self, cells: Sequence[SheetCell]) -> None:
        dimensions, top = self.dimensions, self.page.height
        height = max((c.rgb.shape[0] for c in cells if c.rgb is not None), default=0)
        if any(cell.rgb is None for cell in cells):
            height = max(height, 5 * dimensions.small.line_height)
        baseline = top + height + round(dimensions.small.height * 1.4)
        for cell, x, width in zip(cells, self.lefts, self.widths, strict=False):
            if cell.rgb is None:
                self._add_box(x, top, width, height, cell.failure)
            else:
                self.page.items.append(PlacedImage(x, top, cell.rgb))
            if cell.caption:
                caption = elide_text(cell.caption, dimensions.small, width)
                self._add_text(x, baseline, caption, dimensions.small)
        has_captions = any(cell.caption for cell in cells)
        self.page.height = baseline if has_captions else top + height

    def _add_failed_row(self, failure: str) -> None:
        """Adds a box across the sheet with the reason."""
        small, margin = self.dimensions.small, self.dimensions.margin
        width = self.right - margin
        lines = wrap_text(failure, small, width - 2 * small.height, MAX_FAILURE_LINES)
        height = (len(lines) + 2) * small.line_height
        self._add_box(margin, self.page.height, width, height, failure)
        self.page.height += height

    def _add_box(self, x: int, y: int, width: int, height: int, failure: str) -> None:
        small = self.dimensions.small
        bold = FontStyle(small.height, bold=True)
        self.page.items.append(Box(x, y, width, height))
        inset = small.height
        baseline = y + inset + small.height
        text_width = width - 2 * inset
        no_result = elide_text(NO_RESULT, bold, text_width)
        self._add_text(x + inset, baseline, no_result, bold, self.page.theme.error_text)
        max_lines = math.floor((y + height - inset / 2 - baseline) / small.line_height)
        for number, line in enumerate(wrap_text(failure, small, text_width, max_lines), 1):
            self._add_text(x + inset, baseline + number * small.line_height, line, small)

    def _add_caption(self, row: SheetRow) -> None:
        small, margin = self.dimensions.small, self.dimensions.margin
        baseline = self.page.height + round(small.height * 1.4)
        width = self.right - margin
        detail = f"   {row.detail}" if row.detail else ""
        detail_width = measure_text_width(detail, small)
        caption = elide_text(row.caption, small, max(width - detail_width, width // 2))
        self._add_text(margin, baseline, caption, small)
        if detail:
            x = margin + measure_text_width(caption, small)
            self._add_text(x, baseline, detail, small, self.page.theme.muted_text)
        self.page.height = baseline

    def _add_text(self, x: int, y: int, text: str, style: FontStyle, color: str = "") -> None:
        if text:
            color = color or self.page.theme.text
            self.page.items.append(TextLine(x, y, text, style, color))
