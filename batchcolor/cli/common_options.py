"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer


def named(text: str) -> Path:
    """The path. An empty text, as from an unset variable, is not the current folder."""
    if not text:
        raise typer.BadParameter("is empty; name a path")
    return Path(text)


NoPlugins = Annotated[bool, typer.Option("--no-plugins", help="Use only the built-in models.")]
AsJson = Annotated[
    bool,
    typer.Option("--json", help="Print one JSON document; all else goes to standard error."),
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
        help="Show more: each failure at once, skipped entries.",
    ),
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Show only what failed.")]
Models = Annotated[
    list[str] | None,
    typer.Option(
        "--model",
        "-m",
        help="A model, or NAME:KEY=VALUE with an option of it; repeat for several.",
    ),
]
Strength = Annotated[float, typer.Option(help="0 keeps grey, 1 is the model's colour, up to 2.")]
Set = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="KEY=VALUE", help="An option of the model (see: batchcolor models)."
    ),
]
Like = Annotated[
    Path | None,
    typer.Option(
        parser=named,
        metavar="PICTURE",
        help="Transfer the colours of a colour photograph.",
    ),
]
WeightsOfOne = Annotated[
    Path | None,
    typer.Option(parser=named, metavar="FILE", help="Use this weights file (one model only)."),
]
BatchSize = Annotated[
    int | None,
    typer.Option(help="Pictures per batch (default: 64 on a GPU, 2 to 8 on a CPU)."),
]
Precision = Annotated[
    Literal["auto", "float32", "bfloat16", "float16"],
    typer.Option(help="auto: float16 on a GPU, float32 on a CPU."),
]
