"""`batchcolor evaluate --video FILM`: flicker and truth of colours on films, as a table or JSON."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import Progress

from batchcolor.cli.console import only_json, print_json, say, screen, table
from batchcolor.errors import make_printable

if TYPE_CHECKING:
    from batchcolor.evaluation.video import VideoScores
    from batchcolor.inference.load_options import LoadOptions


def evaluate_video(
    films: Sequence[Path],
    models: Sequence[str],
    loading: LoadOptions,
    *,
    strength: float,
    with_plugins: bool,
    as_json: bool,
    quiet: bool,
) -> int:
    """Measure, show, and give the exit code."""
    from batchcolor.errors import ExitCode, UsageError
    from batchcolor.evaluation.runners import load_runners
    from batchcolor.evaluation.video import evaluate_video as measure
    from batchcolor.hooks.manager import load_plugins
    from batchcolor.pipeline.settings import check_strength

    check_strength(strength)
    for film in films:
        if not film.is_file():
            raise UsageError(f"--video {film}: no such file")
    with only_json(as_json) as stdout:
        plugins = load_plugins(with_plugins)
        runners = load_runners(models, plugins, loading)
        console = screen()
        with Progress(
            console=console, transient=True, disable=quiet or not console.is_terminal
        ) as bar:
            task = bar.add_task("")
            rows, failures = measure(
                films,
                runners,
                plugins,
                lambda what, done, total: bar.update(
                    task, description=make_printable(what), completed=done, total=total
                ),
                strength=strength,
            )
        if failures:
            console.print(table("failed", "reason", rows=failures))
        for broken in plugins.broken:
            say(console, make_printable(broken.describe()))
        if as_json:
            print_json({"films": [_document(row) for row in rows], "failures": failures}, stdout)
        else:
            _show(screen(stderr=False), rows)
    return ExitCode.SOME_FAILED if failures else ExitCode.DONE


def _document(row: VideoScores) -> dict[str, Any]:
    values = asdict(row) | {"film": str(row.film)}
    return {key: None if value != value else value for key, value in values.items()}


def _show(console: Console, rows: Sequence[VideoScores]) -> None:
    shown = [
        (
            *(row.film.name, row.frames, row.model, row.stabilize),
            *(f"{row.flicker:.2f}", f"{row.drift:.2f}"),
            "" if math.isnan(row.delta_e) else f"{row.delta_e:.2f}",
            f"{row.colorful:.1f}",
        )
        for row in rows
    ]
    columns = ("film", "frames", "model", "stabilize", "flicker", "drift", "dE00", "colorful")
    console.print(table(*columns, rows=shown))
