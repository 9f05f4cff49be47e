"""The figures of `python -m benchmarks cuda` as Markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

Row = dict[str, object]
"""The columns of a table by their names."""


def render_table(report: Mapping[str, Sequence[Row]]) -> str:
    """Returns a page with a table for each part of a report."""
    parts = [_render_part(name, rows) for name, rows in report.items()]
    return "# Figures of a CUDA device\n\nWritten by `python -m benchmarks cuda`.\n" + "".join(
        parts
    )


def _render_part(name: str, rows: Sequence[Row]) -> str:
    columns = list(dict.fromkeys(column for row in rows for column in row))
    lines = [
        f"\n## {name.capitalize()}\n",
        "| " + " | ".join(columns) + " |",
        "|" + "---|" * len(columns),
        *("| " + " | ".join(_escape(row.get(it, "")) for it in columns) + " |" for row in rows),
    ]
    return "\n".join(lines) + "\n"


def _escape(value: object) -> str:
    return " ".join(str(value).split()).replace("|", "\\|")
