"""Decodes JPEG 2000 with OpenJPEG: 9 to 16 bits through imagecodecs, everything else with Pillow.

Pillow reduces colour of more than 8 bits to 8, wraps grey of 9 bits, and reads no ICC profile.
Boxes are those of ISO/IEC 15444-1, annex I, and the markers of annex A.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from numpy.typing import NDArray
from PIL import Image

from batchcolor.errors import ProcessingError
from batchcolor.images.codec_samples import FileHeader, Samples, scale_to_full_range, split_alpha
from batchcolor.images.color_detection import has_colors
from batchcolor.images.picture import Plane
from batchcolor.images.pixel_modes import split_luma_and_alpha

SIGNATURE = b"\0\0\0\x0cjP  \r\n\x87\n"
CODESTREAM = b"\xff\x4f\xff\x51"
SIZE_MARKER = struct.Struct(">HHIIIIIIIIH")
"""Length and capabilities, size and offset of the grid, size and offset of tiles, components."""
XMP_UUID = bytes.fromhex("be7acfcb97a942e89c71999491e3afac")
IPTC_UUID = bytes.fromhex("33c7a4d2b81d4723a0baf1a3e097ad38")
EXIF_UUID = b"JpgTiffExif->JP2"
ENUMERATED, SRGB, GREY, SYCC = 1, 16, 17, 18
MAX_BOX = 64 << 20
"""Bytes of a box that are read."""


@dataclass
class Jpeg2000File:
    """Properties of a codestream, and the boxes around it."""

    width: int = 0
    height: int = 0
    bits: tuple[int, ...] = ()
    """Bits of each component."""
    is_signed: bool = False
    is_subsampled: bool = False
    colour_space: int = SRGB
    icc: bytes = b""
    has_palette: bool = False
    uuids: dict[bytes, bytes] = field(default_factory=dict)

    @property
    def is_deep(self) -> bool:
        """Whether it has samples of 9 to 16 bits in a layout that imagecodecs decodes."""
        is_uniform = len(set(self.bits)) == 1 and not (self.is_signed or self.is_subsampled)
        has_samples = len(self.bits) in (1, 2, 3, 4) and not self.has_palette
        is_known = bool(self.icc) or self.colour_space in (SRGB, GREY, SYCC)
        return is_uniform and has_samples and is_known and 8 < self.bits[0] <= 16


def read_header(path: Path) -> FileHeader:
    """Returns size and depth. Raises ValueError for damaged data."""
    with path.open("rb") as file:
        parsed = _parse(file)
    return FileHeader(parsed.width, parsed.height, is_deep=max(parsed.bits) > 8)


def decode(path: Path) -> Samples:
    """Returns samples and metadata. Raises whatever the decoders raise."""
    with path.open("rb") as file:
        parsed = _parse(file)
    notes: list[str] = []
    with Image.open(path) as image:
        if image.size != (parsed.width, parsed.height):  # Pillow believes the box, and allocates it
            raise ProcessingError(
                "decode",
                f"damaged: its header box states {image.width} x {image.height} pixels, its "
                f"codestream {parsed.width} x {parsed.height}",
            )
        dpi = image.info.get("dpi")
        if parsed.is_deep:
            pixels, alpha = split_alpha(_decode_deep(path.read_bytes(), parsed))
            is_colored = None
        else:
            image.load()
            pixels, alpha = split_luma_and_alpha(image, notes)
            is_colored = has_colors(image)
    return Samples(
        pixels,
        alpha,
        exif=parsed.uuids.get(EXIF_UUID, b"").removeprefix(b"Exif\0\0"),
        icc=parsed.icc,
        xmp=parsed.uuids.get(XMP_UUID, b""),
        iptc=parsed.uuids.get(IPTC_UUID, b""),
        dpi=dpi,
        notes=notes,
        is_colored=is_colored,
    )


def _decode_deep(data: bytes, parsed: Jpeg2000File) -> Plane:
    """Returns components scaled to 16 bits; luma alone of YCbCr, whose first component it is."""
    import imagecodecs

    decoded: NDArray[Any] = imagecodecs.jpeg2k_decode(data, numthreads=1)
    channels = (len(parsed.bits),) if len(parsed.bits) > 1 else ()
    if decoded.shape != (parsed.height, parsed.width, *channels):
        raise ProcessingError("decode", f"damaged: it decodes to {decoded.shape}")
    if parsed.colour_space == SYCC and not parsed.icc and len(parsed.bits) > 2:
        decoded = decoded[..., 0] if decoded.shape[2] == 3 else decoded[..., (0, 3)]
    return scale_to_full_range(decoded, (1 << parsed.bits[0]) - 1)


def _parse(file: BinaryIO) -> Jpeg2000File:
    """Returns the properties of an open file. Raises ValueError."""
    parsed = Jpeg2000File()
    head = file.read(len(SIGNATURE))
    if head[:4] == CODESTREAM:
        _parse_size_marker(head[4:] + file.read(MAX_COMPONENTS_SIZE), parsed)
    elif head == SIGNATURE:
        end = file.seek(0, 2)
        for kind, start, size in _iterate_boxes(file, len(SIGNATURE), end):
            _parse_box(file, kind, start, size, parsed)
    if not parsed.bits or not (parsed.width and parsed.height):
        raise ValueError("truncated: it has no JPEG 2000 codestream")
    return parsed


MAX_COMPONENTS_SIZE = 3 * 16384
"""Bytes that describe the largest number of components."""


def _parse_box(file: BinaryIO, kind: bytes, start: int, size: int, parsed: Jpeg2000File) -> None:
    if kind == b"jp2h":
        for inner, begin, length in _iterate_boxes(file, start, start + size):
            _parse_box(file, inner, begin, length, parsed)
        return
    file.seek(start)
    if kind == b"colr" and not parsed.icc:
        content = file.read(min(size, MAX_BOX))
        if content[0] == ENUMERATED:
            parsed.colour_space = int.from_bytes(content[3:7], "big")
        else:
            parsed.icc = content[3:]
    elif kind == b"pclr":
        parsed.has_palette = True
    elif kind == b"uuid":
        parsed.uuids.setdefault(file.read(16), file.read(min(size - 16, MAX_BOX)))
    elif kind == b"jp2c" and not parsed.bits:
        _parse_size_marker(file.read(4 + MAX_COMPONENTS_SIZE)[4:], parsed)


def _parse_size_marker(data: bytes, parsed: Jpeg2000File) -> None:
    """Parses the marker SIZ after its code."""
    if len(data) < SIZE_MARKER.size:
        return
    _, _, right, bottom, left, top, *_, count = SIZE_MARKER.unpack_from(data)
    components = [tuple(data[SIZE_MARKER.size + 3 * i :][:3]) for i in range(count)]
    if any(len(component) < 3 for component in components):
        return
    parsed.width, parsed.height = right - left, bottom - top
    parsed.bits = tuple((depth & 0x7F) + 1 for depth, _, _ in components)
    parsed.is_signed = any(depth & 0x80 for depth, _, _ in components)
    parsed.is_subsampled = any((x, y) != (1, 1) for _, x, y in components)


def _iterate_boxes(file: BinaryIO, position: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """Yields type, position and size of the content of each box."""
    while position + 8 <= end:
        file.seek(position)
        header = file.read(16)
        size, start = int.from_bytes(header[:4], "big"), position + 8
        if size == 1:
            size, start = int.from_bytes(header[8:], "big"), position + 16
        following = position + size if size else end
        if following < start:
            raise ValueError("damaged: a box has no size")
        yield header[4:8], start, min(following, end) - start
        position = following
