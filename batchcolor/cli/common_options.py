"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from batchcolor.storage.locations import (
    Url,
    describe_url,
    find_archive_kind,
    is_url,
    strip_local_scheme,
)


def parse_path(text: str) -> Path:
    """The path. An empty text, as from an unset variable, is not the current folder."""
    if not text:
        raise typer.BadParameter("is empty; name a path")
    if is_url(text):
        raise typer.BadParameter(
            "is a URL, and this takes a path on this computer: copy what it names to this "
            "computer first, or write a file here and copy that"
        )
    return Path(strip_local_scheme(str(text)))  # a default is a Path already


def parse_location(text: str) -> Path | Url:
    """The path, or the URL of remote storage."""
    return Url(text) if is_url(text) else parse_path(text)


def parse_output(text: str) -> Path | Url:
    """The folder of results, or its URL: not a tar file of them."""
    location = parse_location(text)
    is_folder = isinstance(location, Path) and location.is_dir()
    if find_archive_kind(str(location)) is not None and not is_folder:
        raise typer.BadParameter(
            f"{describe_url(str(text))} is an archive, and this takes a folder of results, "
            f"which has a journal; run the job again with a folder as --output"
        )
    return location


OutputLocation = Annotated[
    Path,
    typer.Argument(
        help="A folder of results, or its URL.",
        metavar="OUT",
        parser=parse_output,
        show_default=False,
    ),
]
"""A Path, or a Url where a URL is given: typer takes no union."""
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
