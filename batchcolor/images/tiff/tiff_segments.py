"""Reads the samples of a TIFF page, and refuses damaged strips and tiles."""

from __future__ import annotations

import mmap
import struct
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import simplejpeg
from numpy.typing import NDArray

from batchcolor.errors import ProcessingError
from batchcolor.images.tiff.tiff_codes import LZW, PACKBITS, check_sizes, find_damaged_lines
from batchcolor.images.tiff.tiff_file import JPEG_COMPRESSIONS, ORIENTATION
from batchcolor.images.tiff.tiff_longer_strips import read_longer_strips

if TYPE_CHECKING:
    import tifffile

STRIP_BYTE_COUNTS, TILE_BYTE_COUNTS, YCBCR_SUBSAMPLING = 279, 325, 530
YCBCR, LOG_L, LOG_LUV = 6, 32844, 32845
LIBTIFF_COMPRESSIONS = frozenset({6, 32766, 32771, 32809, 34676, 34677})
"""Old-style JPEG, NeXT, word-aligned run lengths, ThunderScan and SGI Log: libtiff has them."""
CHECKED_JPEG_MARKERS = (0xC0, 0xC1, 0xC2)
MAX_EXCESS = 4
"""JPEG data may have so many times the pixels of its strip or tile: some programs pad them."""
START_OF_IMAGE, END_OF_IMAGE = b"\xff\xd8", b"\xff\xd9"


def read_samples(page: tifffile.TiffPage) -> NDArray[Any]:
    """Returns the samples `(H, W, samples)` as stored, in native byte order.

    JPEG in YCbCr is converted to RGB. Raises ProcessingError for missing, truncated or damaged
    strips and tiles, and for a layout or compression that is not readable, which it names.
    """
    if page.compression in LIBTIFF_COMPRESSIONS or page.photometric in (LOG_L, LOG_LUV):
        return _read_with_libtiff(page)
    _check_layout(page)
    _check_segments(page)
    if page.compression in JPEG_COMPRESSIONS:
        _check_jpeg_segments(page)
    elif is_subsampled(page):
        return _read_subsampled(page)
    else:
        check_sizes(page, _read_segments(page) if page.compression in (LZW, PACKBITS) else [])
    samples = _decode_segments(page)
    # tifffile's shape: planes, depth, rows, columns, samples that are stored together
    flat = samples[:, 0]
    flat = np.moveaxis(flat[..., 0], 0, -1) if len(flat) > 1 else flat[0]
    if not flat.dtype.isnative:
        flat = flat.astype(flat.dtype.newbyteorder("="))
    bits = page.bitspersample
    if bits == 24 and flat.dtype.kind == "u":
        flat = _order_24_bits(flat, page.parent.byteorder)
    if page.predictor != 1 and isinstance(bits, int) and bits < 8 * flat.itemsize:
        flat &= flat.dtype.type((1 << bits) - 1)  # differences of packed samples wrap at `bits`
    return flat


def _decode_segments(page: tifffile.TiffPage) -> NDArray[Any]:
    """Returns the samples as tifffile decodes them: planes, depth, rows, columns, samples."""
    try:
        samples: NDArray[Any] = page.asarray(squeeze=False, maxworkers=1)
    except Exception:  # of any type; strips with rows below the picture are no damage
        longer = read_longer_strips(page, _read_segments(page))
        if longer is None:
            raise
        samples = longer
    return samples


def describe_damaged_lines(page: tifffile.TiffPage) -> str:
    """Returns a note on damage in a page that is compressed with CCITT, or nothing."""
    return find_damaged_lines(page, _read_segments(page))


def _order_24_bits(samples: NDArray[Any], order: str) -> NDArray[Any]:
    """Returns 24-bit samples of imagecodecs, which it reads as a stream of bits, in file order.

    They have the byte order of the file as all samples of whole bytes have. In big-endian files
    imagecodecs returns the bytes of its 32-bit integers reversed.
    """
    if order == ">":
        return samples.byteswap()
    return (samples >> 16) | (samples & 0xFF00) | ((samples & 0xFF) << 16)


