"""`batchcolor restore`: gives the grey source of a result back, byte for byte."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from batchcolor.cli.common_options import parse_location, parse_path
from batchcolor.cli.console import make_console, print_line
from batchcolor.errors import ProcessingError, UsageError, make_printable
from batchcolor.storage.locations import describe_url


def restore(
    result: Annotated[
        Path,
        typer.Argument(
            help="A JPEG that was made of a grey JPEG, or its URL.",
            metavar="RESULT",
            parser=parse_location,
        ),
    ],
    output: Annotated[
        Path,
        typer.Option(
            *("--output", "-o"),
            help="Where to write the grey JPEG; must not exist.",
            metavar="FILE",
            parser=parse_path,
        ),
    ],
) -> None:
    """Write the grey JPEG that a result was made of, byte for byte."""
    from batchcolor.images.jpeg_stream.source_record import restore_source
    from batchcolor.storage.atomic import commit
    from batchcolor.storage.remote.read_location import open_location

    name = describe_url(str(result))
    with open_location(result) as path:
        try:
            status = path.stat()
            data = path.read_bytes()
        except OSError as error:
            raise UsageError(f"{name}: cannot be read ({error.strerror})") from error
    try:
        source = restore_source(data)
    except ProcessingError as error:
        raise ProcessingError(error.step, f"{name}: {error.reason}") from error
    try:
        commit(source, output, lambda _: None, replace=False, mtime_ns=status.st_mtime_ns)
    except FileExistsError as error:
        raise UsageError(f"{output}: exists already; name another file") from error
    print_line(make_console(stderr=False), f"{make_printable(output)}: {len(source)} bytes")
