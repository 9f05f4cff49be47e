"""Writes TIFF files of any layout: those that other programs write, and that tifffile does not."""

from __future__ import annotations

import shutil
import struct
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
from numpy.typing import NDArray

SHORT, LONG, RATIONAL = 3, 4, 5
FORMATS = {SHORT: "H", LONG: "I", RATIONAL: "I"}
COMPRESSORS: Mapping[int, Callable[[bytes], bytes]] = {
    1: bytes,
    5: lambda data: bytes(imagecodecs.lzw_encode(data)),
    8: lambda data: bytes(imagecodecs.zlib_encode(data)),
    32773: lambda data: bytes(imagecodecs.packbits_encode(data)),
    50000: lambda data: bytes(imagecodecs.zstd_encode(data)),
}
"""Encoders by the number of the compression."""

MAGICK = shutil.which("convert")

Tag = tuple[int, Sequence[int]]
"""Type and values of a tag."""


def _build_tiff(path: Path, segments: Sequence[bytes], tags: Mapping[int, Tag], order: str) -> None:
    """Writes one page: strips, or tiles where the tags have a tile width."""
    offsets, counts = (324, 325) if 322 in tags else (273, 279)
    body = bytearray(b"II*\0" if order == "<" else b"MM\0*") + bytes(4)
    places = []
    for segment in segments:
        places.append(len(body))
        body += segment + bytes(len(segment) % 2)
    entries = {
        **tags,
        offsets: (LONG, places),
        counts: (LONG, [len(segment) for segment in segments]),
    }
    directory = struct.pack(order + "H", len(entries))
    for tag in sorted(entries):
        kind, values = entries[tag]
        packed = struct.pack(f"{order}{len(values)}{FORMATS[kind]}", *values)
        count = len(values) // (2 if kind == RATIONAL else 1)
        if len(packed) > 4:
            place = len(body)
            body += packed + bytes(len(packed) % 2)
            packed = struct.pack(order + "I", place)
        directory += struct.pack(order + "HHI", tag, kind, count) + packed.ljust(4, b"\0")
    body[4:8] = struct.pack(order + "I", len(body))
    path.write_bytes(bytes(body) + directory + bytes(4))


def _write_packed(
    path: Path,
    values: NDArray[Any],
    bits: int,
    *,
    compression: int = 1,
    photometric: int = 1,
    order: str = "<",
    is_tiled: bool = False,
    is_lsb_first: bool = False,
    tags: Mapping[int, Tag] | None = None,
) -> None:
    """Writes samples `(H, W)` or `(H, W, C)` of any number of bits, packed without gaps."""
    pixels = values if values.ndim == 3 else values[..., None]
    height, width, samples = pixels.shape
    rows, columns = (16, 16) if is_tiled else (7, width)
    segments = []
    for top in range(0, height, rows):
        for left in range(0, width, columns):
            part = pixels[top : top + rows, left : left + columns]
            if is_tiled:
                gaps = [(0, rows - part.shape[0]), (0, columns - part.shape[1]), (0, 0)]
                part = np.pad(part, gaps, mode="edge")
            data = COMPRESSORS[compression](_pack(part, bits, order))
            segments.append(bytes(imagecodecs.bitorder_encode(data)) if is_lsb_first else data)
    layout: dict[int, Tag] = {278: (LONG, [rows])}
    if is_tiled:
        layout = {322: (LONG, [columns]), 323: (LONG, [rows])}
    fill: dict[int, Tag] = {266: (SHORT, [2])} if is_lsb_first else {}
    required: dict[int, Tag] = {
        **{256: (LONG, [width]), 257: (LONG, [height]), 258: (SHORT, [bits] * samples)},
        **{259: (SHORT, [compression]), 262: (SHORT, [photometric]), 277: (SHORT, [samples])},
    }
    _build_tiff(path, segments, {**required, **layout, **fill, **(tags or {})}, order)


def _pack(part: NDArray[Any], bits: int, order: str) -> bytes:
    if bits in (8, 16, 32, 64):
        return np.ascontiguousarray(part, f"{order}u{bits // 8}").tobytes()
    if bits == 1:
        return np.packbits(part.astype(bool).reshape(len(part), -1), axis=1).tobytes()
    if bits == 24:
        wide = np.ascontiguousarray(part, f"{order}u4").view(np.uint8).reshape(-1, 4)
        return (wide[:, 1:] if order == ">" else wide[:, :3]).tobytes()
    itemsize = 1 if bits < 8 else 2 if bits < 16 else 4
    native = np.ascontiguousarray(part, f"u{itemsize}")
    runlen = part.shape[1] * part.shape[2]
    return bytes(imagecodecs.packints_encode(native, bits, runlen=runlen))


@pytest.fixture
def build_tiff() -> Callable[..., None]:
    """Returns a function that writes a TIFF of given segments and tags."""
    return _build_tiff


@pytest.fixture
def write_packed() -> Callable[..., None]:
    """Returns a function that writes samples of any number of bits, packed."""
    return _write_packed


@pytest.fixture
def read_with_magick() -> Callable[[Path], NDArray[np.float64]]:
    """Returns a function that reads a picture as grey in 0..1 with ImageMagick and libtiff."""
    if MAGICK is None:
        pytest.skip("needs ImageMagick")

    def read(path: Path) -> NDArray[np.float64]:
        size = ["-format", "%h %w", "info:"]
        height, width = map(int, _run_magick(path, size).split())
        grey = ["-alpha", "off", "-colorspace", "sRGB", "-depth", "16", "rgb:-"]
        rgb = np.frombuffer(_run_magick(path, grey), "<u2").reshape(height, width, 3)
        luma: NDArray[np.float64] = rgb @ np.array([0.299, 0.587, 0.114]) / 65535
        return luma

    return read


def _run_magick(path: Path, arguments: Sequence[str]) -> bytes:
    command = [str(MAGICK), f"{path}[0]", "-auto-orient", *arguments]
    return subprocess.run(command, capture_output=True, check=True, timeout=300).stdout
