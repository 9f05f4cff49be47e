"""Options that several commands share, each declared once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer


def named(text: str) -> Path:
    """A path. An empty one, as an unset variable leaves it, is not the current folder."""
    if not text:
        raise typer.BadParameter("is empty; name a path")
    return Path(text)


NoPlugins = Annotated[
    bool, typer.Option("--no-plugins", help="Leave out every plugin but the built-in models.")
]
AsJson = Annotated[
    bool,
    typer.Option(
        "--json", help="One JSON document to standard output, all else to standard error."
    ),
]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:N or mps.")]
Output = Annotated[
    Path | None,
    typer.Option(
        *("--output", "-o"),
        parser=named,
        metavar="FOLDER",
        help="Folder for the results.",
        show_default=False,
    ),
]
Verbose = Annotated[
    int,
    typer.Option(
        *("--verbose", "-v"),
        count=True,
        show_default=False,
        help="Say more: each failure at once, what was passed over.",
    ),
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Say only what failed.")]
Models = Annotated[
    list[str] | None,
    typer.Option(
        "--model",
        "-m",
        help="A colorizer, or NAME:KEY=VALUE with an option of its own; several times for several.",
    ),
]
Strength = Annotated[float, typer.Option(help="0 keeps grey, 1 is the model's colour, up to 2.")]
Set = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="A model's own option (see: models)."),
]
Like = Annotated[
    Path | None,
    typer.Option(
        parser=named,
        metavar="PICTURE",
        help="Move the colours toward those of a colour photograph.",
    ),
]
WeightsOfOne = Annotated[
    Path | None,
    typer.Option(parser=named, metavar="FILE", help="Use this weights file (one model only)."),
]
BatchSize = Annotated[
    int | None,
    typer.Option(help="Pictures in a batch (default: on a CPU 2 to 8, by the model; on a GPU 64)."),
]
Precision = Annotated[
    Literal["auto", "float32", "bfloat16", "float16"],
    typer.Option(help="auto: float16 on a GPU, float32 on a CPU."),
]
