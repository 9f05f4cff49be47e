"""`batchcolor evaluate --data DIR | --video FILM`: models against the truth, in one table."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.progress import Progress

from batchcolor.cli import common_options as options
from batchcolor.cli.console import only_json, print_json, say, screen, table
from batchcolor.errors import make_printable
from batchcolor.hooks.types import DEFAULT_MODEL


def evaluate(
    data: Annotated[
        Path | None, typer.Option(metavar="DIR", help="A folder of colour photographs: the truth.")
    ] = None,
    video: Annotated[
        list[Path] | None,
        typer.Option(metavar="FILM", help="Measure flicker on films instead; several times."),
    ] = None,
    model: options.Models = None,
    limit: Annotated[
        int | None, typer.Option(help="At most so many pictures, evenly spread (default: all).")
    ] = None,
    size: Annotated[
        int | None,
        typer.Option(help="Shrink the short side to at most so many pixels (default: as it is)."),
    ] = None,
    strength: options.Strength = 1.0,
    against: Annotated[
        Path | None,
        typer.Option(metavar="BASELINE.json", help="Compare with an earlier --json, paired."),
    ] = None,
    set_: options.Set = None,
    like: options.Like = None,
    weights: options.WeightsOfOne = None,
    batch_size: options.BatchSize = None,
    device: options.Device = "auto",
    precision: options.Precision = "auto",
    no_plugins: options.NoPlugins = False,
    as_json: options.AsJson = False,
    as_csv: Annotated[
        bool, typer.Option("--csv", help="The table as CSV to standard output.")
    ] = False,
    verbose: options.Verbose = 0,
    quiet: options.Quiet = False,
) -> int:
    """Measure models on colour photographs: made grey, coloured by the real steps, compared."""
    from batchcolor.cli import evaluate_display as evaluate_view
    from batchcolor.errors import ExitCode, UsageError
    from batchcolor.evaluation.evaluator import EvaluateSettings
    from batchcolor.evaluation.evaluator import evaluate as measure
    from batchcolor.hooks.manager import load_plugins
    from batchcolor.hooks.options import parse_key_values
    from batchcolor.inference.load_options import LoadOptions

    if data is None and not video:
        raise UsageError("name what to measure on: --data FOLDER, or --video FILM")
    if data is not None and video:
        raise UsageError("--data and --video are measured apart: give one of them")
    loading = LoadOptions(
        tuple(parse_key_values(set_ or []).items()), weights, device, precision, batch_size, like
    )
    if video:
        from batchcolor.cli.evaluate_video import evaluate_video

        if limit or size or against or as_csv or verbose:
            raise UsageError("--video goes without --limit, --size, --against, --csv and --verbose")
        return evaluate_video(
            video,
            model or [DEFAULT_MODEL],
            loading,
            strength=strength,
            with_plugins=not no_plugins,
            as_json=as_json,
            quiet=quiet,
        )
    assert data is not None
    if as_json and as_csv:
        raise UsageError("--json and --csv both want standard output: choose one")
    settings = EvaluateSettings(
        data=data,
        models=tuple(dict.fromkeys(model or [DEFAULT_MODEL])),
        limit=limit,
        size=size,
        strength=strength,
        loading=loading,
        against=against,
    )
    with only_json(as_json or as_csv) as stdout:
        plugins = load_plugins(not no_plugins)
        console = screen()
        with Progress(
            console=console, transient=True, disable=quiet or not console.is_terminal
        ) as bar:
            task = bar.add_task("")
            result = measure(
                settings,
                plugins,
                lambda what, done, total: bar.update(
                    task, description=what, completed=done, total=total
                ),
            )
        if result.failures:
            console.print(table("failed", "reason", rows=result.failures))
        for broken in plugins.broken:
            say(console, make_printable(broken.describe()))
        if not quiet:
            evaluate_view.remarks(console, result, verbose=verbose)
        if as_json:
            print_json(evaluate_view.document(result), stdout)
        elif as_csv:
            evaluate_view.write_csv(result, stdout)
        else:
            evaluate_view.tables(screen(stderr=False), result)
    return ExitCode.SOME_FAILED if result.failures else ExitCode.DONE
