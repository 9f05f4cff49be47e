"""Decodes Windows and OS/2 bitmaps of every header version.

Pillow decodes indexed, run-length encoded and plain samples; it knows only some layouts of bit
fields and ignores their alpha, so those are decoded here. Source: BITMAPV5HEADER in Microsoft's
documentation of the Windows API; OS/2 Presentation Manager.
"""

from __future__ import annotations

import io
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from batchcolor.errors import ProcessingError
from batchcolor.images.codec_samples import FileHeader, Samples, scale_to_full_range
from batchcolor.images.color_detection import has_colors
from batchcolor.images.pixel_modes import split_luma_and_alpha

FILE_HEADER_SIZE = 14
MAX_HEADER = FILE_HEADER_SIZE + 124
CORE, SHORT_OS2, INFO, OS2, V5 = 12, 16, 40, 64, 124
"""Sizes of headers."""
BIT_FIELDS, BIT_FIELDS_WITH_ALPHA = 3, 6
UNREAD = {4: "an embedded JPEG", 5: "an embedded PNG", 11: "CMYK", 12: "CMYK", 13: "CMYK"}
UNREAD_OS2 = {3: "Huffman coding", 4: "run lengths of 24 bits"}
READ_DEPTHS = (1, 4, 8, 16, 24, 32)
EMBEDDED_PROFILE = b"DEBM"
"""PROFILE_EMBEDDED of the field bV5CSType, in the order of the file."""


@dataclass(frozen=True)
class BmpHeader:
    """`height` is negative where the first row of the file is the highest."""

    size: int
    offset: int
    """Position of the samples in the file."""
    width: int
    height: int
    bits: int
    compression: int = 0
    masks: tuple[int, ...] = ()
    """Bits of red, green, blue and alpha in a sample with bit fields."""
    profile: tuple[int, int] = (0, 0)
    """Position and size of an embedded ICC profile."""

    @property
    def has_bit_fields(self) -> bool:
        """Whether `masks` describe the samples."""
        return self.compression in (BIT_FIELDS, BIT_FIELDS_WITH_ALPHA)


def add_file_header(data: bytes) -> bytes:
    """Returns a device-independent bitmap (DIB), which begins with its second header, as BMP."""
    size, _, _, _, bits, compression = struct.unpack_from("<IiiHHI", data.ljust(MAX_HEADER, b"\0"))
    (colours,) = struct.unpack_from("<I", data.ljust(MAX_HEADER, b"\0"), 32)
    palette = 4 * (colours or (1 << bits if bits <= 8 else 0))
    masks = {BIT_FIELDS: 12, BIT_FIELDS_WITH_ALPHA: 16}.get(compression, 0) if size == INFO else 0
    offset = FILE_HEADER_SIZE + size + palette + masks
    return struct.pack("<2sIHHI", b"BM", FILE_HEADER_SIZE + len(data), 0, 0, offset) + data


def parse_bmp_header(head: bytes) -> BmpHeader:
    """Returns the header of a file that begins with `head`. Raises ValueError, ProcessingError."""
    if len(head) < FILE_HEADER_SIZE + CORE:
        raise ValueError("truncated: the BMP header is incomplete")
    offset, size = struct.unpack_from("<II", head, 10)
    if size == CORE:
        width, height, _, bits = struct.unpack_from("<HHHH", head, 18)
        return _check(BmpHeader(size, offset, width, height, bits))
    if len(head) < min(MAX_HEADER, FILE_HEADER_SIZE + size):
        raise ValueError("truncated: the BMP header is incomplete")
    width, height, _, bits = struct.unpack_from("<iiHH", head, 18)
    if size == SHORT_OS2:
        return _check(BmpHeader(size, offset, width, height, bits))
    (compression,) = struct.unpack_from("<I", head, 30)
    masks: tuple[int, ...] = ()
    if compression in (BIT_FIELDS, BIT_FIELDS_WITH_ALPHA) and size != OS2:
        has_alpha = size >= 56 or (size == INFO and compression == BIT_FIELDS_WITH_ALPHA)
        masks = struct.unpack_from("<4I" if has_alpha else "<3I", head.ljust(MAX_HEADER, b"\0"), 54)
    profile = (0, 0)
    if size == V5 and head[70:74] == EMBEDDED_PROFILE:
        position, length = struct.unpack_from("<II", head, 126)
        profile = (FILE_HEADER_SIZE + position, length)
    return _check(BmpHeader(size, offset, width, height, bits, compression, masks, profile))


