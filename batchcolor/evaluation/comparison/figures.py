"""Rows laid out as sheets: four-panel figures where there is a truth, else models x strengths."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from batchcolor.errors import ProcessingError
from batchcolor.evaluation.comparison.panels import ComparisonRow, Output, difference
from batchcolor.evaluation.comparison.rendering import (
    ALARM,
    PALE,
    Box,
    FontStyle,
    Page,
    Panel,
    TextLine,
    drawable,
    elide_text,
    measure_text_width,
    wrap_text,
)

FAILED = "no result"


@dataclass(frozen=True)
class Column:
    """What stands over a column. Columns of one group stand closer together."""

    head: str
    under: str
    group: str


@dataclass(frozen=True)
class Line:
    """A picture's cells, one a column; none where the picture itself failed."""

    name: str
    about: str
    cells: tuple[Output, ...] = ()
    failure: str = ""


@dataclass(frozen=True)
class Section:
    """Lines that have the same columns."""

    columns: tuple[Column, ...]
    lines: tuple[Line, ...]


def sections(rows: Sequence[ComparisonRow]) -> list[Section]:
    """Rows by what can be shown of them, in order. A broken picture stays with its neighbours."""
    whole = [row for row in rows if not row.failure]
    former = whole[0] if whole else ComparisonRow("")
    columns: dict[tuple[Column, ...], list[Line]] = {}
    for row in rows:
        former = former if row.failure else row
        columns.setdefault(_columns(former), []).append(_line(row))
    return [Section(heads, tuple(lines)) for heads, lines in columns.items()]


def _differs(row: ComparisonRow) -> bool:
    """Whether differences are shown: there is a truth, and one output a model."""
    return row.true is not None and len({strength for _, strength in row.outputs}) == 1


def _columns(row: ComparisonRow) -> tuple[Column, ...]:
    figure = _differs(row)
    columns = [Column("grey", "source", "grey")]
    for model, strength in row.outputs:
        under = "output" if figure and strength == 1 else f"strength {strength:g}"
        columns.append(Column(model, under, "outputs" if figure else f"model {model}"))
    if row.true is not None:
        columns.append(Column("true", "source in colour", "true"))
    if figure:
        columns += [
            Column("difference \N{MULTIPLICATION SIGN} 2", m, "apart") for m, _ in row.outputs
        ]
    return tuple(columns)


def _line(row: ComparisonRow) -> Line:
    if row.grey is None:
        return Line(row.name, "", failure=row.failure)
    cells: list[Output] = [row.grey, *row.outputs.values()]
    if row.true is not None:
        cells.append(row.true)
    if _differs(row) and row.true is not None:
        for output in row.outputs.values():
            if isinstance(output, ProcessingError):
                cells.append(output)
            else:
                cells.append(difference(output, row.true))
    width, height = row.size
    return Line(row.name, f"{width} \N{MULTIPLICATION SIGN} {height}", tuple(cells))


@dataclass(frozen=True)
class _Look:
    """Measures of a sheet, in pixels; they grow with the panels."""

    title: FontStyle
    head: FontStyle
    small: FontStyle
    margin: int
    gap: int
    wide_gap: int

    def step(self, face: FontStyle) -> int:
        """From baseline to baseline."""
        return round(face.height * 1.45)


