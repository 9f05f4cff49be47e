"""`batchcolor evaluate --video FILM`: the stability of colours, as a table or JSON."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import Progress

from batchcolor.cli.console import make_console, make_table, only_json, print_json, print_line
from batchcolor.errors import ExitCode, UsageError, make_printable

if TYPE_CHECKING:
    from batchcolor.evaluation.evaluate_settings import EvaluateSettings
    from batchcolor.evaluation.video import VideoScores


def evaluate_video(
    settings: EvaluateSettings, *, with_plugins: bool, as_json: bool, quiet: bool
) -> int:
    """Measures the films, prints the result, and returns the exit code."""
    from batchcolor.evaluation.runners import load_runners
    from batchcolor.evaluation.video import evaluate_video as evaluate_films
    from batchcolor.hooks.manager import load_plugins

    for film in settings.video:
        if not film.is_file():
            raise UsageError(f"--video {film}: no such file")
    with only_json(as_json) as stdout:
        plugins = load_plugins(with_plugins)
        runners = load_runners(settings.models, plugins, settings.loading)
        console = make_console()
        with Progress(
            console=console, transient=True, disable=quiet or not console.is_terminal
        ) as bar:
            task = bar.add_task("")
            rows, failures = evaluate_films(
                settings.video,
                runners,
                plugins,
                lambda step, done, total: bar.update(
                    task, description=make_printable(step), completed=done, total=total
                ),
                strength=settings.strength,
            )
        if failures:
            console.print(make_table("failed", "reason", rows=failures))
        for broken in plugins.broken:
            print_line(console, make_printable(broken.describe()))
        if as_json:
            films = [_make_document(row) for row in rows]
            print_json({"films": films, "failures": failures}, stdout)
        else:
            _print_table(make_console(stderr=False), rows)
    return ExitCode.SOME_FAILED if failures else ExitCode.DONE


def _make_document(row: VideoScores) -> dict[str, Any]:
    values = asdict(row) | {"film": str(row.film)}
    return {
        key: None if isinstance(value, float) and math.isnan(value) else value
        for key, value in values.items()
    }


def _print_table(console: Console, rows: Sequence[VideoScores]) -> None:
    cells = [
        (
            *(row.film.name, row.frames, row.model, row.stabilize),
            *(f"{row.flicker:.2f}", f"{row.drift:.2f}"),
            *(_format(row.swing), _format(row.largest_swing), _format(row.shot_difference)),
            *(_format(row.scene_difference), _format(row.halo), _format(row.delta_e)),
            f"{row.colorful:.1f}",
        )
        for row in rows
    ]
    columns = (
        *("film", "frames", "model", "stabilize", "flicker", "drift", "swing", "largest"),
        *("in shot", "scenes", "halo", "dE00", "colorful"),
    )
    console.print(make_table(*columns, rows=cells))


def _format(value: float) -> str:
    return "" if math.isnan(value) else f"{value:.2f}"
