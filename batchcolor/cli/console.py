"""The screen: standard error for people, safe names, one line an error."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TextIO

from rich.console import Console
from rich.table import Table
from rich.text import Text

from batchcolor.errors import StandardOutputError, make_printable


class Screen(Console):
    """A console that leaves a closed pipe to `app.main`; rich would exit with 1, as if failed."""

    def on_broken_pipe(self) -> None:
        """Called by rich when the reader is gone."""
        self.quiet = True
        raise BrokenPipeError


def screen(*, stderr: bool = True) -> Console:
    """A console that draws only on a terminal; NO_COLOR and TERM=dumb are kept to by rich."""
    return Screen(stderr=stderr, highlight=False)


def text(value: object) -> Text:
    """Text in which rich sees no markup."""
    return Text(make_printable(str(value)), overflow="fold")


def table(*columns: str, rows: Sequence[tuple[object, ...]], title: str = "") -> Table:
    """A table whose cells are shown as they are."""
    made = Table(*columns, title=title or None, title_justify="left")
    for row in rows:
        made.add_row(*(text(cell) for cell in row))
    return made


def say(console: Console, line: str) -> None:
    """One line, as it is."""
    console.print(Text(line), soft_wrap=True)


@contextmanager
def only_json(wanted: bool) -> Iterator[TextIO]:
    """Standard output for one JSON document; whatever else prints goes to standard error."""
    real = sys.stdout
    if not wanted:
        yield real
        return
    sys.stdout = sys.stderr
    try:
        yield real
    finally:
        sys.stdout = real


def print_json(document: Any, file: TextIO) -> None:
    """Print one JSON document, unusual names escaped. Raises StandardOutputError."""
    try:
        file.write(json.dumps(document, indent=2) + "\n")
        file.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        raise _standard_output_error(error) from error


def flush_stdout() -> None:
    """Write what is buffered. Raises StandardOutputError."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        raise _standard_output_error(error) from error


def _standard_output_error(error: OSError) -> StandardOutputError:
    return StandardOutputError(
        f"standard output cannot be written ({error.strerror}); the rest of the command was done"
    )
