"""Reads Deflate strips that go on below the picture, which some programs write as the last one."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from batchcolor.images.tiff.tiff_codes import count_rows, measure_row

if TYPE_CHECKING:
    import tifffile

DEFLATE_COMPRESSIONS = frozenset({8, 32946})


def read_longer_strips(page: tifffile.TiffPage, segments: list[bytes]) -> NDArray[Any] | None:
    """Returns the samples as tifffile does: planes, depth, rows, columns, samples.

    Returns None unless every strip decodes, with its checksum, to the rows of the picture or more,
    up to a whole strip.
    """
    row_size = measure_row(page)
    is_plain = page.compression in DEFLATE_COMPRESSIONS and not page.is_tiled
    if not is_plain or row_size is None or page.dtype is None:
        return None
    result: NDArray[Any] = np.zeros(page.shaped, page.dtype)
    for number, data in enumerate(segments):
        rows, _ = count_rows(page, number)
        trimmed = _trim(data, rows * row_size, page.rowsperstrip * row_size)
        if trimmed is None:
            return None
        decoded: Any = page.decode(zlib.compress(trimmed, 1), number)
        segment, (plane, depth, top, left, _), _ = decoded
        part = result[plane, depth, top : top + rows, left:]
        part[...] = segment[0, : part.shape[0], : part.shape[1]]
    return result


def _trim(data: bytes, size: int, largest: int) -> bytes | None:
    """Returns the first `size` bytes of the decoded data; None where it is damaged or too long."""
    inflater = zlib.decompressobj()
    try:
        decoded = inflater.decompress(data, largest + 1)
    except zlib.error:
        return None
    if not inflater.eof or not size <= len(decoded) <= largest:
        return None
    return decoded[:size]
