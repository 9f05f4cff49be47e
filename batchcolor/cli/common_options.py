"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def parse_path(text: str) -> Path:
    """The path. An empty text, as from an unset variable, is not the current folder."""
    if not text:
        raise typer.BadParameter("is empty; name a path")
    return Path(text)


OutputFolder = Annotated[
    Path,
    typer.Argument(
        help="A folder of results.", metavar="OUT", parser=parse_path, show_default=False
    ),
]
NoPlugins = Annotated[bool, typer.Option("--no-plugins", help="Use only the built-in models.")]
AsJson = Annotated[
    bool,
    typer.Option("--json", help="Print one JSON document; all else goes to standard error."),
]
Verbose = Annotated[
    int,
    typer.Option(
        *("--verbose", "-v"),
        count=True,
        show_default=False,
        help="Show more: each failure at once, skipped entries.",
    ),
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Show only what failed.")]
