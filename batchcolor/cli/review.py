"""`batchcolor review OUT`: a local page to look through results and to correct them."""

from __future__ import annotations

from typing import Annotated

import typer

from batchcolor.cli import common_options as options
from batchcolor.cli.console import make_console, print_line
from batchcolor.errors import ExitCode, make_printable


def review(
    output: options.OutputFolder,
    *,
    port: Annotated[
        int, typer.Option("--port", min=0, max=65535, help="Port of the page; 0: a free one.")
    ] = 0,
    no_browser: Annotated[
        bool, typer.Option("--no-browser", help="Print the address; open no browser.")
    ] = False,
    no_plugins: options.NoPlugins = False,
) -> int:
    """Look through results in the browser, approve and correct them."""
    from batchcolor.hooks.manager import load_plugins
    from batchcolor.review.server import serve

    console = make_console(stderr=False)

    def report(address: str) -> None:
        print_line(console, f"Review of {make_printable(output)}: {address}")
        print_line(console, "The address holds the key to this page. Ctrl-C ends.")

    plugins = load_plugins(not no_plugins)
    serve(output, plugins, port=port, open_browser=not no_browser, report=report)
    return ExitCode.DONE
