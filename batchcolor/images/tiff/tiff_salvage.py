"""Recovers what a damaged TIFF page still gives: its intact strips and tiles."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import tifffile

DEFLATE_COMPRESSIONS = frozenset({8, 32946})


def salvage_samples(page: tifffile.TiffPage) -> NDArray[Any] | None:
    """Returns the samples `(H, W, samples)` as stored, with zeros for what cannot be decoded.

    Returns None where nothing can be decoded.
    """
    if page.dtype is None or 0 in page.shaped:
        return None
    planes, _, height, width, samples = page.shaped
    result: NDArray[Any] = np.zeros((planes, height, width, samples), page.dtype)
    decoded = 0
    for number, (offset, size) in enumerate(
        zip(page.dataoffsets, page.databytecounts, strict=False)
    ):
        segment, place = _decode_segment(page, number, offset, size)
        if segment is None:
            continue
        plane, _, top, left, _ = place
        part = result[plane, top : top + segment.shape[-3], left : left + segment.shape[-2]]
        part[...] = segment[0, : part.shape[0], : part.shape[1]]
        decoded += 1
    if not decoded:
        return None
    return np.moveaxis(result[..., 0], 0, -1) if planes > 1 else result[0]


def _decode_segment(
    page: tifffile.TiffPage, number: int, offset: int, size: int
) -> tuple[NDArray[Any] | None, Any]:
    """Returns a strip or tile and its place, or None for one that cannot be decoded."""
    file = page.parent.filehandle
    if not offset or not size or offset >= file.size:
        return None, None
    file.seek(offset)
    data = file.read(min(size, file.size - offset))
    tables: Any = page.jpegtables
    for attempt in (data, _complete(page, data)):
        try:
            segment, place, _ = page.decode(attempt, number, jpegtables=tables)
        except Exception:  # decoders raise any type of error
            continue
        if segment is not None:
            return segment, place
    return None, None


def _complete(page: tifffile.TiffPage, data: bytes) -> bytes:
    """Returns the data of a truncated or damaged strip or tile with zeros for what is missing."""
    size = int(np.prod(page.chunks)) * (page.dtype.itemsize if page.dtype is not None else 1)
    if page.compression == 1:
        return data.ljust(size, b"\0")
    if page.compression not in DEFLATE_COMPRESSIONS:
        return data
    inflater, samples = zlib.decompressobj(), b""
    try:
        for start in range(0, len(data), 1024):
            samples += inflater.decompress(data[start : start + 1024])
    except zlib.error:
        pass
    return zlib.compress(samples.ljust(size, b"\0")) if samples else data