def _look(side: int) -> _Look:
    head = max(12, min(28, round(side / 18)))
    small = max(10, round(head * 0.8))
    return _Look(
        title=FontStyle(round(head * 1.5), bold=True),
        head=FontStyle(head, bold=True),
        small=FontStyle(small),
        margin=2 * head,
        gap=max(4, head // 2),
        wide_gap=round(head * 1.4),
    )


def pages(
    parts: Sequence[Section], title: str, side: int, rows_a_page: int | None = None
) -> list[Page]:
    """Sheets with every line: one, or several of one size with at most `rows_a_page` lines."""
    look = _look(side)
    made = [Page(height=look.margin)]
    for number, part in enumerate(parts):
        # As many lines on each page, rather than a last one with a single line.
        count = math.ceil(len(part.lines) / (rows_a_page or len(part.lines)))
        most = math.ceil(len(part.lines) / count)
        for start in range(0, len(part.lines), most):
            if rows_a_page and (number or start):
                made.append(Page(height=look.margin))
            sheet = _Sheet(made[-1], look, part, side)
            if title and not number and not start:
                sheet.title(title)
            sheet.draw(part.lines[start : start + most])
    for page in made:
        page.width = max(other.width for other in made)
        page.height = max(other.height for other in made)
    return made


class _Sheet:
    """Puts a section's lines below what a page has already; `page.height` is where it ends."""

    def __init__(self, page: Page, look: _Look, part: Section, side: int) -> None:
        self.page, self.look, self.part = page, look, part
        self.widths = self._widths(part, side)
        self.lefts = [look.margin]
        for width, (before, column) in zip(self.widths, pairwise(part.columns), strict=False):
            gap = look.gap if before.group == column.group else look.wide_gap
            self.lefts.append(self.lefts[-1] + width + gap)
        self.right = self.lefts[-1] + self.widths[-1]
        page.width = max(page.width, self.right + look.margin)

    def _widths(self, part: Section, side: int) -> list[int]:
        """One width for all: that of the widest panel, or the head that needs more."""
        shapes = [
            c.shape[1] for ln in part.lines for c in ln.cells if not isinstance(c, ProcessingError)
        ]
        widest = max(shapes, default=side)
        heads = [
            max(
                measure_text_width(drawable(column.head), self.look.head),
                measure_text_width(drawable(column.under), self.look.small),
            )
            for column in part.columns
        ]
        return [max(widest, min(head, side)) for head in heads]

    def title(self, text: str) -> None:
        """A title over the whole page."""
        look, page = self.look, self.page
        for line in wrap_text(text, look.title, self.right - look.margin, most=3):
            page.height += look.step(look.title)
            page.items.append(
                TextLine(look.margin, page.height - look.title.height // 3, line, look.title)
            )
        page.height += look.head.height

    def draw(self, lines: Sequence[Line]) -> None:
        """The heads of the columns, then every line with its name."""
        self._heads()
        for line in lines:
            bottom = self._failed(line) if line.failure else self._cells(line)
            self._caption(line, bottom)
        # The last caption brought its distance to a next line; the margin is all that is left.
        self.page.height += self.look.margin - self.look.wide_gap

    def _heads(self) -> None:
        look, y = self.look, self.page.height
        baseline = y + look.head.height
        below = baseline + look.step(look.small)
        for column, x, width in zip(self.part.columns, self.lefts, self.widths, strict=True):
            head = elide_text(column.head, look.head, width)
            under = elide_text(column.under, look.small, width)
            self.page.items.append(TextLine(x, baseline, head, look.head))
            self.page.items.append(TextLine(x, below, under, look.small, PALE))
        self.page.height = below + look.gap + look.small.height // 2

    def _cells(self, line: Line) -> int:
        """The panels of a picture; where they end."""
        y = self.page.height
        height = max(int(c.shape[0]) for c in line.cells if not isinstance(c, ProcessingError))
        if any(isinstance(cell, ProcessingError) for cell in line.cells):
            height = max(height, 5 * self.look.step(self.look.small))
        for cell, x, width in zip(line.cells, self.lefts, self.widths, strict=True):
            if isinstance(cell, ProcessingError):
                self._box(x, y, width, height, cell.reason)
            else:
                self.page.items.append(Panel(x, y, cell))
        return y + height

    def _failed(self, line: Line) -> int:
        """A field across the sheet for a picture that could not be read; where it ends."""
        small = self.look.small
        width = self.right - self.look.margin
        text = wrap_text(line.failure, small, width - 2 * small.height, most=3)
        y, height = self.page.height, (len(text) + 2) * self.look.step(small)
        self._box(self.look.margin, y, width, height, line.failure)
        return y + height

    def _box(self, x: int, y: int, width: int, height: int, reason: str) -> None:
        look, items = self.look, self.page.items
        items.append(Box(x, y, width, height))
        inset = look.small.height
        step = look.step(look.small)
        baseline = y + inset + look.small.height
        available_width = width - 2 * inset
        bold = FontStyle(look.small.height, bold=True)
        items.append(
            TextLine(x + inset, baseline, elide_text(FAILED, bold, available_width), bold, ALARM)
        )
        most = math.floor((y + height - inset / 2 - baseline) / step)
        for number, text in enumerate(wrap_text(reason, look.small, available_width, most), 1):
            items.append(TextLine(x + inset, baseline + number * step, text, look.small))

    def _caption(self, line: Line, bottom: int) -> None:
        look = self.look
        baseline = bottom + round(look.small.height * 1.4)
        available_width = self.right - look.margin
        about = f"   {line.about}" if line.about else ""
        apart = measure_text_width(about, look.small)
        name = elide_text(line.name, look.small, max(available_width - apart, available_width // 2))
        self.page.items.append(TextLine(look.margin, baseline, name, look.small))
        if about:
            x = look.margin + measure_text_width(name, look.small)
            self.page.items.append(TextLine(x, baseline, about, look.small, PALE))
        self.page.height = baseline + look.wide_gap
