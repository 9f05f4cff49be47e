"""Decodes OpenEXR with FFmpeg, which does not report missing chunks; so they are looked for first.

Source: OpenEXR file layout (openexr.com), version 2.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path

from batchcolor.errors import ProcessingError
from batchcolor.images.codec_samples import FileHeader, Samples
from batchcolor.images.readers.ffmpeg_still import decode_linear

MAX_HEADER = 1 << 20
MULTI_PART = 0x1000
"""Flag of the version field."""
LINES_PER_CHUNK = (1, 1, 1, 16, 32, 16, 32, 32, 32, 256)
"""By compression: none, RLE, ZIPS, ZIP, PIZ, PXR24, B44, B44A, DWAA, DWAB."""


@dataclass(frozen=True)
class ExrHeader:
    """`width` and `height` are those of the larger of both windows, `chunks` those in the file."""

    width: int
    height: int
    chunks: int
    is_tiled: bool
    size: int
    """Bytes of the header."""


def parse_exr_header(data: bytes) -> ExrHeader:
    """Returns the header at the beginning of a file. Raises ValueError, ProcessingError."""
    if int.from_bytes(data[4:8], "little") & MULTI_PART:
        raise ProcessingError("decode", "is an OpenEXR of several parts: no decoder here reads it")
    attributes: dict[bytes, bytes] = {}
    position = 8
    while data[position : position + 1] not in (b"\0", b""):
        name, _, rest = data[position : position + 512].partition(b"\0")
        kind = rest.partition(b"\0")[0]
        start = position + len(name) + len(kind) + 2
        size = int.from_bytes(data[start : start + 4], "little")
        attributes[name] = data[start + 4 : start + 4 + size]
        position = start + 4 + size
    try:
        stored = _read_window(attributes[b"dataWindow"])
        shown = _read_window(attributes[b"displayWindow"])
        compression = attributes[b"compression"][0]
        if b"tiles" in attributes:
            columns, rows = struct.unpack_from("<II", attributes[b"tiles"])
            chunks = -(-stored[0] // columns) * -(-stored[1] // rows)
        else:
            chunks = -(-stored[1] // LINES_PER_CHUNK[compression])
    except (KeyError, IndexError, struct.error, ZeroDivisionError) as error:
        raise ValueError("damaged: the OpenEXR header is incomplete") from error
    width, height = max(stored[0], shown[0]), max(stored[1], shown[1])
    if min(*stored, *shown) < 1:
        raise ValueError(f"damaged: {width} x {height} pixels in its header")
    return ExrHeader(width, height, chunks, b"tiles" in attributes, position + 1)


def _read_window(box: bytes) -> tuple[int, int]:
    left, top, right, bottom = struct.unpack("<4i", box)
    return right - left + 1, bottom - top + 1


def read_header(path: Path) -> FileHeader:
    """Returns the size. Raises ValueError; ProcessingError for a file of several parts."""
    with path.open("rb") as file:
        header = parse_exr_header(file.read(MAX_HEADER))
    return FileHeader(header.width, header.height, is_deep=True)


def decode(path: Path) -> Samples:
    """Returns the picture at 16 bits. Raises what FFmpeg raises; ValueError for missing chunks."""
    data = path.read_bytes()
    _check_chunks(data, parse_exr_header(data))
    return decode_linear("exr", data)


def _check_chunks(data: bytes, header: ExrHeader) -> None:
    table = data[header.size : header.size + 8 * header.chunks]
    offsets = struct.unpack(f"<{len(table) // 8}Q", table[: len(table) // 8 * 8])
    prefix = 20 if header.is_tiled else 8  # coordinates, and the size of the samples
    last = max(offsets, default=0)
    size = int.from_bytes(data[last + prefix - 4 : last + prefix], "little")
    if len(offsets) < header.chunks or not all(offsets) or last + prefix + size > len(data):
        raise ValueError("truncated: samples are missing")
