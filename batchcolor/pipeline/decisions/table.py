"""Decisions as CSV or JSON: for spreadsheets and scripts."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator
from typing import Any

from batchcolor.errors import UsageError
from batchcolor.pipeline.decisions.decision import (
    Decision,
    InvalidDecisionError,
    describe_json_error,
)

COLUMNS = tuple(Decision.model_fields)
"""The columns of the CSV table: the keys of a line of the decisions."""
JSON_COLUMNS = ("options", "hints", "shots")
"""Columns whose cells are JSON."""
NUMBERS = ("version", "strength")


def format_csv(decisions: Iterable[Decision]) -> str:
    """Returns a table with a row for each decision; cells of what is not decided are empty."""
    output = io.StringIO()
    writer = csv.DictWriter(output, COLUMNS, lineterminator="\n")
    writer.writeheader()
    for decision in decisions:
        values = decision.as_values()
        cells = {key: json.dumps(values[key]) for key in JSON_COLUMNS if key in values}
        writer.writerow({**values, **cells})
    return output.getvalue()


def format_json(decisions: Iterable[Decision]) -> str:
    """Returns a JSON list of decisions."""
    return json.dumps([decision.as_values() for decision in decisions], indent=2) + "\n"


def parse_table(text: str) -> list[Decision]:
    """Returns the decisions of a CSV table or a JSON list.

    Raises UsageError, which names the first row that is no decision: then none is imported.
    """
    text = text.removeprefix("\ufeff")
    rows = _read_json(text) if text.lstrip()[:1] in ("[", "{") else _read_csv(text)
    decisions = []
    for place, values in rows:
        try:
            decision = Decision.from_values(values)
            if not decision.source:
                raise InvalidDecisionError("it names no source")
        except InvalidDecisionError as error:
            raise UsageError(f"{place}: {error}; nothing was imported") from error
        decisions.append(decision)
    return decisions


def _read_json(text: str) -> Iterator[tuple[str, Any]]:
    """Yields the objects of a list, or of one object a line, as in `decisions.jsonl`."""
    try:
        content = json.loads(text)
    except ValueError:
        for number, line in enumerate(text.splitlines(), start=1):
            if line.strip():
                try:
                    yield f"line {number}", json.loads(line)
                except json.JSONDecodeError as error:
                    raise UsageError(f"line {number}: {describe_json_error(error)}") from error
        return
    for number, values in enumerate(content if isinstance(content, list) else [content], start=1):
        yield f"decision {number}", values


def _read_csv(text: str) -> Iterator[tuple[str, dict[str, Any]]]:
    head = text.split("\n", 1)[0]
    delimiter = max(",;\t", key=head.count)  # spreadsheets of some countries write semicolons
    reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter)
    for row in reader:
        place = f"line {reader.line_num}"
        if None in row:
            raise UsageError(f"{place} has more cells than the head of the table")
        cells = {key.strip(): cell for key, cell in row.items() if cell and cell.strip()}
        yield place, {key: _read_cell(place, key, cell) for key, cell in cells.items()}


def _read_cell(place: str, column: str, cell: str) -> Any:
    try:
        if column in JSON_COLUMNS:
            return json.loads(cell)
        return float(cell.replace(",", ".")) if column in NUMBERS else cell
    except ValueError as error:
        raise UsageError(f"{place}: {column} = {cell!r} cannot be read ({error})") from error