def is_subsampled(page: tifffile.TiffPage) -> bool:
    """Whether the page stores fewer samples of chroma than of luma."""
    return page.photometric == YCBCR and tuple(_subsampling(page)) != (1, 1)


def _subsampling(page: tifffile.TiffPage) -> tuple[int, int]:
    horizontal, vertical = page.tags.valueof(YCBCR_SUBSAMPLING, (2, 2))
    return int(horizontal), int(vertical)


def _check_layout(page: tifffile.TiffPage) -> None:
    import tifffile

    if page.dtype is None or page.sampleformat in (5, 6):
        name = {2: "signed ", 3: "floating-point ", 5: "complex ", 6: "complex "}
        bits = page.bitspersample
        sizes = f"{bits}" if isinstance(bits, int) else ", ".join(map(str, bits))
        kind = name.get(page.sampleformat, "")
        raise ProcessingError("decode", f"has {kind}samples of {sizes} bits, which are not read")
    if 0 in page.shaped:
        raise ProcessingError("decode", "damaged: a side of its picture is 0 pixels long")
    if page.imagedepth > 1:
        raise ProcessingError("decode", f"is a volume of {page.imagedepth} slices, not a picture")
    if page.compression != 1 and page.compression not in tifffile.TIFF.DECOMPRESSORS:
        raise ProcessingError("decode", f"no decoder here reads its compression: {_name(page)}")


def _name(page: tifffile.TiffPage) -> str:
    code = page.compression
    return f"{code.name} ({int(code)})" if hasattr(code, "name") else f"number {code}"


def _check_segments(page: tifffile.TiffPage) -> None:
    """Raises ProcessingError unless every strip or tile lies in the file."""
    needed = int(np.prod(page.chunked))
    size = page.parent.filehandle.size
    unit = "tile" if page.is_tiled else "strip"
    # StripByteCounts of uncompressed strips may be too large: their sizes are known without it
    is_exact = page.is_tiled or page.compression != 1
    has_counts = STRIP_BYTE_COUNTS in page.tags or TILE_BYTE_COUNTS in page.tags
    if not has_counts and len(page.dataoffsets) == 1:
        page.databytecounts = (size - page.dataoffsets[0],)
    counts = page.databytecounts
    if min(len(page.dataoffsets), len(counts)) < needed:
        found = min(len(page.dataoffsets), len(counts))
        raise ProcessingError("decode", f"damaged: it has {found} of its {needed} {unit}s")
    for number, (offset, count) in enumerate(zip(page.dataoffsets, counts, strict=False)):
        if number >= needed:
            break
        if offset == 0 or count == 0:
            raise ProcessingError("decode", f"damaged: {unit} {number} holds no data")
        if offset >= size or (is_exact and offset + count > size):
            raise ProcessingError("decode", f"truncated: {unit} {number} ends behind the file")


def _read_segments(page: tifffile.TiffPage) -> list[bytes]:
    """Returns the compressed strips or tiles in order."""
    stored: Any = page.parent.filehandle.read_segments(
        page.dataoffsets, page.databytecounts, length=int(np.prod(page.chunked)), flat=True
    )
    return [data or b"" for data, _ in stored]


def _check_jpeg_segments(page: tifffile.TiffPage) -> None:
    """Raises ValueError for damaged JPEG data, which the decoder of imagecodecs fills with grey."""
    tables: bytes = page.jpegtables or b""
    inserted = tables.removeprefix(START_OF_IMAGE).removesuffix(END_OF_IMAGE)
    rows = page.tilelength if page.is_tiled else page.rowsperstrip
    columns = page.tilewidth if page.is_tiled else page.imagewidth
    for number, data in enumerate(_read_segments(page)):
        if END_OF_IMAGE not in data[-64:]:
            raise ProcessingError("decode", f"truncated: JPEG data {number} has no end marker")
        marker, precision, components, pixels = _find_frame(data)
        if pixels > MAX_EXCESS * rows * columns:
            raise ProcessingError("decode", f"damaged: JPEG data {number} has {pixels:,} pixels")
        if marker in CHECKED_JPEG_MARKERS and precision == 8 and components in (1, 3, 4):
            whole = data[:2] + inserted + data[2:]
            simplejpeg.decode_jpeg(whole, "CMYK" if components == 4 else "GRAY", strict=True)


