"""Decodes Windows and OS/2 bitmaps of every header version.

Pillow knows only some layouts of bit fields, ignores their alpha, misreads some run lengths, and
refuses palettes of 2 bits and of unusual sizes. Source: BITMAPV5HEADER in Microsoft's
documentation of the Windows API; OS/2 Presentation Manager.
"""

from __future__ import annotations

import io
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import simplejpeg
from numpy.typing import NDArray
from PIL import Image

from batchcolor.errors import ProcessingError
from batchcolor.images.codec_samples import FileHeader, Samples, scale_to_full_range
from batchcolor.images.readers.bmp_raster import (
    apply_palette,
    decode_run_lengths,
    split_channels,
    unpack_indices,
    unpack_rows,
)

FILE_HEADER_SIZE = 14
MAX_HEADER = FILE_HEADER_SIZE + 124
CORE, SHORT_OS2, INFO, OS2, V5 = 12, 16, 40, 64, 124
"""Sizes of headers."""
BIT_FIELDS, BIT_FIELDS_WITH_ALPHA = 3, 6
EMBEDDED_JPEG, EMBEDDED_PNG = 4, 5
RUN_LENGTHS = {1: 8, 2: 4}
"""Bits of samples by compression."""
OS2_RUN_LENGTHS_24 = 4
UNREAD = {11: "CMYK", 12: "CMYK", 13: "CMYK"}
UNREAD_OS2 = {3: "Huffman coding"}
READ_DEPTHS = (1, 2, 4, 8, 16, 24, 32)
DEFAULT_MASKS = {16: (0x7C00, 0x3E0, 0x1F)}
"""Bit fields of samples without any, which are 5 bits each."""
METRES_PER_INCH = 0.0254
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
    colours: int = 0
    """Entries of the palette; 0 for as many as the bits allow."""
    dpi: tuple[float, float] | None = None

    @property
    def has_bit_fields(self) -> bool:
        """Whether `masks` describe the samples."""
        return self.size != OS2 and self.compression in (BIT_FIELDS, BIT_FIELDS_WITH_ALPHA)

    @property
    def run_length_bits(self) -> int:
        """Bits of samples with run lengths, or 0."""
        if self.size == OS2 and self.compression == OS2_RUN_LENGTHS_24:
            return 24
        return RUN_LENGTHS.get(self.compression, 0)

    @property
    def embedded(self) -> str:
        """The format of an embedded file, or an empty string."""
        names = {EMBEDDED_JPEG: "JPEG", EMBEDDED_PNG: "PNG"}
        return names.get(self.compression, "") if self.size != OS2 else ""


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
    across, down, colours = struct.unpack_from("<iiI", head, 38)
    dpi = (across * METRES_PER_INCH, down * METRES_PER_INCH) if min(across, down) > 0 else None
    return _check(
        BmpHeader(size, offset, width, height, bits, compression, masks, profile, colours, dpi)
    )


def _check(header: BmpHeader) -> BmpHeader:
    unread = (UNREAD_OS2 if header.size == OS2 else UNREAD).get(header.compression)
    if unread is None and header.bits not in READ_DEPTHS and not header.embedded:
        unread = f"{header.bits} bits per pixel"
    if unread is not None:
        raise ProcessingError("decode", f"BMP with {unread}: no decoder here reads it")
    if header.width < 1 or not header.height:
        raise ValueError(f"damaged: {header.width} x {header.height} pixels in its header")
    run_bits = header.run_length_bits
    is_known = header.has_bit_fields or header.embedded or run_bits or not header.compression
    if not is_known or run_bits not in (0, header.bits):
        raise ValueError(f"damaged: compression {header.compression} of {header.bits} bits")
    if header.has_bit_fields:
        is_wide = header.bits in (16, 32) and max(header.masks) < 1 << header.bits
        if not is_wide or not any(header.masks):
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
    return decode_bitmap(data if data[:2] == b"BM" else add_file_header(data))


def decode_bitmap(data: bytes) -> Samples:
    """Returns samples and profile of a file in memory. Raises whatever the decoders raise."""
    header = parse_bmp_header(data[:MAX_HEADER])
    position, length = header.profile
    notes: list[str] = []
    alpha: Any = None
    if header.embedded:
        pixels = _decode_embedded(data[header.offset :], header)
    elif header.has_bit_fields or header.bits in DEFAULT_MASKS:
        pixels, alpha = _decode_bit_fields(data, header)
    else:
        pixels = _decode_plain(data, header, notes)
        pixels = pixels[::-1] if header.height > 0 else pixels
    icc = data[position : position + length]
    return Samples(np.ascontiguousarray(pixels), alpha, icc=icc, dpi=header.dpi, notes=notes)


def _decode_embedded(content: bytes, header: BmpHeader) -> NDArray[Any]:
    """Returns RGB of an embedded JPEG or PNG."""
    if header.embedded == "JPEG":
        rgb: NDArray[Any] = simplejpeg.decode_jpeg(content, "RGB", strict=True)
    else:
        with Image.open(io.BytesIO(content), formats=("PNG",)) as image:
            rgb = np.asarray(image.convert("RGB"))
    if rgb.shape[:2] != (abs(header.height), header.width):
        raise ValueError(f"damaged: its embedded {header.embedded} has another size")
    return rgb


def _decode_plain(data: bytes, header: BmpHeader, notes: list[str]) -> NDArray[Any]:
    """Returns grey or RGB of samples with a palette or run lengths, or of 24 or 32 bits."""
    width, height, bits = header.width, abs(header.height), header.bits
    entry_size = 3 if header.size == CORE else 4
    palette, count = FILE_HEADER_SIZE + header.size, header.colours or 1 << bits
    end = palette + count * entry_size if bits <= 8 else palette
    start = header.offset if header.offset > palette else end
    entries = data[palette : min(start, end)]  # samples may begin inside a palette that is shorter
    if header.run_length_bits:
        samples = decode_run_lengths(data, start, width, height, bits, notes)
        return (
            apply_palette(samples, entries, entry_size, notes) if bits < 24 else samples[..., ::-1]
        )
    rows = unpack_rows(data, start, width, height, bits)
    if bits > 8:
        return split_channels(rows, width, bits)
    return apply_palette(unpack_indices(rows, width, bits), entries, entry_size, notes)


def _decode_bit_fields(data: bytes, header: BmpHeader) -> tuple[Any, Any]:
    """Returns RGB, and alpha or None, of samples with bit fields.

    Alpha that is zero everywhere was not set by the writer, and the picture is opaque.
    """
    sample_type = np.dtype("<u2" if header.bits == 16 else "<u4")
    raster = unpack_rows(data, header.offset, header.width, abs(header.height), header.bits)
    rows = np.ascontiguousarray(raster).view(sample_type)
    samples = rows[::-1] if header.height > 0 else rows
    masks = header.masks or DEFAULT_MASKS[header.bits]
    depth = 16 if any(mask.bit_count() > 8 for mask in masks) else 8
    planes = [_extract(samples, mask, depth) for mask in masks]
    alpha = planes[3] if len(planes) == 4 and masks[3] else None
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
