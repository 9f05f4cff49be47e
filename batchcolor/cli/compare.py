"""`batchcolor compare SOURCE...`: what models make of pictures, on one sheet or page."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.progress import Progress

from batchcolor.cli import common_options as options
from batchcolor.cli.console import say, screen, table
from batchcolor.errors import make_printable
from batchcolor.hooks.types import DEFAULT_MODEL


def compare(
    sources: Annotated[
        list[str], typer.Argument(help="Folders, files or globs.", metavar="SOURCE")
    ],
    model: options.Models = None,
    output: Annotated[
        list[Path] | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            help="A .png, .jpg, .pdf or .html; several times for several "
            "(default: compare.png here).",
        ),
    ] = None,
    strengths: Annotated[
        str | None,
        typer.Option(metavar="LIST", help="As 0.5,1,1.5 (default: these; 1 for colour sources)."),
    ] = None,
    limit: Annotated[int, typer.Option(help="At most so many pictures, evenly spread.")] = 12,
    size: Annotated[
        int | None,
        typer.Option(help="Long side of each panel, pixels (default: 320; 800 for .html)."),
    ] = None,
    title: Annotated[str, typer.Option(help="A line on top.")] = "",
    if_exists: Annotated[
        Literal["error", "overwrite"], typer.Option(help="Where the output exists already.")
    ] = "error",
    set_: options.Set = None,
    like: options.Like = None,
    weights: options.WeightsOfOne = None,
    device: options.Device = "auto",
    precision: options.Precision = "auto",
    no_plugins: options.NoPlugins = False,
    quiet: options.Quiet = False,
) -> int:
    """Show grey, output, true colours and difference, or models x strengths of grey pictures."""
    from batchcolor.errors import ExitCode
    from batchcolor.evaluation.comparison import comparison as sheet
    from batchcolor.hooks.manager import load_plugins
    from batchcolor.hooks.options import parse_key_values
    from batchcolor.inference.load_options import LoadOptions

    settings = sheet.CompareSettings(
        sources=tuple(sources),
        outputs=tuple(dict.fromkeys(output or [Path("compare.png")])),
        models=tuple(dict.fromkeys(model or [DEFAULT_MODEL])),
        strengths=sheet.parse_strengths(strengths),
        limit=limit,
        size=size,
        loading=LoadOptions(
            tuple(parse_key_values(set_ or []).items()), weights, device, precision, 1, like
        ),
        title=title,
        overwrite=if_exists == "overwrite",
    )
    plugins = load_plugins(not no_plugins)
    console = screen()
    with Progress(console=console, transient=True, disable=quiet or not console.is_terminal) as bar:
        task = bar.add_task("colouring")
        made = sheet.compare(
            settings, plugins, lambda done, total: bar.update(task, completed=done, total=total)
        )
    if made.failures:
        console.print(table("failed", "reason", rows=made.failures))
    for broken in plugins.broken:
        say(console, make_printable(broken.describe()))
    if not quiet:
        for note in made.notes:
            say(console, make_printable(note))
        pictures = "1 picture" if made.shown == 1 else f"{made.shown} pictures"
        skipped = made.found - made.shown
        more = f"; {skipped} of {made.found} skipped (--limit)" if skipped else ""
        for path in made.written:
            say(console, f"{make_printable(path)}: {pictures}{more}")
    return ExitCode.SOME_FAILED if made.failures else ExitCode.DONE
