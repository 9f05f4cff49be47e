"""Decodes FITS with astropy, after the headers have been checked (FITS Standard 4.0).

astropy loops over the number of axes that a header states, so a damaged one would never end.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from batchcolor.errors import ProcessingError
from batchcolor.images.codec_samples import FileHeader, Samples
from batchcolor.images.picture import Plane
from batchcolor.images.pixel_modes import stretch_to_16_bits

BLOCK, CARD = 2880, 80
MAX_BLOCKS = 2000
"""Blocks of one header; 36 cards each."""
MAX_AXES = 999
COLOUR_PLANES = 3


@dataclass(frozen=True)
class ImageUnit:
    """A header and data unit that holds a picture. `axes` are NAXIS1, NAXIS2 and so on."""

    index: int
    axes: tuple[int, ...]
    is_deep: bool
    end: int
    """The offset in the file where its data ends."""

    @property
    def planes(self) -> int:
        """Pictures in the unit: the product of the axes after the first two."""
        return prod(self.axes[2:])


def read_header(path: Path) -> FileHeader:
    """Returns the size of the first picture. Raises ValueError; ProcessingError without one."""
    unit, _ = _find_images(path)
    pages = 1 if unit.planes == COLOUR_PLANES else unit.planes
    return FileHeader(unit.axes[0], unit.axes[1], pages, unit.is_deep)


def decode(path: Path) -> Samples:
    """Returns the first picture, upright: bytes as they are, others stretched to 16 bits.

    Three planes are red, green and blue. Samples without a value are black, with a note. Raises
    ValueError for damaged data.
    """
    from astropy.io import fits

    unit, count = _find_images(path)
    if unit.end > path.stat().st_size:
        raise ValueError("truncated: samples are missing")
    with fits.open(path, memmap=False, ignore_missing_end=True) as file:
        stored: Any = file[unit.index].data
        values: NDArray[Any] = np.array(stored).reshape(-1, unit.axes[1], unit.axes[0])
    notes = [f"the first of {count} images of the file"] if count > 1 else []
    is_rgb = len(values) == COLOUR_PLANES
    planes = values[:COLOUR_PLANES] if is_rgb else values[:1]
    upright = planes[:, ::-1]  # the first row is the lowest (section 5.1)
    pixels = np.moveaxis(upright, 0, -1) if is_rgb else upright[0]
    return Samples(_to_plane(np.ascontiguousarray(pixels), notes), notes=notes)


def _to_plane(values: NDArray[Any], notes: list[str]) -> Plane:
    if values.dtype == np.uint8:
        return values
    wide = values.astype(np.float64)
    is_known = np.isfinite(wide)
    if not is_known.any():
        raise ProcessingError("decode", "has no samples with a value")
    if not is_known.all():
        notes.append(f"{np.count_nonzero(~is_known):,} samples without a value are black")
        wide = np.where(is_known, wide, wide[is_known].min())
    return stretch_to_16_bits(wide, notes)


def _find_images(path: Path) -> tuple[ImageUnit, int]:
    """Returns the first unit with a picture, and how many units have one."""
    with path.open("rb") as file:
        units = list(_iterate_units(file))
    if not units:
        raise ProcessingError("decode", "holds no picture: tables or headers only")
    return units[0], len(units)


def _iterate_units(file: BinaryIO) -> Iterator[ImageUnit]:
    """Yields the units that hold a picture, with headers checked. Raises ValueError."""
    file_size = file.seek(0, 2)
    position = index = 0
    while position < file_size:
        file.seek(position)
        cards = _read_cards(file)
        if cards is None:
            if index:  # bytes after the last unit are no damage to the units before them
                return
            raise ValueError("damaged: its FITS header does not end")
        start = file.tell()
        axes, bits = _read_axes(cards, "")
        groups, parameters = _integer(cards, "GCOUNT", 1), _integer(cards, "PCOUNT", 0)
        if groups < 0 or parameters < 0:  # else the next header would be this one again
            raise ValueError(f"damaged: GCOUNT = {groups}, PCOUNT = {parameters} in its header")
        data = abs(bits) // 8 * groups * (parameters + (prod(axes) if axes else 0))
        position = start + -(-data // BLOCK) * BLOCK
        is_table = cards.get("XTENSION", "").strip("' ") == "BINTABLE"
        if cards.get("ZIMAGE") == "T":  # a compressed picture in a table (section 10)
            axes, bits = _read_axes(cards, "Z")
            is_table = False
        is_image = cards.get("XTENSION", "'IMAGE").startswith("'IMAGE") or cards.get("ZIMAGE")
        if is_image and not is_table and len(axes) >= 2 and prod(axes):
            yield ImageUnit(index, axes, bits != 8, start + data)
        index += 1


def _read_cards(file: BinaryIO) -> dict[str, str] | None:
    """Returns the values of a header by keyword, with the file behind it; None without an end."""
    cards: dict[str, str] = {}
    for _ in range(MAX_BLOCKS):
        block = file.read(BLOCK)
        if len(block) < BLOCK:
            return None
        for start in range(0, BLOCK, CARD):
            card = block[start : start + CARD].decode("latin-1")
            keyword = card[:8].rstrip()
            if keyword == "END":
                return cards
            if card[8:10] == "= ":
                cards.setdefault(keyword, card[10:].partition("/")[0].strip())
    return None


def _read_axes(cards: dict[str, str], prefix: str) -> tuple[tuple[int, ...], int]:
    """Returns the axes and the bits per sample. Raises ValueError."""
    count = _integer(cards, f"{prefix}NAXIS", 0)
    if not 0 <= count <= MAX_AXES:
        raise ValueError(f"damaged: {prefix}NAXIS = {count} in its header")
    axes = tuple(_integer(cards, f"{prefix}NAXIS{i + 1}", 0) for i in range(count))
    if any(axis < 0 for axis in axes):
        raise ValueError("damaged: a side of its picture has a negative length")
    return axes, _integer(cards, f"{prefix}BITPIX", 8)


def _integer(cards: dict[str, str], keyword: str, default: int) -> int:
    value = cards.get(keyword, "")
    try:
        return int(value) if value else default
    except ValueError as error:
        raise ValueError(f"damaged: {keyword} = {value} in its header") from error
