"""Reads the metadata of a file as stored."""

from __future__ import annotations

import mmap
import struct
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from PIL import Image

from batchcolor.images.metadata.jpeg import read_jpeg
from batchcolor.images.metadata.model import Metadata
from batchcolor.images.metadata.pillow import read_metadata
from batchcolor.images.metadata.png import read_png
from batchcolor.images.metadata.tiff import read_tiff
from batchcolor.images.metadata.upright import mark_as_upright
from batchcolor.images.metadata.webp import read_webp

READERS: dict[str, Callable[[bytes, list[str]], Metadata]] = {
    "jpeg": read_jpeg,
    "png": read_png,
    "webp": read_webp,
    "tiff": read_tiff,
}
"""Functions that read the blocks of a file, by the name of its format."""


def read_blocks(data: bytes, format_name: str, notes: list[str]) -> Metadata:
    """Returns the metadata of a file in one of `READERS`, as stored.

    Appends to `notes` what is damaged or describes pixels that the result does not have.
    """
    try:
        return replace(READERS[format_name](data, notes), source_format=format_name)
    except (ValueError, struct.error, IndexError) as error:
        notes.append(f"damaged metadata dropped ({error})")
        return Metadata()


def read_tiff_page(path: Path, notes: list[str], offset: int | None = None) -> tuple[Metadata, int]:
    """Returns the metadata of a TIFF directory for upright pixels, and the orientation, 1 to 8.

    `offset` is the position of the directory; by default the first one is read. Only what is read
    of the file takes memory.
    """
    metadata = Metadata()
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        try:
            metadata = replace(read_tiff(data, notes, offset), source_format="tiff")
        except (ValueError, struct.error, IndexError) as error:
            notes.append(f"damaged metadata dropped ({error})")
    return mark_as_upright(metadata, notes)


def read_file_metadata(
    data: bytes, image: Image.Image, format_name: str, notes: list[str]
) -> tuple[Metadata, int]:
    """Returns the metadata of a file for its upright pixels, and the orientation, 1 to 8.

    `image` is the file as Pillow opened it, for formats that are not in `READERS`.
    """
    if format_name not in READERS:
        return read_metadata(image, notes)
    return mark_as_upright(read_blocks(data, format_name, notes), notes)
