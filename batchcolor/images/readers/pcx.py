"""Decodes PCX of 1 to 8 bits and 1 to 4 planes, with run lengths and without.

Pillow and FFmpeg each lack some of them. Source: ZSoft PCX File Format Technical Reference Manual.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from batchcolor.errors import ProcessingError
from batchcolor.images.codec_samples import FileHeader, Samples, split_alpha
from batchcolor.images.readers.bmp_raster import apply_palette, unpack_indices

HEADER = struct.Struct("<BBBBHHHHHH48sBBHH")
HEADER_SIZE = 128
READ_KINDS = frozenset({(1, 1), (1, 2), (1, 3), (1, 4), (2, 1), (4, 1), (8, 1), (8, 3), (8, 4)})
"""Bits per sample and planes."""
WITHOUT_PALETTE = 3
"""Version whose colours are those of the adapter."""
EGA = bytes.fromhex(
    "000000 0000aa 00aa00 00aaaa aa0000 aa00aa aa5500 aaaaaa"
    "555555 5555ff 55ff55 55ffff ff5555 ff55ff ffff55 ffffff"
)
PALETTE_SIZE, PALETTE_MARK = 768, 12
"""Bytes of the palette at the end of the file, and the byte before it."""
PACKET = re.compile(rb"[\xc0-\xff].|[^\xc0-\xff]+", re.DOTALL)
"""A run, or bytes that stand for themselves."""


@dataclass(frozen=True)
class PcxHeader:
    """`row_size` is that of one plane."""

    version: int
    has_run_lengths: bool
    bits: int
    planes: int
    width: int
    height: int
    row_size: int
    palette: bytes
    dpi: tuple[float, float] | None


def parse_pcx_header(head: bytes) -> PcxHeader:
    """Returns the header. Raises ValueError; ProcessingError for a kind that is not read."""
    if len(head) < HEADER_SIZE:
        raise ValueError("truncated: the PCX header is incomplete")
    fields = HEADER.unpack_from(head)
    _, version, encoding, bits, left, top, right, bottom, across, down = fields[:10]
    palette, _, planes, row_size, _ = fields[10:]
    width, height = right - left + 1, bottom - top + 1
    if width < 1 or height < 1 or encoding > 1:
        raise ValueError(f"damaged: {width} x {height} pixels in its header")
    if (bits, planes) not in READ_KINDS:
        reason = f"PCX with {planes} planes of {bits} bits: no decoder here reads it"
        raise ProcessingError("decode", reason)
    row_size = max(row_size, (width * bits + 7) // 8)
    dpi = (float(across), float(down)) if across and down else None
    return PcxHeader(
        *(version, bool(encoding), bits, planes, width, height, row_size, palette, dpi)
    )


def read_header(path: Path) -> FileHeader:
    """Returns the size. Raises ValueError; ProcessingError for a kind that is not read."""
    with path.open("rb") as file:
        header = parse_pcx_header(file.read(HEADER_SIZE))
    return FileHeader(header.width, header.height)


def decode(path: Path) -> Samples:
    """Returns samples of 8 bits. Raises ValueError where samples are missing."""
    data = path.read_bytes()
    header = parse_pcx_header(data)
    size = header.row_size * header.planes * header.height
    raster = data[HEADER_SIZE:]
    if header.has_run_lengths:
        raster = _decode_run_lengths(raster, size)
    if len(raster) < size:
        raise ValueError("truncated: samples are missing")
    rows = np.frombuffer(raster[:size], np.uint8)
    rows = rows.reshape(header.height, header.planes, header.row_size)
    return _convert(rows, header, data)


def _convert(rows: NDArray[np.uint8], header: PcxHeader, data: bytes) -> Samples:
    if header.bits == 8 and header.planes > 1:
        pixels: Any = np.moveaxis(rows, 1, 2)[:, : header.width]
        return Samples(*split_alpha(pixels), dpi=header.dpi)
    shape = (-1, header.row_size)
    unpacked = unpack_indices(rows.reshape(shape), header.row_size * 8, header.bits)
    planes = unpacked.reshape(header.height, header.planes, -1)[..., : header.width]
    weights = (1 << np.arange(header.planes, dtype=np.uint8)).astype(np.uint8)
    indices = (planes * weights[:, np.newaxis]).sum(1, dtype=np.uint8)
    notes: list[str] = []
    pixels = apply_palette(indices, _read_palette(header, data), 3, notes)
    return Samples(pixels, dpi=header.dpi, notes=notes)


def _read_palette(header: PcxHeader, data: bytes) -> bytes:
    """Returns blue, green and red of each colour."""
    if (header.bits, header.planes) == (1, 1):
        colours = b"\0\0\0\xff\xff\xff"
    elif header.bits < 8:
        colours = EGA if header.version == WITHOUT_PALETTE else header.palette
    elif data[-PALETTE_SIZE - 1 :][:1] == bytes((PALETTE_MARK,)):
        colours = data[-PALETTE_SIZE:]
    else:
        colours = bytes(np.arange(256, dtype=np.uint8).repeat(3))
    return np.frombuffer(colours, np.uint8).reshape(-1, 3)[:, ::-1].tobytes()


def _decode_run_lengths(data: bytes, size: int) -> bytes:
    """Returns the bytes of packets, at most a little more than `size`."""
    raster = bytearray()
    for found in PACKET.finditer(data):
        packet = found[0]
        if packet[0] >= 0xC0:
            raster += packet[1:] * (packet[0] & 0x3F)
        else:
            raster += packet
        if len(raster) >= size:
            break
    return bytes(raster)