def _find_frame(data: bytes) -> tuple[int, int, int, int]:
    """Returns marker, bits per sample, components and pixels of the frame of a JPEG."""
    position = 2
    while position + 9 < len(data) and data[position] == 0xFF:
        marker = data[position + 1]
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            precision, height, width, count = struct.unpack_from(">BHHB", data, position + 4)
            return marker, precision, count, height * width
        position += 2 + int.from_bytes(data[position + 2 : position + 4], "big")
    raise ProcessingError("decode", "damaged: JPEG data without a frame header")


def _read_subsampled(page: tifffile.TiffPage) -> NDArray[Any]:
    """Returns Y, Cb and Cr `(H, W, 3)` of subsampled chroma without JPEG (TIFF 6.0, section 21).

    A unit holds the luma of `horizontal` by `vertical` pixels, then one Cb and one Cr. Chroma is
    repeated, as libtiff does.
    """
    import imagecodecs
    import tifffile

    horizontal, vertical = _subsampling(page)
    if page.planarconfig != 1 or page.bitspersample != 8:
        raise ProcessingError("decode", "has subsampled chroma in planes or of more than 8 bits")
    decompress = None if page.compression == 1 else tifffile.TIFF.DECOMPRESSORS[page.compression]
    height, width = page.imagelength, page.imagewidth
    rows = page.tilelength if page.is_tiled else page.rowsperstrip
    columns = page.tilewidth if page.is_tiled else width
    across, unit = -(-columns // horizontal), horizontal * vertical + 2
    result = np.zeros((height, width, 3), np.uint8)
    per_row = -(-width // columns)
    for number, stored in enumerate(_read_segments(page)):
        data = imagecodecs.bitorder_decode(stored) if page.fillorder == 2 else stored
        top, left = number // per_row * rows, number % per_row * columns
        count = rows if page.is_tiled else min(rows, height - top)
        down = -(-count // vertical)
        size = down * across * unit
        flat = np.frombuffer(decompress(data, out=size) if decompress else data, np.uint8)
        if flat.size < size:
            raise ProcessingError("decode", f"truncated: segment {number} is too short")
        units = flat[:size].reshape(down, across, unit)
        luma = units[..., :-2].reshape(down, across, vertical, horizontal).swapaxes(1, 2)
        decoded = np.empty((down * vertical, across * horizontal, 3), np.uint8)
        decoded[..., 0] = luma.reshape(down * vertical, across * horizontal)
        decoded[..., 1:] = units[..., -2:].repeat(vertical, 0).repeat(horizontal, 1)
        part = result[top : top + count, left : left + columns]
        part[...] = decoded[: part.shape[0], : part.shape[1]]
    return result


def _read_with_libtiff(page: tifffile.TiffPage) -> NDArray[np.uint8]:
    """Returns RGB `(H, W, 3)` as libtiff converts it, for what tifffile does not read."""
    import imagecodecs

    path = Path(page.parent.filehandle.path)
    # mapped, and changes are private: a file with many pages is not held once for each of them
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY) as mapped:
        data: Any = mapped
        orientation = page.tags.get(ORIENTATION)
        if orientation is not None:  # libtiff applies the mirroring part of the orientation
            struct.pack_into(f"{page.parent.byteorder}H", data, orientation.valueoffset, 1)
        try:
            imagecodecs.tiff_decode(data, index=page.index)  # the other call ignores damage
            rgba = imagecodecs.tiff_decode(data, index=page.index, asrgb=True)
        except imagecodecs.TiffError as error:
            reason = f"libtiff cannot read it: {_name(page)}: {error}"
            raise ProcessingError("decode", reason) from error
    rgb: NDArray[np.uint8] = rgba[..., :3]
    return rgb
