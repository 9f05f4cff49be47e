"""Decodes the largest picture of a Windows icon or cursor (ICO, CUR).

Pillow trusts the sizes in the directory, and the real ones may be thousands of times as large.
Source: Microsoft's documentation of icon resources (ICONDIR, ICONIMAGE).
"""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from batchcolor.images.codec_samples import FileHeader, Samples, split_alpha
from batchcolor.images.png.png_chunks import (
    SIGNATURE,
    keep_pixel_chunks,
    parse_png_header,
    repair_png,
)
from batchcolor.images.readers.bmp import (
    MAX_HEADER,
    BmpHeader,
    add_file_header,
    decode_bitmap,
    parse_bmp_header,
)
from batchcolor.images.readers.bmp_raster import unpack_indices, unpack_rows

DIRECTORY, ENTRY = struct.Struct("<HHH"), struct.Struct("<4BHHII")
KINDS = (1, 2)
"""Icon and cursor."""
HEIGHT = struct.Struct("<i")
HEIGHT_OFFSET = 8
"""Position of the height in the header of a bitmap, which here counts the mask too."""
MAX_ENTRIES = 1000


@dataclass(frozen=True)
class IconPicture:
    """One picture of the file. `bits` are those of a pixel."""

    content: bytes
    width: int
    height: int
    bits: int

    @property
    def is_png(self) -> bool:
        """Whether it is a PNG, and not a bitmap."""
        return self.content.startswith(SIGNATURE)


def read_header(path: Path) -> FileHeader:
    """Returns the size of the largest picture. Raises ValueError."""
    largest = _find_largest(path.read_bytes(), [])
    return FileHeader(largest.width, largest.height)


def decode(path: Path) -> Samples:
    """Returns 8-bit samples of the largest picture. Raises whatever the decoders raise."""
    notes: list[str] = []
    largest = _find_largest(path.read_bytes(), notes)
    if largest.is_png:
        content = keep_pixel_chunks(repair_png(largest.content, notes))
        with Image.open(io.BytesIO(content), formats=("PNG",)) as image:
            pixels, alpha = split_alpha(np.asarray(image.convert("RGBA")))
        return Samples(pixels, None if alpha is None or alpha.min() == 255 else alpha, notes=notes)
    data = add_file_header(largest.content)
    samples = decode_bitmap(data)
    samples.alpha = _read_alpha(data, parse_bmp_header(data[:MAX_HEADER]), notes)
    samples.notes += notes
    return samples


def _find_largest(data: bytes, notes: list[str]) -> IconPicture:
    """Returns the picture with the most pixels, and of these the most bits. Raises ValueError."""
    if len(data) < DIRECTORY.size or DIRECTORY.unpack_from(data)[1] not in KINDS:
        raise ValueError("damaged: its directory is not that of an icon")
    count = DIRECTORY.unpack_from(data)[2]
    pictures = list(_list_pictures(data, min(count, MAX_ENTRIES)))
    if not pictures:
        raise ValueError("truncated: it has no picture")
    if count > 1:
        notes.append(f"the largest of {count} pictures; the others are dropped")
    return max(pictures, key=lambda picture: (picture.width * picture.height, picture.bits))


def _list_pictures(data: bytes, count: int) -> Iterator[IconPicture]:
    """Yields the pictures whose header is valid."""
    for index in range(count):
        place = DIRECTORY.size + index * ENTRY.size
        if place + ENTRY.size > len(data):
            return
        *_, offset = ENTRY.unpack_from(data, place)
        content = data[offset:]  # the size in the directory is often wrong
        try:
            yield _parse_png(content) if content.startswith(SIGNATURE) else _parse_bitmap(content)
        except Exception:  # of any type; another picture may be intact
            continue


def _parse_png(content: bytes) -> IconPicture:
    header = parse_png_header(content)
    return IconPicture(content, header.width, header.height, 32)


def _parse_bitmap(content: bytes) -> IconPicture:
    """Returns a bitmap whose height no longer counts the mask."""
    (height,) = HEIGHT.unpack_from(content, HEIGHT_OFFSET)
    content = content[:HEIGHT_OFFSET] + HEIGHT.pack(height // 2) + content[HEIGHT_OFFSET + 4 :]
    header = parse_bmp_header(add_file_header(content)[:MAX_HEADER])
    return IconPicture(content, header.width, abs(header.height), header.bits)


def _read_alpha(data: bytes, header: BmpHeader, notes: list[str]) -> NDArray[Any] | None:
    """Returns the alpha of 32-bit samples, or else that of the mask after the samples.

    None for an opaque picture, and, with a note, where the mask is missing.
    """
    width, height = header.width, abs(header.height)
    if header.bits == 32:
        rows = unpack_rows(data, header.offset, width, height, 32)
        alpha = rows.reshape(height, width, 4)[..., 3]
        if alpha.any():
            return None if alpha.min() == 255 else np.ascontiguousarray(alpha[::-1])
    start = header.offset + (width * header.bits + 31) // 32 * 4 * height
    try:
        mask = unpack_indices(unpack_rows(data, start, width, height, 1), width, 1)
    except ValueError:
        notes.append("its transparency mask is missing: the picture is opaque")
        return None
    return np.ascontiguousarray((1 - mask[::-1]) * np.uint8(255)) if mask.any() else None
