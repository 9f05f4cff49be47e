"""`batchcolor decisions export|import OUT [FILE]`: decisions as CSV or JSON."""

from __future__ import annotations

import sys
from collections.abc import Callable
from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from batchcolor.cli import common_options as options
from batchcolor.cli.console import make_console, print_line
from batchcolor.errors import ExitCode, UsageError, make_printable
from batchcolor.storage.journal import DECISIONS_NAME, STATE_FOLDER, Journal, has_journal
from batchcolor.storage.locations import Url, describe_url, is_url, strip_local_scheme

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
    output: options.OutputLocation,
    file: Annotated[
        str,
        typer.Argument(
            help="The table, also a URL; - is standard output or input.",
            metavar="FILE",
            show_default=False,
        ),
    ] = STANDARD,
    table: Annotated[
        TableFormat | None,
        typer.Option("--format", help="csv or json (default: by the name of FILE, else json)."),
    ] = None,
) -> int:
    """Export what was decided about single pictures as CSV or JSON, or import it."""
    if action is Action.IMPORT and table is not None:
        raise UsageError("--format goes with export: import recognizes CSV and JSON")
    if not is_url(output):
        if action is Action.EXPORT:
            return _export(output, output, file, table)
        return _import(output, output, file)
    from batchcolor.storage.remote.state_copy import open_state

    url = Url(output)
    with open_state(url) as state:
        if action is Action.EXPORT:
            return _export(state.folder, url, file, table)
        if not state.is_output and state.has_objects():
            raise UsageError(f"{url.shown}: {NO_OUTPUT}")
        return _import(state.folder, url, file, lambda: state.send(DECISIONS_NAME))


def _export(folder: Path, output: Path | Url, file: str, table: TableFormat | None) -> int:
    """Writes the last decision of each source; `folder` has the state folder of the output."""
    from batchcolor.pipeline.decisions.store import DecisionStore, describe_bad_lines
    from batchcolor.pipeline.decisions.table import format_csv, format_json
    from batchcolor.storage.remote.retry import DEFAULT_RETRIES
    from batchcolor.storage.remote.write_location import write_location

    name = describe_url(str(output))
    if isinstance(output, Path) and not output.is_dir():
        raise UsageError(f"{name}: there is no such folder")
    if not (folder / STATE_FOLDER).is_dir():
        raise UsageError(f"{name}: {NO_OUTPUT}")
    store = DecisionStore(folder)
    decided = [decision for decision in store if not decision.is_empty]
    is_csv = table is TableFormat.CSV if table else file.lower().endswith(".csv")
    text = format_csv(decided) if is_csv else format_json(decided)
    data = text.encode("utf-8", "surrogateescape")
    if file == STANDARD:
        sys.stdout.write(data.decode("utf-8", "backslashreplace"))
    else:
        write_location(_parse_file(file), data, DEFAULT_RETRIES)
    for line in describe_bad_lines(store):
        print_line(make_console(), make_printable(line))
    return ExitCode.SOME_FAILED if store.bad_lines else ExitCode.DONE


def _import(
    folder: Path, output: Path | Url, file: str, send: Callable[[], None] = lambda: None
) -> int:
    """Appends the decisions of a table: they win over earlier ones of the same source.

    `folder` has the state folder of the output; `send` writes it to remote storage.
    """
    from batchcolor.pipeline.decisions.store import DecisionStore
    from batchcolor.pipeline.decisions.table import parse_table
    from batchcolor.pipeline.decisions.unknown_sources import describe_unknown_sources

    where = make_printable(describe_url(str(output)))
    if isinstance(output, Path) and _is_other_folder(output):
        raise UsageError(f"{output}: {NO_OUTPUT}")  # perhaps that of the sources
    data = _read_table(file)
    try:
        found = parse_table(data.decode("utf-8", "surrogateescape"))
    except UsageError as error:
        raise UsageError(f"{describe_url(file)}: {error}") from error
    if found:
        DecisionStore(folder).append(*found)
        send()
    count = "1 decision" if len(found) == 1 else f"{len(found)} decisions"
    print_line(make_console(), f"{count} imported")
    if not found:
        return ExitCode.DONE
    if not has_journal(folder):
        print_line(make_console(), f"{where} has no results yet: name it with --output of run")
        return ExitCode.DONE
    if unknown := describe_unknown_sources(Journal(folder, lock=False), found):
        print_line(make_console(), unknown)
    print_line(make_console(), "Next: run the same command again to apply them")
    return ExitCode.DONE


def _read_table(file: str) -> bytes:
    """The content of a table. Raises UsageError."""
    from batchcolor.storage.remote.read_location import open_location

    try:
        if file == STANDARD:
            return sys.stdin.buffer.read()
        with open_location(_parse_file(file)) as path:
            return path.read_bytes()
    except OSError as error:
        raise UsageError(f"{file}: cannot be read ({error.strerror})") from error


def _parse_file(file: str) -> Path | Url:
    return Url(file) if is_url(file) else Path(strip_local_scheme(file))


def _is_other_folder(output: Path) -> bool:
    """Whether a folder has files, and none of them is of batchcolor."""
    if output.exists() and not output.is_dir():
        return True
    return output.is_dir() and not (output / STATE_FOLDER).is_dir() and any(output.iterdir())
