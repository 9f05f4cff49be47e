"""The header of DPX (SMPTE ST 268-1): size, samples, and what it states about film and tape."""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass

HEADER_SIZE = 2048
"""Generic, film and television headers; user data may follow."""
LITTLE_ENDIAN = b"XPDS"
UNDEFINED = 0xFFFFFFFF
"""Value of integers that are not stated; of time codes as well."""
WIDTH, TRANSFER, BIT_SIZE = 772, 801, 803
FILM_EDGE_CODE = slice(1664, 1680)
"""Film manufacturer, type, offset in perforations, prefix and count, as digits."""
TIME_CODE = 1920
BLOCK_FORMAT = "dpx"
"""`Block.format` of a header that is kept."""


@dataclass(frozen=True)
class DpxHeader:
    """What the header states; `raw` has all of it, up to `HEADER_SIZE` bytes."""

    width: int
    height: int
    transfer: int
    """Transfer characteristic of the first image element."""
    bits: int
    edge_code: str
    """Digits of the film edge code; empty without one."""
    timecode: str
    """As `01:02:03:04`; empty without one."""
    raw: bytes

    @property
    def content(self) -> str:
        """Names what the header holds beyond the samples; empty for nothing."""
        names = ["timecode"] if self.timecode else []
        names += ["film edge code"] if self.edge_code else []
        return " and ".join(names)


def parse_dpx_header(data: bytes) -> DpxHeader:
    """Returns the header that a file begins with. Raises ValueError for an incomplete one."""
    if len(data) < TRANSFER + 1:
        raise ValueError("truncated: the DPX header is incomplete")
    order = find_byte_order(data)
    width, height = struct.unpack_from(f"{order}II", data, WIDTH)
    if not (width and height):
        raise ValueError(f"damaged: {width} x {height} pixels in its header")
    return DpxHeader(
        width=width,
        height=height,
        transfer=data[TRANSFER],
        bits=data[BIT_SIZE] if len(data) > BIT_SIZE else 0,
        edge_code=_read_edge_code(data[FILM_EDGE_CODE]),
        timecode=_read_timecode(data, order),
        raw=data[:HEADER_SIZE],
    )


def find_byte_order(data: bytes | bytearray) -> str:
    """Returns the byte order of a file as `struct` names it."""
    return "<" if data[:4] == LITTLE_ENDIAN else ">"


def _read_edge_code(field: bytes) -> str:
    digits = re.sub(rb"[^0-9]", b"", field).decode()
    return digits if digits.strip("0") else ""


def _read_timecode(data: bytes, order: str) -> str:
    """Returns the time code, eight BCD digits (SMPTE ST 12-1); empty if there is none."""
    if len(data) < TIME_CODE + 4:
        return ""
    (packed,) = struct.unpack_from(f"{order}I", data, TIME_CODE)
    digits = f"{packed:08x}"
    if packed == UNDEFINED or not digits.isdecimal():
        return ""
    return ":".join(digits[place : place + 2] for place in range(0, 8, 2))
