"""`batchcolor run SOURCE...`: colour files, folders, globs, films."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from batchcolor.cli import common_options as options
from batchcolor.cli.console import make_console, only_json, print_json, print_line
from batchcolor.cli.dry_run import show_plan
from batchcolor.cli.run_pipe import PIPE, is_to_pipe, run_to_pipe
from batchcolor.cli.settings_options import with_settings
from batchcolor.errors import ExitCode, UsageError, make_printable
from batchcolor.hooks.options import parse_key_values
from batchcolor.pipeline.options.config_file import find_config, read_config
from batchcolor.pipeline.options.settings import RunSettings
from batchcolor.pipeline.planning.source_list import read_source_list
from batchcolor.pipeline.planning.source_table import is_table, read_source_table
from batchcolor.pipeline.planning.sources import describe_missing
from batchcolor.storage.standard_input import StandardInput

if TYPE_CHECKING:
    from batchcolor.cli.json_log import JsonLog
    from batchcolor.cli.run_display import RunView
    from batchcolor.hooks.manager import Plugins
    from batchcolor.images.scan import SkippedEntry
    from batchcolor.pipeline.report import Report

EXAMPLES = """\b
Examples:
  batchcolor run album/                           results in album-colorized
  batchcolor run album/ -o colour --format png    every picture as PNG
  batchcolor run "scans/*.tif" -m beta            a glob, with another model
  batchcolor run film.mkv --preview 10s           the first seconds of a film
  batchcolor run album/ --retry-failed            only what failed before
  batchcolor run inbox/ --watch                   stay; colour what arrives
