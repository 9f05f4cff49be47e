"""`batchcolor review OUT`: a local page to look through results and to correct them."""

from __future__ import annotations

from typing import Annotated

import typer

from batchcolor.cli import common_options as options
from batchcolor.cli.console import make_console, print_line
from batchcolor.errors import ExitCode, make_printable
from batchcolor.storage.locations import describe_url


def review(
    output: options.OutputLocation,
    *,
    port: Annotated[
        int, typer.Option("--port", min=0, max=65535, help="Port of the page; 0: a free one.")
    ] = 0,
    no_browser: Annotated[
        bool, typer.Option("--no-browser", help="Print the address; open no browser.")
    ] = False,
    temporary_space: Annotated[
        str | None,
        typer.Option(
            "--temporary-space",
            help="Disk for local copies of files on remote storage, as 20G "
            "(default: half of what is free).",
            metavar="SIZE",
            show_default=False,
        ),
    ] = None,
    no_plugins: options.NoPlugins = False,
) -> int:
    """Look through results in the browser, approve and correct them."""
    from batchcolor.hooks.manager import load_plugins
    from batchcolor.pipeline.options.option_values import parse_memory
    from batchcolor.review.server import serve

    console = make_console(stderr=False)

    def report(address: str) -> None:
        print_line(console, f"Review of {make_printable(describe_url(str(output)))}: {address}")
        print_line(console, "The address holds the key to this page. Ctrl-C ends.")

    plugins = load_plugins(not no_plugins)
    serve(
        output,
        plugins,
        temporary_space=None
        if temporary_space is None
        else parse_memory(temporary_space, "--temporary-space"),
        port=port,
        open_browser=not no_browser,
        report=report,
    )
    return ExitCode.DONE
