"""Parses the sections of a Photoshop file (Adobe Photoshop File Formats Specification, 2019)."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from typing import BinaryIO

HEADER = struct.Struct(">4sH6xHIIHH")
SIGNATURE = b"8BPS"
BITMAP, GREY, INDEXED, RGB, CMYK, MULTICHANNEL, DUOTONE, LAB = 0, 1, 2, 3, 4, 7, 8, 9
MODES = {
    BITMAP: ("bitmap", 1),
    GREY: ("grey", 1),
    INDEXED: ("indexed", 1),
    RGB: ("RGB", 3),
    CMYK: ("CMYK", 4),
    MULTICHANNEL: ("multichannel", 1),
    DUOTONE: ("duotone", 1),
    LAB: ("Lab", 3),
}
"""Name and number of colour channels of each colour mode."""
DEEP_LAYER_KEYS = (b"Lr16", b"Lr32", b"Layr")
LONG_KEYS = frozenset(
    {
        *(b"LMsk", b"Lr16", b"Lr32", b"Layr", b"Mt16", b"Mt32", b"Mtrn", b"Alph", b"FMsk"),
        *(b"lnk2", b"FEid", b"FXid", b"PxSD"),
    }
)
"""Blocks of layer information with a length of eight bytes in a large document (PSB)."""
MAX_RESOURCES = 64 << 20
"""Bytes of image resources that are read."""


@dataclass
class PsdFile:
    """The header of a Photoshop file, its resources, and where its flattened picture begins."""

    width: int
    height: int
    channels: int
    depth: int
    mode: int
    is_large: bool
    """Whether it is a large document (PSB), whose lengths have eight bytes."""
    palette: bytes = b""
    resources: dict[int, bytes] = field(default_factory=dict)
    has_transparency: bool = False
    """Whether the first channel after the colours is the transparency of the flattened picture."""
    data_offset: int = 0

    @property
    def colour_channels(self) -> int:
        """Channels before alpha and spot channels."""
        return MODES[self.mode][1]


def read_psd_header(file: BinaryIO) -> PsdFile:
    """Returns the properties in the header of an open file. Raises ValueError."""
    head = file.read(HEADER.size)
    if len(head) < HEADER.size:
        raise ValueError("truncated: the Photoshop header is incomplete")
    signature, version, channels, height, width, depth, mode = HEADER.unpack(head)
    if signature != SIGNATURE or version not in (1, 2) or mode not in MODES:
        raise ValueError(f"damaged: Photoshop version {version}, colour mode {mode}")
    if depth not in (1, 8, 16, 32) or (depth == 1) != (mode == BITMAP):
        raise ValueError(f"damaged: {depth} bits in the colour mode {MODES[mode][0]}")
    if not (width and height) or channels < MODES[mode][1]:
        raise ValueError(f"damaged: {width} x {height} pixels, {channels} channels")
    return PsdFile(width, height, channels, depth, mode, is_large=version == 2)


def read_psd_sections(file: BinaryIO) -> PsdFile:
    """Returns the header with everything before the flattened picture. Raises ValueError."""
    psd = read_psd_header(file)
    psd.palette = file.read(_read_length(file, 4))[:768]
    size = _read_length(file, 4)
    end = file.tell() + size
    psd.resources = _parse_resources(file.read(min(size, MAX_RESOURCES)))
    file.seek(end)
    size = _read_length(file, 8 if psd.is_large else 4)
    end = file.tell() + size
    psd.has_transparency = _read_layer_count(file, psd, end) < 0
    file.seek(end)
    psd.data_offset = end
    return psd


def _read_length(file: BinaryIO, count: int) -> int:
    data = file.read(count)
    if len(data) < count:
        raise ValueError("truncated: a section of the Photoshop file is missing")
    return int.from_bytes(data, "big")


def _parse_resources(data: bytes) -> dict[int, bytes]:
    """Returns the image resources by their number; a damaged one ends them."""
    resources: dict[int, bytes] = {}
    position = 0
    while data[position : position + 4] in (b"8BIM", b"MeSa", b"AgHg", b"PHUT", b"DCSR"):
        number = int.from_bytes(data[position + 4 : position + 6], "big")
        start = position + 6 + (1 + data[position + 6] + 1) // 2 * 2
        size = int.from_bytes(data[start : start + 4], "big")
        if start + 4 + size > len(data):
            break
        resources.setdefault(number, data[start + 4 : start + 4 + size])
        position = start + 4 + size + size % 2
    return resources


def _read_layer_count(file: BinaryIO, psd: PsdFile, end: int) -> int:
    """Returns the number of layers, negative where the flattened picture is transparent.

    With 16 and 32 bits the layers are in a block of their own after the empty layer section.
    """
    width = 8 if psd.is_large else 4
    if end - file.tell() < width + 2:
        return 0
    size = _read_length(file, width)
    if size:
        return _read_count(file)
    if end - file.tell() < 4:
        return 0
    file.seek(_read_length(file, 4), 1)  # global layer mask
    while file.tell() + 12 <= end:
        head = file.read(8)
        if head[:4] not in (b"8BIM", b"8B64"):
            return 0
        is_long = psd.is_large and head[4:] in LONG_KEYS
        size = _read_length(file, 8 if is_long else 4)
        if head[4:] in DEEP_LAYER_KEYS:
            return _read_count(file)
        file.seek((size + 3) // 4 * 4, 1)
    return 0


def _read_count(file: BinaryIO) -> int:
    return int.from_bytes(file.read(2), "big", signed=True)
