"""`batchcolor compare SOURCE...`: shows results of models side by side on a sheet or page."""

from __future__ import annotations

from typing import Any

from rich.progress import Progress

from batchcolor.cli import common_options as options
from batchcolor.cli.console import make_console, make_table, print_line
from batchcolor.cli.plugins import print_failures
from batchcolor.cli.settings_options import with_settings
from batchcolor.errors import ExitCode, make_printable
from batchcolor.evaluation.comparison.compare_settings import CompareSettings


@with_settings(CompareSettings)
def compare(
    given: dict[str, Any],
    *,
    no_plugins: options.NoPlugins = False,
    quiet: options.Quiet = False,
) -> int:
    """Show results of several models side by side, on a contact sheet or an HTML page."""
    from batchcolor.evaluation.comparison.comparison import compare as compare_models
    from batchcolor.hooks.manager import load_plugins

    settings = CompareSettings(**given)
    plugins = load_plugins(not no_plugins)
    console = make_console()
    with Progress(console=console, transient=True, disable=quiet or not console.is_terminal) as bar:
        task = bar.add_task("colouring")
        result = compare_models(
            settings, plugins, lambda done, total: bar.update(task, completed=done, total=total)
        )
    if result.failures:
        console.print(make_table("failed", "reason", rows=result.failures))
    reasons = [reason for _, reason in result.failures]
    print_failures(console, plugins, reported=reasons)
    if not quiet:
        for note in result.notes:
            print_line(console, make_printable(note))
        pictures = "1 picture" if result.shown_count == 1 else f"{result.shown_count} pictures"
        skipped = result.found_count - result.shown_count
        limited = f"; {skipped} of {result.found_count} skipped (--limit)" if skipped else ""
        for path in result.written:
            print_line(console, f"{make_printable(path)}: {pictures}{limited}")
    return ExitCode.SOME_FAILED if result.failures else ExitCode.DONE
