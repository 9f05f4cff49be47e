"""Output of the commands: a console for people, one JSON document for programs."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TextIO

from rich.console import Console
from rich.table import Table
from rich.text import Text

from batchcolor.errors import StandardOutputError, make_printable


class PipeSafeConsole(Console):
    """A console whose reader may close the pipe (`| head`); rich would exit with 1."""

    def on_broken_pipe(self) -> None:
        """Called by rich when the pipe is closed: prints nothing more."""
        self.quiet = True
        if not self.stderr:
            discard_stdout()


def make_console(*, stderr: bool = True) -> Console:
    """A console for standard error or output. rich respects NO_COLOR and TERM=dumb."""
    return PipeSafeConsole(stderr=stderr, highlight=False)


def plain_text(value: object) -> Text:
    """Text that rich does not parse for markup."""
    return Text(make_printable(str(value)), overflow="fold")


def make_table(*columns: str, rows: Sequence[tuple[object, ...]], title: str = "") -> Table:
    """A table whose cells are not parsed for markup."""
    made = Table(*columns, title=title or None, title_justify="left")
    for row in rows:
        made.add_row(*(plain_text(cell) for cell in row))
    return made


def print_line(console: Console, line: str) -> None:
    """Prints one line without markup."""
    console.print(Text(line), soft_wrap=True)


@contextmanager
def only_json(wanted: bool) -> Iterator[TextIO]:
    """Yields standard output; if `wanted`, everything else that prints goes to standard error."""
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
    """Prints one JSON document in ASCII. Raises StandardOutputError."""
    with _translate_errors():
        file.write(json.dumps(document, indent=2) + "\n")
        file.flush()


def flush_stdout() -> None:
    """Writes what is buffered. Raises StandardOutputError."""
    with _translate_errors():
        sys.stdout.flush()


def discard_stdout() -> None:
    """Redirects standard output to the null device, so that Python does not fail on it at exit."""
    with contextlib.suppress(OSError, ValueError):  # no file descriptor
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


@contextmanager
def _translate_errors() -> Iterator[None]:
    """A reader that has closed the pipe (`| head`) has what it wants: the exit code is kept."""
    try:
        yield
    except BrokenPipeError:
        discard_stdout()
    except OSError as error:
        raise StandardOutputError(
            f"standard output cannot be written ({error.strerror}); everything else was done"
        ) from error
