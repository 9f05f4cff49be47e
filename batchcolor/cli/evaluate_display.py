"""A measurement as a table for people, as JSON and as CSV."""

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

if TYPE_CHECKING:
    from batchcolor.evaluation.evaluator import Evaluation, ModelScores
    from batchcolor.evaluation.statistics import RowComparison

HEADS = {
    "rgb_mse": ("RGB MSE", ".5f"),
    "ab_mse": ("ab MSE", ".5f"),
    "psnr_db": ("PSNR dB", ".2f"),
    "ssim": ("SSIM", ".4f"),
    "delta_e_2000": ("dE00", ".2f"),
    "colorfulness": ("colorful", ".1f"),
    "lpips": ("LPIPS", ".4f"),
}
"""Each metric's name for people, and how its numbers are written."""
FLOORS = ("grey", "mean")
"""Rows that no model made."""


def print_tables(console: Console, result: Evaluation) -> None:
    """The table, half of each mean's 95 % interval below it, and differences where asked."""
    truth = float(np.nanmean(result.truth_colorfulness))
    rows = list(result.rows.values())
    some_fid = any(row.fid is not None for row in rows)
    pictures = len(result.survey.truths)
    about = f"{pictures} pictures, colourfulness of the truth {truth:.1f}"
    shown = Table(title=about, title_justify="left", box=box.SIMPLE_HEAD)
    shown.add_column("", overflow="fold")
    for metric in rows[0].values:
        shown.add_column(HEADS[metric][0], justify="right", no_wrap=True)
    if some_fid:
        shown.add_column("FID", justify="right")
    shown.add_column("pics/s", justify="right")
    for row in rows:
        cells = [Text(make_printable(row.name))]
        for metric, (low, high) in row.intervals().items():
            style = HEADS[metric][1]
            cell = Text(f"{row.mean(metric):{style}}")
            cells.append(
                cell.append(f"\n\N{PLUS-MINUS SIGN}{(high - low) / 2:{style}}", style="dim")
            )
        if some_fid:
            cells.append(Text("" if row.fid is None else f"{row.fid:.2f}"))
        shown.add_row(*cells, Text(f"{row.images_per_second:.1f}"))
    console.print(shown)
    for paired in result.paired:
        if paired.row in FLOORS and not any(it.mean for it in paired.differences):
            continue  # the same pictures: there is nothing to tell
        _differences(console, paired)


def _differences(console: Console, paired: RowComparison) -> None:
    name = paired.row if paired.row == paired.baseline else f"{paired.row} - {paired.baseline}"
    rows: list[tuple[object, ...]] = []
    for it in paired.differences:
        head, style = HEADS.get(it.metric, (it.metric, ".5g"))
        interval = f"{it.low:+{style}} to {it.high:+{style}}"
        rows.append((head, f"{it.mean:+{style}}", interval, it.verdict or "not sure"))
    title = f"{make_printable(name)}: new minus baseline, {paired.pictures} pictures"
    console.print(make_table("metric", "difference", "95 %", "", rows=rows, title=title))


def print_notes(console: Console, result: Evaluation, *, verbose: int) -> None:
    """Print the skipped files, counted or, with `-v`, listed, and the notes."""
    skipped = result.survey.skipped
    if skipped and verbose:
        rows = [(name, f"{reason}: {more}" if more else reason) for name, reason, more in skipped]
        console.print(make_table("skipped", "reason", rows=rows))
    elif skipped:
        counts = ", ".join(f"{count} {what}" for what, count in result.survey.counts().items())
        print_line(console, f"skipped: {counts} (-v lists them)")
    for note in result.notes:
        print_line(console, make_printable(note))


def make_document(result: Evaluation) -> dict[str, Any]:
    """The whole measurement: what `--against` reads again."""
    made = {
        "data": str(result.settings.data),
        "n": len(result.survey.truths),
        "truth_colorfulness": _number(float(np.nanmean(result.truth_colorfulness))),
        "size": result.settings.size,
        "strength": result.settings.strength,
        "rows": [_row(row) for row in result.rows.values()],
        "skipped": [
            {"picture": name, "reason": reason, "detail": more}
            for name, reason, more in result.survey.skipped
        ],
        "failures": [{"picture": name, "reason": reason} for name, reason in result.failures],
        "notes": result.notes,
        "pictures": [truth.name for truth in result.survey.truths],
    }
    if result.settings.against is not None:
        made["against"] = [
            {
                "row": paired.row,
                "baseline": paired.baseline,
                "n": paired.pictures,
                "differences": [vars(it) for it in paired.differences],
            }
            for paired in result.paired
        ]
    return made


def _row(row: ModelScores) -> dict[str, Any]:
    return {
        "name": row.name,
        "n": row.measured,
        **{metric: _number(row.mean(metric)) for metric in row.values},
        **({} if row.fid is None else {"fid": _number(row.fid)}),
        "images_per_second": round(row.images_per_second, 2),
        "interval_95": {
            metric: [_number(low), _number(high)] for metric, (low, high) in row.intervals().items()
        },
        "per_picture": {
            metric: [_number(float(value)) for value in values]
            for metric, values in row.values.items()
        },
    }


def write_csv(result: Evaluation, file: TextIO) -> None:
    """A line a row: each metric's mean with the ends of its interval, then pictures a second."""
    writer = csv.writer(file)
    rows = list(result.rows.values())
    metrics = list(rows[0].values)
    ends = [name for metric in metrics for name in (metric, f"{metric}_low", f"{metric}_high")]
    some_fid = any(row.fid is not None for row in rows)
    extra = ["fid"] if some_fid else []
    writer.writerow(["name", "n", *ends, *extra, "images_per_second", "truth_colorfulness"])
    truth = float(np.nanmean(result.truth_colorfulness))
    for row in rows:
        numbers = [
            number
            for metric, interval in row.intervals().items()
            for number in (row.mean(metric), *interval)
        ]
        if some_fid:
            numbers.append(math.nan if row.fid is None else row.fid)
        cells = ["" if math.isnan(number) else f"{number:.8g}" for number in numbers]
        speed = f"{row.images_per_second:.2f}"
        writer.writerow([row.name, row.measured, *cells, speed, f"{truth:.8g}"])
    file.flush()


def _number(value: float) -> float | None:
    """JSON has no NaN."""
    return value if math.isfinite(value) else None
