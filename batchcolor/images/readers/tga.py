"""Decodes Truevision TGA: palettes, RGB of 15 to 32 bits, grey and grey with alpha, run lengths.

Pillow refuses palettes of 16 bits and run lengths that cross rows. Source: Truevision TGA File
Format Specification, version 2.0.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from batchcolor.errors import ProcessingError
from batchcolor.images.codec_samples import FileHeader, Samples, scale_to_full_range
from batchcolor.images.readers.bmp_raster import COLOURS_LEFT_OUT, RUNS_CUT

HEADER = struct.Struct("<BBBHHBHHHHBB")
INDEXED, RGB, GREY = 1, 2, 3
RUN_LENGTHS = 8
"""Flag of the image types whose samples have run lengths."""
DEPTHS = {INDEXED: (8, 16), RGB: (15, 16, 24, 32), GREY: (8, 16)}
"""Bits per pixel by image type."""
PALETTE_DEPTHS = (15, 16, 24, 32)
HUFFMAN = (32, 33)
RIGHT_TO_LEFT, TOP_TO_BOTTOM = 0x10, 0x20
"""Flags of the image descriptor."""


@dataclass(frozen=True)
class TgaHeader:
    """`kind` is the image type without `RUN_LENGTHS`."""

    kind: int
    has_run_lengths: bool
    width: int
    height: int
    bits: int
    descriptor: int
    palette_first: int
    palette_count: int
    palette_bits: int
    palette_start: int

    @property
    def pixel_size(self) -> int:
        """Bytes of a pixel."""
        return (self.bits + 7) // 8

    @property
    def start(self) -> int:
        """Position of the samples."""
        return self.palette_start + self.palette_count * ((self.palette_bits + 7) // 8)


def parse_tga_header(head: bytes) -> TgaHeader:
    """Returns the header. Raises ValueError; ProcessingError for a kind that is not read."""
    if len(head) < HEADER.size:
        raise ValueError("truncated: the TGA header is incomplete")
    fields = HEADER.unpack_from(head)
    text, has_palette, stored_kind, first, count, palette_bits, _, _, width, height = fields[:10]
    bits, descriptor = fields[10:]
    if stored_kind in HUFFMAN:
        raise ProcessingError("decode", "TGA with Huffman coding: no decoder here reads it")
    kind = stored_kind & ~RUN_LENGTHS
    if has_palette > 1 or bits not in DEPTHS.get(kind, ()) or not width or not height:
        raise ValueError(f"damaged: {width} x {height} pixels of {bits} bits in its header")
    if not has_palette:
        first = count = palette_bits = 0
    if (has_palette or kind == INDEXED) and palette_bits not in PALETTE_DEPTHS:
        raise ValueError(f"damaged: a palette of {palette_bits} bits in its header")
    has_runs = bool(stored_kind & RUN_LENGTHS)
    start = HEADER.size + text
    return TgaHeader(
        *(kind, has_runs, width, height, bits, descriptor, first, count, palette_bits, start)
    )


def read_header(path: Path) -> FileHeader:
    """Returns the size. Raises ValueError; ProcessingError for a kind that is not read."""
    with path.open("rb") as file:
        header = parse_tga_header(file.read(HEADER.size))
    return FileHeader(header.width, header.height)


def decode(path: Path) -> Samples:
    """Returns samples of 8 bits. Raises ValueError where samples are missing."""
    data = path.read_bytes()
    header = parse_tga_header(data)
    notes: list[str] = []
    size = header.width * header.height * header.pixel_size
    if header.has_run_lengths:
        raster = _decode_run_lengths(data, header, size, notes)
    else:
        raster = data[header.start : header.start + size]
    if len(raster) < size:
        raise ValueError("truncated: samples are missing")
    stored = np.frombuffer(raster, np.uint8).reshape(header.height, header.width, -1)
    pixels, alpha = _split(stored, header, data, notes)
    if alpha is not None and (not alpha.any() or alpha.min() == 255):
        alpha = None  # zero everywhere: the writer did not set it
    turned = None if alpha is None else _turn(alpha, header)
    return Samples(_turn(pixels, header), turned, notes=notes)


def _decode_run_lengths(data: bytes, header: TgaHeader, size: int, notes: list[str]) -> bytes:
    """Returns the samples of packets, as far as the file has them."""
    pixel, position, raster = header.pixel_size, header.start, bytearray()
    while len(raster) < size and position < len(data):
        count = (data[position] & 0x7F) + 1
        if data[position] & 0x80:
            raster += data[position + 1 : position + 1 + pixel] * count
            position += 1 + pixel
        else:
            raster += data[position + 1 : position + 1 + pixel * count]
            position += 1 + pixel * count
    if len(raster) > size:
        notes.append(RUNS_CUT)
    return bytes(raster[:size])


def _split(
    stored: NDArray[np.uint8], header: TgaHeader, data: bytes, notes: list[str]
) -> tuple[NDArray[Any], NDArray[Any] | None]:
    """Returns grey or RGB, and alpha or None, of the bytes of pixels `(H, W, bytes)`."""
    if header.kind == RGB:
        return _split_colour(stored, header.bits)
    if header.kind == GREY:
        return stored[..., 0], stored[..., 1] if header.bits == 16 else None
    indices = stored[..., 0].astype(np.int32)
    if header.bits == 16:
        indices |= stored[..., 1].astype(np.int32) << 8
    entries = data[header.palette_start : header.start]
    if len(entries) < header.start - header.palette_start:
        raise ValueError("truncated: its palette is incomplete")
    size = (header.palette_bits + 7) // 8
    table = np.zeros((65536, size), np.uint8)
    stored_palette = np.frombuffer(entries, np.uint8).reshape(-1, size)
    last = min(header.palette_first + header.palette_count, len(table))
    table[header.palette_first : last] = stored_palette[: max(0, last - header.palette_first)]
    if int(indices.max()) >= last:
        notes.append(COLOURS_LEFT_OUT)
    return _split_colour(table[indices], header.palette_bits)


def _split_colour(
    stored: NDArray[np.uint8], bits: int
) -> tuple[NDArray[np.uint8], NDArray[np.uint8] | None]:
    """Returns RGB, and the alpha of 32 bits; the attribute bit of 16 bits has no common meaning."""
    if bits > 16:
        return stored[..., 2::-1], stored[..., 3] if bits == 32 else None
    values = stored[..., 0].astype(np.uint16) | stored[..., 1].astype(np.uint16) << np.uint16(8)
    channels = [(values >> np.uint16(shift)) & np.uint16(31) for shift in (10, 5, 0)]
    return np.asarray(scale_to_full_range(np.stack(channels, -1), 31), np.uint8), None


def _turn(plane: NDArray[Any], header: TgaHeader) -> Any:
    """Returns rows from the highest and from the left."""
    plane = plane if header.descriptor & TOP_TO_BOTTOM else plane[::-1]
    return np.ascontiguousarray(plane[:, ::-1] if header.descriptor & RIGHT_TO_LEFT else plane)
