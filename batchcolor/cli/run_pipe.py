"""`run` with a film on standard output, and standard input that is a film instead of a list."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, BinaryIO

from batchcolor.errors import OutputError, UsageError

if TYPE_CHECKING:
    from batchcolor.hooks.manager import Plugins
    from batchcolor.pipeline.options.settings import RunSettings
    from batchcolor.pipeline.report import Report
    from batchcolor.storage.standard_input import StandardInput

PIPE = "-"
EXAMPLE = "vspipe script.vpy -c y4m - | batchcolor run - -o - | ffmpeg -i - out.mkv"


def is_to_pipe(
    output: object, standard_input: StandardInput | None, others: Mapping[str, object]
) -> bool:
    """Whether the result is a film on standard output (`--output -`).

    `standard_input` is given if it is a source: an uncompressed film, or a list of sources.
    `others` are options of the command that do not go with a film on a pipe, and their values.
    Raises UsageError where a film comes in or goes out by a pipe and the rest does not fit.
    """
    to_pipe = output is not None and str(output) == PIPE
    is_film = standard_input is not None and standard_input.is_film()
    if is_film and not to_pipe:
        raise UsageError(f"standard input is a film: its result goes to a pipe too, as {EXAMPLE}")
    if not to_pipe:
        return False
    if standard_input is not None and not is_film:
        raise UsageError(
            f"--output -: standard input is no uncompressed film (YUV4MPEG2), as {EXAMPLE}"
        )
    for flag, value in others.items():
        if value:
            raise UsageError(f"{flag} does not go with a film on standard output (--output -)")
    if sys.stdout.isatty():
        raise UsageError(f"--output -: a film is not for a terminal; pass it on, as {EXAMPLE}")
    return True


def run_to_pipe(
    settings: RunSettings,
    plugins: Plugins,
    standard_input: StandardInput | None,
    *,
    verbose: int,
    quiet: bool,
) -> Report:
    """Colours a film to standard output and shows progress on standard error.

    Raises what `run_pipe` raises; OutputError where standard output cannot be written.
    """
    from batchcolor.cli.run_display import RunView
    from batchcolor.pipeline.piped.pipe_job import run_pipe

    with RunView(verbose=verbose, quiet=quiet) as view, only_film() as output:
        try:
            report = run_pipe(settings, plugins, view.watch, standard_input, output)
        except OSError as error:
            raise OutputError(f"standard output cannot be written ({error.strerror})") from error
    view.summary(report, plugins)
    return report


@contextmanager
def only_film() -> Iterator[BinaryIO]:
    """Yields standard output; everything else that prints, libraries included, goes to standard
    error."""
    sys.stdout.flush()
    number = sys.stdout.fileno()
    real = os.dup(number)
    os.dup2(2, number)
    try:
        with os.fdopen(real, "wb", buffering=0, closefd=False) as file:
            yield file
    finally:
        sys.stdout.flush()
        os.dup2(real, number)
        os.close(real)
