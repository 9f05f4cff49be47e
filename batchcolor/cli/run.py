"""`batchcolor run SOURCE...`: colour files, folders, globs, films."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TextIO

import typer

from batchcolor.cli import common_options as options
from batchcolor.cli.console import only_json, print_json, say, screen, table
from batchcolor.cli.settings_options import with_settings
from batchcolor.errors import make_printable
from batchcolor.hooks.options import parse_key_values
from batchcolor.pipeline.config_file import find_config, read_config
from batchcolor.pipeline.settings import RunSettings

if TYPE_CHECKING:
    from batchcolor.hooks.manager import Plugins


EXAMPLES = """\b
Examples:
  batchcolor run album/                           results in album-colorized
  batchcolor run album/ -o colour --format png    every picture as PNG
  batchcolor run "scans/*.tif" -m beta            a glob, with another model
  batchcolor run film.mkv --preview 10s           the first seconds of a film
  batchcolor run album/ --retry-failed            only what failed before
"""


@with_settings(RunSettings)
def run(
    given: dict[str, Any],
    *,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Show the plan; write nothing.", rich_help_panel="Output"),
    ] = False,
    config: Annotated[
        Path | None,
        typer.Option(
            *("--config",),
            parser=options.named,
            metavar="FILE",
            help="Read options from this file (default: batchcolor.toml in the source folder).",
            rich_help_panel="Output",
        ),
    ] = None,
    no_plugins: options.NoPlugins = False,
    as_json: options.AsJson = False,
    verbose: options.Verbose = 0,
    quiet: options.Quiet = False,
) -> int:
    """Colour photographs and films; run the same command again to resume."""
    from batchcolor.hooks.manager import load_plugins

    settings = _make_settings(given, config, quiet=quiet)
    with only_json(as_json) as stdout:
        plugins = load_plugins(not no_plugins)
        if dry_run:
            return _preview(settings, plugins, as_json, stdout)

        from batchcolor.cli.run_display import RunView
        from batchcolor.pipeline.job import run as run_job

        with RunView(verbose=verbose, quiet=quiet) as view:
            result = run_job(settings, plugins, view.watch)
        view.summary(result, plugins)
        if settings.report is not None:
            from batchcolor.storage.atomic import write_atomic

            document = json.dumps(result.as_json(), indent=2) + "\n"
            write_atomic(settings.report, document.encode())
        if as_json:
            print_json(result.as_json(), stdout)
    return result.exit_code


def _make_settings(given: dict[str, Any], config: Path | None, *, quiet: bool) -> RunSettings:
    """The settings of the configuration file and, above them, of the command line."""
    path = config or find_config(given.get("sources") or ())
    if path is None:
        return RunSettings(**given)
    values = read_config(path)
    if not quiet:
        say(screen(), f"options from {make_printable(path)}")
    if "options" in given and "options" in values:  # the command line wins for each key
        merged = {**values["options"], **parse_key_values(given["options"])}
        given = {**given, "options": merged}
    return RunSettings(**{**values, **given})


def _preview(settings: RunSettings, plugins: Plugins, as_json: bool, stdout: TextIO) -> int:
    from batchcolor.images.scan import SkippedEntry
    from batchcolor.pipeline.job import preview

    plan, tasks = preview(settings, plugins)
    rows: list[tuple[object, ...]] = []
    passed: list[tuple[object, ...]] = []
    for task in tasks:
        if isinstance(task, SkippedEntry):
            passed.append((task.path, task.reason))
        else:
            rows.append((task.found.path, task.target, task.action, task.reason))
    if as_json:
        document = [
            dict(zip(("source", "target", "action", "reason"), map(str, row), strict=True))
            for row in rows
        ]
        over = [{"source": str(path), "reason": reason} for path, reason in passed]
        content = {"output": str(plan.output), "planned": document, "passed_over": over}
        print_json(content, stdout)
    else:
        console = screen(stderr=False)
        console.print(table("source", "target", "action", "why", rows=rows))
        if passed:
            console.print(table("passed over", "reason", rows=passed))
        taken = sum(action == "colour" for _, _, action, _ in rows)
        say(
            console,
            f"{taken} of {len(rows)} pictures and films would be tried; nothing was read beyond "
            f"their beginnings, nothing was written (--dry-run)",
        )
    return 0
