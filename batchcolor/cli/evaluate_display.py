"""Shows the result of `evaluate` as a table, as JSON and as CSV."""

from __future__ import annotations

import csv
import math
from typing import TYPE_CHECKING, Any, TextIO

import numpy as np
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from batchcolor.cli.console import make_table, print_line
from batchcolor.errors import make_printable
from batchcolor.evaluation.evaluate_settings import CONSTANT_ROWS
from batchcolor.storage.mounts import name_of

if TYPE_CHECKING:
    from batchcolor.evaluation.evaluator import Evaluation, ModelScores
    from batchcolor.evaluation.statistics import RowComparison

COLUMN_FORMATS = {
    "rgb_mse": ("RGB MSE", ".5f"),
    "ab_mse": ("ab MSE", ".5f"),
    "psnr_db": ("PSNR dB", ".2f"),
    "ssim": ("SSIM", ".4f"),
    "delta_e_2000": ("dE00", ".2f"),
    "colorfulness": ("colorful", ".1f"),
    "specks": ("specks %", ".3f"),
    "lpips": ("LPIPS", ".4f"),
}
"""Heading and number format of each metric."""


def print_tables(console: Console, result: Evaluation) -> None:
    """Prints the table, with half of each 95 % interval, and the differences to a baseline."""
    colorfulness = float(np.nanmean(result.reference_colorfulness))
    rows = list(result.rows.values())
    has_fid = any(row.fid is not None for row in rows)
    pictures = len(result.reference_set.references)
    title = f"{pictures} pictures, colourfulness of the references {colorfulness:.1f}"
    summary = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD)
    summary.collapse_padding, summary.pad_edge = True, False  # it fits into 80 columns
    summary.add_column("", overflow="fold")
    for metric in rows[0].values:
        summary.add_column(COLUMN_FORMATS[metric][0], justify="right", no_wrap=True)
    if has_fid:
        summary.add_column("FID", justify="right")
    summary.add_column("pics/s", justify="right")
    for row in rows:
        cells = [Text(make_printable(row.name))]
        for metric, (low, high) in row.compute_intervals().items():
            style = COLUMN_FORMATS[metric][1]
            cell = Text(f"{row.mean(metric):{style}}")
            cells.append(
                cell.append(f"\n\N{PLUS-MINUS SIGN}{(high - low) / 2:{style}}", style="dim")
            )
        if has_fid:
            cells.append(Text("" if row.fid is None else f"{row.fid:.2f}"))
        summary.add_row(*cells, Text(f"{row.images_per_second:.4g}"))
    console.print(summary)
    for comparison in result.comparisons:
        has_changed = any(difference.mean for difference in comparison.differences)
        if has_changed or comparison.row not in CONSTANT_ROWS:
            _print_differences(console, comparison)


def _print_differences(console: Console, comparison: RowComparison) -> None:
    name, baseline = comparison.row, comparison.baseline
    name = name if name == baseline else f"{name} - {baseline}"
    rows: list[tuple[object, ...]] = []
    for difference in comparison.differences:
        heading, style = COLUMN_FORMATS.get(difference.metric, (difference.metric, ".5g"))
        interval = f"{difference.low:+{style}} to {difference.high:+{style}}"
        verdict = difference.verdict or "not significant"
        rows.append((heading, f"{difference.mean:+{style}}", interval, verdict))
    title = f"{make_printable(name)}: new minus baseline, {comparison.pictures} pictures"
    console.print(make_table("metric", "difference", "95 %", "", rows=rows, title=title))


def print_notes(console: Console, result: Evaluation, *, verbose: int) -> None:
    """Prints the notes and the skipped files: their number or, with `-v`, their names."""
    skipped = result.reference_set.skipped
    if skipped and verbose:
        rows = [
            (name, f"{reason}: {detail}" if detail else reason) for name, reason, detail in skipped
        ]
        console.print(make_table("skipped", "reason", rows=rows))
    elif skipped:
        counts = result.reference_set.count_skipped().items()
        listed = ", ".join(f"{count} {reason}" for reason, count in counts)
        print_line(console, f"skipped: {listed} (-v lists them)")
    for note in result.notes:
        print_line(console, make_printable(note))


def make_document(result: Evaluation) -> dict[str, Any]:
    """Returns the whole result as a JSON document, which `--against` reads."""
    document = {
        "data": name_of(result.settings.data or ""),
        "n": len(result.reference_set.references),
        "truth_colorfulness": _to_json(float(np.nanmean(result.reference_colorfulness))),
        "size": result.settings.size,
        "strength": result.settings.strength,
        "rows": [_make_row(row) for row in result.rows.values()],
        "skipped": [
            {"picture": name, "reason": reason, "detail": detail}
            for name, reason, detail in result.reference_set.skipped
        ],
        "failures": [{"picture": name, "reason": reason} for name, reason in result.failures],
        "notes": result.notes,
        "pictures": [reference.name for reference in result.reference_set.references],
    }
    if result.settings.against is not None:
        document["against"] = [
            {
                "row": comparison.row,
                "baseline": comparison.baseline,
                "n": comparison.pictures,
                "differences": [vars(difference) for difference in comparison.differences],
            }
            for comparison in result.comparisons
        ]
    return document


def _make_row(row: ModelScores) -> dict[str, Any]:
    return {
        "name": row.name,
        "n": row.measured,
        **{metric: _to_json(row.mean(metric)) for metric in row.values},
        **({} if row.fid is None else {"fid": _to_json(row.fid)}),
        "images_per_second": round(row.images_per_second, 2),
        "interval_95": {
            metric: [_to_json(low), _to_json(high)]
            for metric, (low, high) in row.compute_intervals().items()
        },
        "per_picture": {
            metric: [_to_json(float(value)) for value in values]
            for metric, values in row.values.items()
        },
    }


def write_csv(result: Evaluation, file: TextIO) -> None:
    """Writes one line for each row: each mean with its interval, then pictures per second."""
    writer = csv.writer(file)
    rows = list(result.rows.values())
    metrics = list(rows[0].values)
    ends = [name for metric in metrics for name in (metric, f"{metric}_low", f"{metric}_high")]
    has_fid = any(row.fid is not None for row in rows)
    extra = ["fid"] if has_fid else []
    writer.writerow(["name", "n", *ends, *extra, "images_per_second", "truth_colorfulness"])
    colorfulness = float(np.nanmean(result.reference_colorfulness))
    for row in rows:
        numbers = [
            number
            for metric, interval in row.compute_intervals().items()
            for number in (row.mean(metric), *interval)
        ]
        if has_fid:
            numbers.append(math.nan if row.fid is None else row.fid)
        cells = ["" if math.isnan(number) else f"{number:.8g}" for number in numbers]
        speed = f"{row.images_per_second:.2f}"
        writer.writerow([row.name, row.measured, *cells, speed, f"{colorfulness:.8g}"])
    file.flush()


def _to_json(value: float) -> float | None:
    """Returns None for NaN and infinity, which JSON does not have."""
    return value if math.isfinite(value) else None
