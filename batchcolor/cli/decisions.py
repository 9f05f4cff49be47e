"""`batchcolor decisions export|import OUT [FILE]`: decisions as CSV or JSON."""

from __future__ import annotations

import sys
from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from batchcolor.cli import common_options as options
from batchcolor.cli.console import make_console, print_line
from batchcolor.errors import ExitCode, UsageError, make_printable
from batchcolor.storage.journal import STATE_FOLDER, Journal, has_journal

NO_OUTPUT = "not an output folder of batchcolor; name the folder that has the results"
STANDARD = "-"
"""The FILE that is standard output or input."""


class Action(Enum):
    """What is done with the decisions."""

    EXPORT = "export"
    IMPORT = "import"


class TableFormat(Enum):
    """Formats of an exported table."""

    CSV = "csv"
    JSON = "json"


def decisions(
    action: Annotated[
        Action,
        typer.Argument(help="export or import.", metavar="ACTION", show_default=False),
    ],
    output: options.OutputFolder,
    file: Annotated[
        str,
        typer.Argument(
            help="The table; - is standard output or input.", metavar="FILE", show_default=False
        ),
    ] = STANDARD,
    table: Annotated[
        TableFormat | None,
        typer.Option("--format", help="csv or json (default: by the name of FILE, else json)."),
    ] = None,
) -> int:
    """Export what was decided about single pictures as CSV or JSON, or import it."""
    if action is Action.EXPORT:
        return _export(output, file, table)
    if table is not None:
        raise UsageError("--format goes with export: import recognizes CSV and JSON")
    return _import(output, file)


def _export(output: Path, file: str, table: TableFormat | None) -> int:
    """Writes the last decision of each source."""
    from batchcolor.pipeline.decisions.store import DecisionStore, describe_bad_lines
    from batchcolor.pipeline.decisions.table import format_csv, format_json
    from batchcolor.storage.atomic import write_atomic

    if not output.is_dir():
        raise UsageError(f"{output}: there is no such folder")
    if not (output / STATE_FOLDER).is_dir():
        raise UsageError(f"{output}: {NO_OUTPUT}")
    store = DecisionStore(output)
    decided = [decision for decision in store if not decision.is_empty]
    is_csv = table is TableFormat.CSV if table else file.lower().endswith(".csv")
    text = format_csv(decided) if is_csv else format_json(decided)
    data = text.encode("utf-8", "surrogateescape")
    if file == STANDARD:
        sys.stdout.write(data.decode("utf-8", "backslashreplace"))
    else:
        write_atomic(Path(file), data)
    for line in describe_bad_lines(store):
        print_line(make_console(), make_printable(line))
    return ExitCode.SOME_FAILED if store.bad_lines else ExitCode.DONE


def _import(output: Path, file: str) -> int:
    """Appends the decisions of a table: they win over earlier ones of the same source."""
    from batchcolor.pipeline.decisions.store import DecisionStore
    from batchcolor.pipeline.decisions.table import parse_table
    from batchcolor.pipeline.decisions.unknown_sources import describe_unknown_sources

    if _is_other_folder(output):  # perhaps that of the sources, where nothing is ever written
        raise UsageError(f"{output}: {NO_OUTPUT}")
    try:
        data = sys.stdin.buffer.read() if file == STANDARD else Path(file).read_bytes()
    except OSError as error:
        raise UsageError(f"{file}: cannot be read ({error.strerror})") from error
    try:
        found = parse_table(data.decode("utf-8", "surrogateescape"))
    except UsageError as error:
        raise UsageError(f"{file}: {error}") from error
    if found:
        DecisionStore(output).append(*found)
    count = "1 decision" if len(found) == 1 else f"{len(found)} decisions"
    print_line(make_console(), f"{count} imported")
    if not found:
        return ExitCode.DONE
    if not has_journal(output):
        where = make_printable(output)
        print_line(make_console(), f"{where} has no results yet: name it with --output of run")
        return ExitCode.DONE
    if unknown := describe_unknown_sources(Journal(output, lock=False), found):
        print_line(make_console(), unknown)
    print_line(make_console(), "Next: run the same command again to apply them")
    return ExitCode.DONE


def _is_other_folder(output: Path) -> bool:
    """Whether a folder has files, and none of them is of batchcolor."""
    if output.exists() and not output.is_dir():
        return True
    return output.is_dir() and not (output / STATE_FOLDER).is_dir() and any(output.iterdir())
