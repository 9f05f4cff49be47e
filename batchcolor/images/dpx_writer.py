"""Writes DPX (SMPTE ST 268-1): one RGB element without compression, as film scanners do.

A result of a DPX source has the header of its source with the fields of the pixels replaced; so
timecode, film edge code and the times of the scan stay.
"""

from __future__ import annotations

import struct

import numpy as np
from numpy.typing import NDArray

from batchcolor.images.dpx_header import (
    BLOCK_FORMAT,
    HEADER_SIZE,
    TRANSFER,
    UNDEFINED,
    find_byte_order,
)
from batchcolor.images.metadata.model import Metadata
from batchcolor.images.picture import Plane

DEPTHS = (8, 10, 12, 16)
RGB, RGBA = 50, 51
"""Descriptors of image elements."""
FILLED = 1
"""Packing of 10 and 12 bits into words, padded at the end (method A)."""
LINEAR, BT709 = 2, 6
"""Transfer characteristics: linear samples are written with the curve of sRGB."""
ELEMENTS, ELEMENT = 770, 780
"""Positions of the number of image elements and of the first of them."""
CREATOR = b"batchcolor, colours computed"


def encode_dpx(
    rgb: Plane, metadata: Metadata, quality: int | None, notes: list[str], bits: int
) -> bytes:
    """Returns a DPX of RGB or RGBA, uint8 or uint16 over the full range of the type.

    `bits` is the depth of the source where it is one of `DEPTHS`; 10 and 12 need uint16 without
    alpha. `quality` has no effect.
    """
    if rgb.dtype == np.uint8:
        bits = 8
    elif bits not in (10, 12) or rgb.shape[2] == 4:
        bits = 16
    header = _find_header(metadata)
    order = find_byte_order(header)
    pixels = _pack(rgb, bits, order)
    return _write_header(header, rgb, bits, len(pixels)) + pixels


def _find_header(metadata: Metadata) -> bytearray:
    """Returns the header of a DPX source, or one that states nothing."""
    for block in metadata.blocks:
        if block.format == BLOCK_FORMAT:
            return bytearray(block.content.ljust(HEADER_SIZE, b"\xff"))
    header = bytearray(HEADER_SIZE)
    header[:4], header[8:12] = b"SDPX", b"V1.0"
    header[768:HEADER_SIZE] = b"\xff" * (HEADER_SIZE - 768)
    header[TRANSFER : TRANSFER + 2] = bytes((BT709, BT709))
    header[1556:1664] = bytes(108)  # texts of the orientation header
    header[1664:1712], header[1732:1920] = bytes(48), bytes(188)
    return header


def _write_header(header: bytearray, rgb: Plane, bits: int, size: int) -> bytes:
    order = find_byte_order(header)
    height, width = rgb.shape[:2]
    struct.pack_into(f"{order}I", header, 4, HEADER_SIZE)
    struct.pack_into(f"{order}5I", header, 16, HEADER_SIZE + size, 1, 1664, 384, 0)
    header[160:260] = CREATOR.ljust(100, b"\0")
    struct.pack_into(f"{order}I", header, 660, UNDEFINED)  # not encrypted
    struct.pack_into(f"{order}HHII", header, 768, 0, 1, width, height)
    transfer, colorimetric = header[TRANSFER], header[TRANSFER + 1]
    if transfer == LINEAR:
        transfer = colorimetric = BT709
    descriptor = RGBA if rgb.shape[2] == 4 else RGB
    high = (1 << bits) - 1
    packing = FILLED if bits in (10, 12) else 0
    struct.pack_into(
        *(f"{order}IIfIfBBBBHHIII", header, ELEMENT, 0, 0, 0.0, high, 0.0),
        *(descriptor, transfer, colorimetric, bits, packing, 0, HEADER_SIZE, 0, 0),
    )
    return bytes(header)


def _pack(rgb: Plane, bits: int, order: str) -> bytes:
    if bits == 8:
        return rgb.tobytes()
    if bits == 16:
        return rgb.astype(f"{order}u2").tobytes()
    high = np.uint32((1 << bits) - 1)
    reduced: NDArray[np.uint32] = (rgb.astype(np.uint32) * high + np.uint32(32767)) // 65535
    if bits == 12:
        return (reduced << np.uint32(4)).astype(f"{order}u2").tobytes()
    words = reduced[..., 0] << np.uint32(22)
    words |= reduced[..., 1] << np.uint32(12)
    words |= reduced[..., 2] << np.uint32(2)
    return words.astype(f"{order}u4").tobytes()
