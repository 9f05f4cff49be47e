"""`batchcolor evaluate --data DIR | --video FILM`: measures models and shows one table."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from rich.progress import Progress

from batchcolor.cli import common_options as options
from batchcolor.cli.console import make_console, make_table, only_json, print_json
from batchcolor.cli.plugins import print_failures
from batchcolor.cli.settings_options import with_settings
from batchcolor.errors import ExitCode, UsageError
from batchcolor.evaluation.evaluate_settings import EvaluateSettings


@with_settings(EvaluateSettings)
def evaluate(
    given: dict[str, Any],
    *,
    no_plugins: options.NoPlugins = False,
    as_json: options.AsJson = False,
    as_csv: Annotated[
        bool, typer.Option("--csv", help="Print the table as CSV to standard output.")
    ] = False,
    verbose: options.Verbose = 0,
    quiet: options.Quiet = False,
) -> int:
    """Measure models on colour photographs, which are converted to grey and coloured again."""
    settings = EvaluateSettings(**given)
    if as_json and as_csv:
        raise UsageError("--json and --csv both use standard output: choose one")
    if settings.video:
        from batchcolor.cli.evaluate_video import evaluate_video

        if as_csv or verbose:
            raise UsageError("--csv and --verbose go with --data, not with --video")
        return evaluate_video(settings, with_plugins=not no_plugins, as_json=as_json, quiet=quiet)

    from batchcolor.cli import evaluate_display as display
    from batchcolor.evaluation.evaluator import evaluate as evaluate_pictures
    from batchcolor.hooks.manager import load_plugins

    with only_json(as_json or as_csv) as stdout:
        plugins = load_plugins(not no_plugins)
        console = make_console()
        with Progress(
            console=console, transient=True, disable=quiet or not console.is_terminal
        ) as bar:
            task = bar.add_task("")
            result = evaluate_pictures(
                settings,
                plugins,
                lambda step, done, total: bar.update(
                    task, description=step, completed=done, total=total
                ),
            )
        if result.failures:
            console.print(make_table("failed", "reason", rows=result.failures))
        reasons = [reason for _, reason in result.failures]
        print_failures(console, plugins, reported=reasons)
        if not quiet:
            display.print_notes(console, result, verbose=verbose)
        if as_json:
            print_json(display.make_document(result), stdout)
        elif as_csv:
            display.write_csv(result, stdout)
        else:
            display.print_tables(make_console(stderr=False), result)
    return ExitCode.SOME_FAILED if result.failures else ExitCode.DONE
