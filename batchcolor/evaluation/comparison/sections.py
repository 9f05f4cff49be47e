"""Sections of a contact sheet from the rows of a comparison.

A row with true colours becomes a figure of grey, outputs, true colours and differences; a row
without them shows every model at every strength.
"""

from __future__ import annotations

from collections.abc import Sequence

from batchcolor.errors import ProcessingError
from batchcolor.evaluation.comparison.panels import ComparisonRow, Panel, render_difference
from batchcolor.images.sheets.contact_sheet import SheetCell, SheetColumn, SheetRow, SheetSection

TIMES = "\N{MULTIPLICATION SIGN}"


def make_sections(rows: Sequence[ComparisonRow]) -> list[SheetSection]:
    """Groups rows that have the same columns. An unreadable picture stays in its neighbour's."""
    readable = [row for row in rows if not row.failure]
    previous = readable[0] if readable else ComparisonRow("")
    sections: dict[tuple[SheetColumn, ...], list[SheetRow]] = {}
    for row in rows:
        previous = previous if row.failure else row
        sections.setdefault(_make_columns(previous), []).append(_make_row(row))
    return [SheetSection(columns, tuple(rows)) for columns, rows in sections.items()]


def _has_differences(row: ComparisonRow) -> bool:
    """Returns whether differences are shown: with true colours and one output for each model."""
    return row.true is not None and len({strength for _, strength in row.outputs}) == 1


def _make_columns(row: ComparisonRow) -> tuple[SheetColumn, ...]:
    is_figure = _has_differences(row)
    columns = [SheetColumn("grey", "source", "grey")]
    for model, strength in row.outputs:
        subheading = "output" if is_figure and strength == 1 else f"strength {strength:g}"
        columns.append(SheetColumn(model, subheading, "outputs" if is_figure else f"model {model}"))
    if row.true is not None:
        columns.append(SheetColumn("true", "source in colour", "true"))
    if is_figure:
        columns += [
            SheetColumn(f"difference {TIMES} 2", model, "differences") for model, _ in row.outputs
        ]
    return tuple(columns)


def _make_row(row: ComparisonRow) -> SheetRow:
    if row.grey is None:
        return SheetRow(caption=row.name, failure=row.failure)
    panels: list[Panel] = [row.grey, *row.outputs.values()]
    if row.true is not None:
        panels.append(row.true)
    if _has_differences(row) and row.true is not None:
        for output in row.outputs.values():
            if isinstance(output, ProcessingError):
                panels.append(output)
            else:
                panels.append(render_difference(output, row.true))
    width, height = row.size
    return SheetRow(
        tuple(map(_make_cell, panels)), caption=row.name, detail=f"{width} {TIMES} {height}"
    )


def _make_cell(panel: Panel) -> SheetCell:
    if isinstance(panel, ProcessingError):
        return SheetCell(failure=panel.reason)
    return SheetCell(panel)
