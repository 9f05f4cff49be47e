"""Parses the boxes and the codestream header of JPEG 2000 (ISO/IEC 15444-1, annexes A and I)."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from typing import BinaryIO

from batchcolor.images.iso_boxes import iterate_boxes

SIGNATURE = b"\0\0\0\x0cjP  \r\n\x87\n"
CODESTREAM = b"\xff\x4f\xff\x51"
SIZE_MARKER = struct.Struct(">HHIIIIIIIIH")
"""Length and capabilities, size and offset of the grid, size and offset of tiles, components."""
ENUMERATED = b"\1"
CMYK, CIE_LAB, SRGB, GREY, SYCC, EXTENDED_YCC = 12, 14, 16, 17, 18, 24
"""Enumerated colour spaces (15444-2, table M.25)."""
ICC_HEADER_SIZE = 3 + 128
COLOUR_CHANNEL, OPACITY_CHANNELS = 0, (1, 2)
PREMULTIPLIED = 2
METERS_PER_INCH = 0.0254
MAX_BOX = 64 << 20
"""Bytes of a box that are read."""
MAX_COMPONENTS_SIZE = 3 * 16384
"""Bytes that describe the largest number of components."""


@dataclass
class Jpeg2000File:
    """Properties of a codestream, and the boxes around it."""

    width: int = 0
    height: int = 0
    stated_size: tuple[int, int] | None = None
    """Width and height in the header box."""
    bits: tuple[int, ...] = ()
    """Bits of each component."""
    is_chroma_subsampled: bool = False
    """Whether the second component has fewer samples than the first."""
    colour_space: int = SRGB
    icc: bytes = b""
    has_palette: bool = False
    uuids: dict[bytes, bytes] = field(default_factory=dict)
    xml_boxes: int = 0
    """Boxes with XML, directly in the file or in an association (15444-2, annex M)."""
    start: int = 0
    """Of the codestream in the file."""
    lab: bytes = b""
    """Ranges and offsets of CIELab, where they are not the default."""
    alpha: int | None = None
    """The component that is opacity, where it is stated."""
    is_premultiplied: bool = False
    """Whether colours are multiplied by it."""
    order: dict[int, int] = field(default_factory=dict)
    """Components of the first, second and following colours, from 0, where they are stated."""
    dpi: tuple[float, float] | None = None


def parse_jpeg2000(file: BinaryIO) -> Jpeg2000File:
    """Returns the properties of an open file. Raises ValueError."""
    parsed = Jpeg2000File()
    head = file.read(len(SIGNATURE))
    if head[:4] == CODESTREAM:
        _parse_size_marker(head[4:] + file.read(MAX_COMPONENTS_SIZE), parsed)
    elif head == SIGNATURE:
        end = file.seek(0, 2)
        for kind, start, size in iterate_boxes(file, len(SIGNATURE), end):
            _parse_box(file, kind, start, size, parsed)
    if not parsed.bits or not (parsed.width and parsed.height):
        raise ValueError("truncated: it has no JPEG 2000 codestream")
    return parsed


def _parse_box(file: BinaryIO, kind: bytes, start: int, size: int, parsed: Jpeg2000File) -> None:
    if kind == b"jp2h":
        for inner, begin, length in iterate_boxes(file, start, start + size):
            _parse_box(file, inner, begin, length, parsed)
        return
    file.seek(start)
    if kind == b"ihdr":
        height, width = struct.unpack(">II", file.read(8).ljust(8, b"\0"))
        parsed.stated_size = width, height
    elif kind == b"colr" and not parsed.icc:
        content = file.read(min(size, MAX_BOX))
        if content[:1] == ENUMERATED:
            parsed.colour_space = int.from_bytes(content[3:7], "big")
            parsed.lab = content[7:]
        elif len(content) > ICC_HEADER_SIZE:
            parsed.icc = content[3:]
    elif kind == b"pclr":
        parsed.has_palette = True
    elif kind == b"cdef":
        _parse_channels(file.read(min(size, MAX_BOX)), parsed)
    elif kind == b"res ":
        for inner, begin, length in iterate_boxes(file, start, start + size):
            _parse_box(file, inner, begin, length, parsed)
    elif kind in (b"resc", b"resd") and (kind == b"resd" or parsed.dpi is None):
        parsed.dpi = _parse_resolution(file.read(10)) or parsed.dpi
    elif kind in (b"xml ", b"asoc"):
        parsed.xml_boxes += 1
    elif kind == b"uuid":
        parsed.uuids.setdefault(file.read(16), file.read(min(size - 16, MAX_BOX)))
    elif kind == b"jp2c" and not parsed.bits:
        parsed.start = start
        _parse_size_marker(file.read(4 + MAX_COMPONENTS_SIZE)[4:], parsed)


def _parse_channels(content: bytes, parsed: Jpeg2000File) -> None:
    """Parses the box cdef: index, type and association of channels, each of 2 bytes (I.5.3.6)."""
    for position in range(2, len(content) - 5, 6):
        channel, kind, colour = struct.unpack_from(">3H", content, position)
        if kind == COLOUR_CHANNEL:
            parsed.order.setdefault(colour - 1, channel)
        elif kind in OPACITY_CHANNELS and parsed.alpha is None:
            parsed.alpha, parsed.is_premultiplied = channel, kind == PREMULTIPLIED


def _parse_resolution(content: bytes) -> tuple[float, float] | None:
    """Returns the horizontal and the vertical resolution in pixels an inch (I.5.3.7)."""
    if len(content) < 10:
        return None
    *fractions, vertical_power, horizontal_power = struct.unpack(">4H2b", content)
    vertical_top, vertical_bottom, horizontal_top, horizontal_bottom = fractions
    if not (vertical_bottom and horizontal_bottom):
        return None
    vertical = vertical_top / vertical_bottom * 10.0**vertical_power
    horizontal = horizontal_top / horizontal_bottom * 10.0**horizontal_power
    return horizontal * METERS_PER_INCH, vertical * METERS_PER_INCH


def _parse_size_marker(data: bytes, parsed: Jpeg2000File) -> None:
    """Parses the marker SIZ after its code."""
    if len(data) < SIZE_MARKER.size:
        return
    _, _, right, bottom, left, top, *_, count = SIZE_MARKER.unpack_from(data)
    components = [tuple(data[SIZE_MARKER.size + 3 * i :][:3]) for i in range(count)]
    if any(len(component) < 3 for component in components):
        return
    parsed.width, parsed.height = right - left, bottom - top
    if parsed.width < 1 or parsed.height < 1:
        raise ValueError(f"damaged: {parsed.width} x {parsed.height} pixels in its codestream")
    parsed.bits = tuple((depth & 0x7F) + 1 for depth, _, _ in components)
    parsed.is_chroma_subsampled = count > 1 and components[1][1:] != components[0][1:]
