"""Options that several commands share, each declared once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

NoPlugins = Annotated[
    bool, typer.Option("--no-plugins", help="Leave out every plugin but the built-in models.")
]
AsJson = Annotated[
    bool,
    typer.Option(
        "--json", help="One JSON document to standard output, all else to standard error."
    ),
]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")]
Output = Annotated[
    Path | None, typer.Option("--output", "-o", help="Folder for the results.", show_default=False)
]
Verbose = Annotated[
    int,
    typer.Option(
        "--verbose", "-v", count=True, help="Say more: each failure at once, what was passed over."
    ),
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Say only what failed.")]