"""


@with_settings(RunSettings)
def run(
    given: dict[str, Any],
    *,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Show the plan; write nothing.", rich_help_panel="Output"),
    ] = False,
    source_list: Annotated[
        str | None,
        typer.Option(
            *("--from",),
            metavar="FILE",
            help="Read more sources from this file, one per line, or from a column of a CSV or "
            "TSV table; - is standard input.",
            rich_help_panel="Where",
        ),
    ] = None,
    column: Annotated[
        str | None,
        typer.Option(
            *("--column",),
            metavar="NAME",
            help="The column of the table with the sources (default: path, file, filename or "
            "source).",
            rich_help_panel="Where",
        ),
    ] = None,
    null_separated: Annotated[
        bool,
        typer.Option(
            *("--null", "-0"),
            help="The list of sources is separated by NUL, as of find -print0.",
            rich_help_panel="Where",
        ),
    ] = False,
    config: Annotated[
        Path | None,
        typer.Option(
            *("--config",),
            parser=options.parse_path,
            metavar="FILE",
            help="Read options from this file (default: batchcolor.toml in the source folder).",
            rich_help_panel="Output",
        ),
    ] = None,
    log_json: Annotated[
        bool,
        typer.Option(
            "--log-json",
            help="Write a log instead of the display: one JSON object a line on standard error.",
            rich_help_panel="Output",
        ),
    ] = False,
    no_plugins: options.NoPlugins = False,
    as_json: options.AsJson = False,
    verbose: options.Verbose = 0,
    quiet: options.Quiet = False,
) -> int:
    """Colour photographs and films; run the same command again to resume."""
    from batchcolor.hooks.manager import load_plugins

    sources = given.get("sources") or []
    standard_input = StandardInput(sys.stdin.buffer) if PIPE in sources else None
    others = {"--from": source_list, "--dry-run": dry_run, "--json": as_json}
    if is_to_pipe(given.get("output"), standard_input, others):
        settings = _make_settings(given, config, quiet=quiet)
        loaded = load_plugins(not no_plugins)
        report = run_to_pipe(settings, loaded, standard_input, verbose=verbose, quiet=quiet)
        _write_report(report, settings)
        return report.exit_code
    given["sources"], missing = _read_sources(
        sources, source_list, column, null_separated, standard_input
    )
    settings = _make_settings(given, config, quiet=quiet or log_json)
    log = None
    if log_json:
        from batchcolor.cli.json_log import JsonLog

        log = JsonLog(settings)
    with only_json(as_json) as stdout:
        plugins = load_plugins(not no_plugins)
        if dry_run:
            show_plan(settings, plugins, as_json, stdout, missing)
            return ExitCode.DONE

        result, view = _work(settings, plugins, missing, log, verbose=verbose, quiet=quiet)
        _write_report(result, settings)
        view.summary(result, plugins, salvages=settings.salvage)
        if as_json:
            print_json(result.as_json(), stdout)
    return result.exit_code


def _write_report(report: Report, settings: RunSettings) -> None:
    """Writes the document of `--report`, if it is asked for."""
    if settings.report_path is None:
        return
    from batchcolor.storage.remote.write_location import write_location

    document = json.dumps(report.as_json(), indent=2) + "\n"
    write_location(settings.report_path, document.encode(), settings.retries)


def _work(
    settings: RunSettings,
    plugins: Plugins,
    missing: list[SkippedEntry],
    log: JsonLog | None,
    *,
    verbose: int,
    quiet: bool,
) -> tuple[Report, RunView | JsonLog]:
    """Runs the job; with `--watch` it stays until a signal. Returns what shows its end."""
    from batchcolor.cli.run_display import RunView

    observe = None if log is None else log.record

    if settings.watch:
        from batchcolor.cli.watch_display import WatchDisplay
        from batchcolor.pipeline.watch.watch_job import run_watch

        with log or WatchDisplay(verbose=verbose, quiet=quiet) as display:
            result = run_watch(settings, plugins, display, missing, observe)
        return result, log or RunView(verbose=0, quiet=quiet)

    with log or RunView(verbose=verbose, quiet=quiet) as view:
        if settings.cluster is not None:
            from batchcolor.cluster.run_on_cluster import run_on_cluster

            return run_on_cluster(settings, plugins, view.watch, missing, observe), view

        from batchcolor.pipeline.job import run as run_job

        return run_job(settings, plugins, view.watch, missing, observe), view


def _read_sources(
    sources: list[str],
    source_list: str | None,
    column: str | None,
    null_separated: bool,
    standard_input: StandardInput | None,
) -> tuple[tuple[str, ...], list[SkippedEntry]]:
    """The sources of the command line and of a list, and what of the list does not exist.

    The SOURCE `-` is a list on standard input.
    """
    from batchcolor.images.scan import SkippedEntry

    stdin = standard_input or StandardInput(sys.stdin.buffer)
    missing: list[SkippedEntry] = []
    lists = [source_list] if source_list is not None else []
    lists += ["-"] if "-" in sources and source_list != "-" else []
    if null_separated and not lists:
        raise UsageError("--null goes with a list of sources: --from FILE, or - as SOURCE")
    if column is not None and source_list is None:
        raise UsageError("--column goes with a table of sources: --from FILE")
    paths = [source for source in sources if source != "-"]
    for path in lists:
        is_named = column is not None and path == source_list
        if is_named or is_table(path):
            if null_separated:
                raise UsageError(f"--null goes with a list, and --from {path} is a table")
            listed = list(_read_table(path, column, stdin))
        else:
            listed = list(_read_list(path, stdin, null_separated=null_separated))
        if not listed:
            raise UsageError(f"--from {path}: the list is empty; nothing to colour")
        reasons = {name: describe_missing(name) for name in dict.fromkeys(listed)}
        absent = {name: reason for name, reason in reasons.items() if reason is not None}
        if len(absent) == len(reasons):
            raise UsageError(
                f"--from {path}: nothing of the list exists, the first is {listed[0]}; "
                f"check the paths, or run in the folder where they begin"
            )
        where = f"named in {'the list' if path == '-' else path}"
        missing += [
            SkippedEntry(Path(name), f"{reason} ({where})", failed=True)
            for name, reason in absent.items()
        ]
        paths += [name for name in reasons if name not in absent]
    return tuple(paths), missing


def _read_list(path: str, stdin: StandardInput, *, null_separated: bool) -> Iterator[str]:
    try:
        data = stdin.read() if path == "-" else Path(path).read_bytes()
    except OSError as error:
        raise UsageError(f"--from {path}: cannot be read ({error.strerror})") from error
    yield from read_source_list(data, null_separated=null_separated)


def _read_table(path: str, column: str | None, stdin: StandardInput) -> Iterator[str]:
    try:
        data = stdin.read() if path == "-" else Path(path).read_bytes()
    except OSError as error:
        raise UsageError(f"--from {path}: cannot be read ({error.strerror})") from error
    try:
        yield from read_source_table(data, Path() if path == "-" else Path(path).parent, column)
    except UsageError as error:
        raise UsageError(f"--from {path}: {error}") from error


def _make_settings(given: dict[str, Any], config: Path | None, *, quiet: bool) -> RunSettings:
    """The settings of the configuration file and, above them, of the command line."""
    path = config or find_config(given["sources"])
    if path is None:
        return RunSettings(**given)
    values = read_config(path)
    if not quiet:
        print_line(make_console(), f"options from {make_printable(path)}")
    if "options" in given and "options" in values:  # the command line wins for each key
        merged = {**values["options"], **parse_key_values(given["options"])}
        given = {**given, "options": merged}
    return RunSettings(**{**values, **given})
