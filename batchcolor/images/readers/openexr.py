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
MULTI_PART, DEEP = 0x1000, 0x0800
"""Flags of the version field."""
LINES_PER_CHUNK = (1, 1, 1, 16, 32, 16, 32, 32, 32, 256)
"""By compression: none, RLE, ZIPS, ZIP, PIZ, PXR24, B44, B44A, DWAA, DWAB."""
COLOUR_CHANNELS = ({b"R", b"G", b"B"}, {b"Y"})
"""The channels that FFmpeg takes for a picture."""
LISTED_CHANNELS = 4


@dataclass(frozen=True)
class ExrHeader:
    """`width` and `height` are those of the larger of both windows, `chunks` those in the file."""

    width: int
    height: int
    chunks: int
    is_tiled: bool
    size: int
    """Bytes before the table of chunks."""
    parts: int
    """Pictures in the file; the others properties are those of the first."""


def parse_exr_header(data: bytes) -> ExrHeader:
    """Returns the header at the beginning of a file. Raises ValueError, ProcessingError."""
    flags = int.from_bytes(data[4:8], "little")
    if flags & DEEP:
        reason = "is a deep OpenEXR, with any number of samples per pixel: no decoder here reads it"
        raise ProcessingError("decode", reason)
    attributes, position = _read_attributes(data, 8)
    parts = 1
    while flags & MULTI_PART and data[position : position + 1] not in (b"\0", b""):
        _, position = _read_attributes(data, position)
        parts += 1
    try:
        stored = _read_window(attributes[b"dataWindow"])
        shown = _read_window(attributes[b"displayWindow"])
        compression = attributes[b"compression"][0]
        if b"tiles" in attributes:
            columns, rows = struct.unpack_from("<II", attributes[b"tiles"])
            chunks = -(-stored[0] // columns) * -(-stored[1] // rows)
        else:
            chunks = -(-stored[1] // LINES_PER_CHUNK[compression])
        _check_channels(_list_channels(attributes[b"channels"]))
    except (KeyError, IndexError, struct.error, ZeroDivisionError) as error:
        raise ValueError("damaged: the OpenEXR header is incomplete") from error
    width, height = max(stored[0], shown[0]), max(stored[1], shown[1])
    if min(*stored, *shown) < 1:
        raise ValueError(f"damaged: {width} x {height} pixels in its header")
    start = position + (1 if flags & MULTI_PART else 0)
    return ExrHeader(width, height, chunks, b"tiles" in attributes, start, parts)


def _read_attributes(data: bytes, position: int) -> tuple[dict[bytes, bytes], int]:
    """Returns the attributes of a part, and the position behind them."""
    attributes: dict[bytes, bytes] = {}
    while data[position : position + 1] not in (b"\0", b""):
        name, _, rest = data[position : position + 512].partition(b"\0")
        kind = rest.partition(b"\0")[0]
        start = position + len(name) + len(kind) + 2
        size = int.from_bytes(data[start : start + 4], "little")
        attributes[name] = data[start + 4 : start + 4 + size]
        position = start + 4 + size
    return attributes, position + 1


def _list_channels(content: bytes) -> list[bytes]:
    """Returns the names of an attribute of the type chlist."""
    names, position = [], 0
    while content[position : position + 1] not in (b"\0", b""):
        end = content.index(b"\0", position)
        names.append(content[position:end])
        position = end + 17
    return names


def _check_channels(names: list[bytes]) -> None:
    """Raises ProcessingError where no channels are colours."""
    found = set(names)
    if found >= COLOUR_CHANNELS[0] or found >= COLOUR_CHANNELS[1]:
        return
    listed = ", ".join(name.decode("latin-1") for name in names[:LISTED_CHANNELS]) or "none"
    more = ", ..." if len(names) > LISTED_CHANNELS else ""
    reason = f"has the channels {listed}{more}; only R, G and B, or Y, are coloured"
    raise ProcessingError("decode", reason)


def _read_window(box: bytes) -> tuple[int, int]:
    left, top, right, bottom = struct.unpack("<4i", box)
    return right - left + 1, bottom - top + 1


def read_header(path: Path) -> FileHeader:
    """Returns the size. Raises ValueError; ProcessingError for what FFmpeg does not read."""
    with path.open("rb") as file:
        header = parse_exr_header(file.read(MAX_HEADER))
    return FileHeader(header.width, header.height, is_deep=True)


def decode(path: Path) -> Samples:
    """Returns the picture at 16 bits, of several parts the first one.

    Colours are divided by alpha, by which OpenEXR multiplies them. Raises what FFmpeg raises;
    ValueError for missing chunks.
    """
    data = path.read_bytes()
    header = parse_exr_header(data)
    _check_chunks(data, header)
    samples = decode_linear("exr", data, is_premultiplied=True)
    if header.parts > 1:
        samples.notes.append(f"the first of {header.parts} parts; the others are dropped")
    return samples


def _check_chunks(data: bytes, header: ExrHeader) -> None:
    """Raises ValueError where the first part lacks samples."""
    table = data[header.size : header.size + 8 * header.chunks]
    offsets = struct.unpack(f"<{len(table) // 8}Q", table[: len(table) // 8 * 8])
    # coordinates, and the size of the samples; before them the number of the part
    prefix = (20 if header.is_tiled else 8) + (4 if header.parts > 1 else 0)
    last = max(offsets, default=0)
    size = int.from_bytes(data[last + prefix - 4 : last + prefix], "little")
    if len(offsets) < header.chunks or not all(offsets) or last + prefix + size > len(data):
        raise ValueError("truncated: samples are missing")