def _check(header: BmpHeader) -> BmpHeader:
    unread = (UNREAD_OS2 if header.size == OS2 else UNREAD).get(header.compression)
    if unread is None and header.bits not in READ_DEPTHS:
        unread = f"{header.bits} bits per pixel"
    if unread is not None:
        raise ProcessingError("decode", f"BMP with {unread}: no decoder here reads it")
    if header.width < 1 or not header.height:
        raise ValueError(f"damaged: {header.width} x {header.height} pixels in its header")
    if header.has_bit_fields and (header.bits not in (16, 32) or not any(header.masks)):
        raise ValueError("damaged: its bit fields do not fit its samples")
    return header


def read_header(path: Path) -> FileHeader:
    """Returns size and depth. Raises ValueError; ProcessingError for a kind that is not read."""
    with path.open("rb") as file:
        head = file.read(MAX_HEADER)
    header = parse_bmp_header(head if head[:2] == b"BM" else add_file_header(head))
    is_deep = any(mask.bit_count() > 8 for mask in header.masks)
    return FileHeader(header.width, abs(header.height), is_deep=is_deep)


def decode(path: Path) -> Samples:
    """Returns samples and profile. Raises whatever the decoders raise."""
    data = path.read_bytes()
    data = data if data[:2] == b"BM" else add_file_header(data)
    header = parse_bmp_header(data[:MAX_HEADER])
    position, length = header.profile
    icc = data[position : position + length]
    if header.size == SHORT_OS2:
        data = _extend_header(data, header)
    notes: list[str] = []
    with Image.open(io.BytesIO(_without_bit_fields(data, header))) as image:
        dpi = image.info.get("dpi")
        dpi = dpi if dpi and min(dpi) > 0 else None
        if header.has_bit_fields:
            pixels, alpha = _decode_bit_fields(data, header)
            return Samples(pixels, alpha, icc=icc, dpi=dpi)
        image.load()
        luma, alpha = split_luma_and_alpha(image, notes)
        return Samples(luma, alpha, icc=icc, dpi=dpi, notes=notes, is_colored=has_colors(image))


def _extend_header(data: bytes, header: BmpHeader) -> bytes:
    """Returns the file with the header of 40 bytes in place of that of 16, which Pillow lacks."""
    size = struct.pack("<IiiHH", INFO, header.width, header.height, 1, header.bits)
    added = INFO - SHORT_OS2
    start = data[:10] + struct.pack("<I", header.offset + added) + size + bytes(added)
    return start + data[FILE_HEADER_SIZE + SHORT_OS2 :]


def _without_bit_fields(data: bytes, header: BmpHeader) -> bytes:
    """Returns a header that Pillow opens, for the resolution, where it does not decode."""
    return data[:30] + bytes(4) + data[34:MAX_HEADER] if header.has_bit_fields else data


def _decode_bit_fields(data: bytes, header: BmpHeader) -> tuple[Any, Any]:
    """Returns RGB, and alpha or None, of samples with bit fields.

    Alpha that is zero everywhere was not set by the writer, and the picture is opaque.
    """
    sample_type = np.dtype("<u2" if header.bits == 16 else "<u4")
    height = abs(header.height)
    row_size = (header.width * header.bits + 31) // 32 * 4
    raster = data[header.offset : header.offset + row_size * height]
    if len(raster) < row_size * height:
        raise ValueError("truncated: samples are missing")
    rows = np.frombuffer(raster, sample_type).reshape(height, -1)[:, : header.width]
    samples = rows[::-1] if header.height > 0 else rows
    depth = 16 if any(mask.bit_count() > 8 for mask in header.masks) else 8
    planes = [_extract(samples, mask, depth) for mask in header.masks]
    alpha = planes[3] if len(planes) == 4 and header.masks[3] else None
    if alpha is not None and (not alpha.any() or alpha.min() == np.iinfo(alpha.dtype).max):
        alpha = None
    return np.stack(planes[:3], axis=2), alpha


def _extract(samples: NDArray[Any], mask: int, depth: int) -> NDArray[Any]:
    """Returns one channel over the full range of 8 or 16 bits; zero for an empty mask."""
    if not mask:
        return np.zeros(samples.shape, np.uint8 if depth == 8 else np.uint16)
    shift = (mask & -mask).bit_length() - 1
    count = (mask >> shift).bit_length()
    values = (samples & samples.dtype.type(mask)) >> samples.dtype.type(shift)
    if count > 16:
        values, count = values >> samples.dtype.type(count - 16), 16
    plane = scale_to_full_range(values, (1 << count) - 1)
    return plane if plane.itemsize * 8 == depth else plane.astype(np.uint16) * 257
