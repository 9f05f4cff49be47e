"""`batchcolor info FILE`: what coloured a result, from what, and how to do it again."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from batchcolor.cli.console import make_console, only_json, print_json, print_line
from batchcolor.cli.repeat_command import list_missing, make_command
from batchcolor.errors import ProcessingError, UsageError, make_printable
from batchcolor.storage.locations import Url, describe_url

if TYPE_CHECKING:
    from batchcolor.images.provenance_marks.provenance import Provenance


def show_provenance(location: Path | Url, *, as_json: bool) -> None:
    """Prints the marks of a result. Raises UsageError for a file without them."""
    from batchcolor.storage.remote.read_location import open_location

    shown = describe_url(str(location))
    with open_location(location) as path:
        provenance = read_file(path, shown)
    if provenance is None:
        raise UsageError(
            f"{shown}: has no mark of batchcolor: it is not a result, or a copy of a picture that "
            f"was in colour already, or was written with --no-mark or to a format without metadata"
        )
    document = describe(provenance)
    with only_json(as_json) as stdout:
        if as_json:
            print_json(document, stdout)
            return
        console = make_console(stderr=False)
        print_line(console, make_printable(shown))
        for name, value in document.items():
            text = ", ".join(map(_show, value.items())) if isinstance(value, dict) else value
            label = name.replace("_", " ")
            print_line(console, f"  {label:<20} {make_printable(text or 'none')}")


def read_file(path: Path, name: str) -> Provenance | None:
    """Returns the provenance that a picture or film states; `name` is that of messages.

    Raises UsageError.
    """
    from PIL import UnidentifiedImageError

    from batchcolor.images.provenance_marks.provenance import read_marks

    if path.is_dir():
        raise UsageError(f"{name} is a folder: name a result in it, or see batchcolor verify")
    try:
        found = read_marks(path)
        if found is not None or not _is_gif(path):
            return found
    except UnidentifiedImageError:
        pass
    except OSError as error:
        raise UsageError(f"{name}: cannot be read ({error.strerror or error})") from error

    from batchcolor.video.ffmpeg import MEDIA_ERRORS, open_container
    from batchcolor.video.film_mark import read_film_mark

    try:
        with open_container(path) as container:
            return read_film_mark(container.metadata)
    except (ProcessingError, *MEDIA_ERRORS) as error:
        raise UsageError(f"{name}: neither a picture nor a film") from error


def _is_gif(path: Path) -> bool:
    """Whether a file that Pillow opens too is a film here, with its mark in the comment."""
    with path.open("rb") as file:
        return file.read(4) == b"GIF8"


def describe(provenance: Provenance) -> dict[str, Any]:
    """Returns the document that `info FILE` shows."""
    document = {
        "software": provenance.software,
        "digital_source_type": provenance.digital_source_type,
        "model": provenance.model,
        "weights_sha256": provenance.weights,
        "settings": dict(provenance.settings),
        "source": provenance.source,
        "source_sha256": provenance.source_sha256,
        "command": make_command(provenance),
    }
    if missing := list_missing(provenance):
        document["not_in_command"] = ", ".join(missing)
    return document


def _show(setting: tuple[str, Any]) -> str:
    name, value = setting
    if isinstance(value, Mapping):
        value = " ".join(f"{key}={part}" for key, part in value.items())
    return f"{name}: {value}"
