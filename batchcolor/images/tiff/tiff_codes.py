"""Looks for damage in compressed strips and tiles that have no checksum.

LZW and PackBits must decode to exactly the samples of their strip or tile; a changed code often
gives more or fewer. Of CCITT the codes of each line must add up to its width: FFmpeg checks
that, where the decoders of imagecodecs go on without a word.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any

from batchcolor.errors import ProcessingError

if TYPE_CHECKING:
    import tifffile

LZW, PACKBITS = 5, 32773
CCITT = frozenset({2, 3, 4})
T4_OPTIONS, T6_OPTIONS = 292, 293
PADDING = 1
"""Bytes that a strip may have more than its samples: some programs pad it to an even size."""


def check_sizes(page: tifffile.TiffPage, segments: list[bytes]) -> None:
    """Raises ProcessingError where LZW or PackBits does not decode to the samples of its place."""
    if page.compression not in (LZW, PACKBITS) or measure_row(page) is None:
        return
    unit = "tile" if page.is_tiled else "strip"
    for number, data in enumerate(segments):
        if not _has_exact_size(page, number, data):
            raise ProcessingError("decode", f"damaged: the codes of {unit} {number} do not fit it")


def find_damaged_lines(page: tifffile.TiffPage, segments: list[bytes]) -> str:
    """Returns a note on the first strip or tile of CCITT whose lines are damaged, or nothing."""
    if page.compression not in CCITT or page.bitspersample != 1 or page.samplesperpixel != 1:
        return ""
    unit = "tile" if page.is_tiled else "strip"
    for number, data in enumerate(segments):
        if not _has_valid_lines(page, number, data):
            return f"{unit} {number}: its CCITT codes are damaged, or FFmpeg does not know them"
    return ""


def _has_exact_size(page: tifffile.TiffPage, number: int, data: bytes) -> bool:
    import imagecodecs

    stored = imagecodecs.bitorder_decode(data) if page.fillorder == 2 else data
    decode: Any = imagecodecs.lzw_decode if page.compression == LZW else imagecodecs.packbits_decode
    rows, full = count_rows(page, number)
    row_size = measure_row(page) or 0
    size = len(decode(stored, out=full * row_size + PADDING + 1))  # bounds a bomb
    return rows * row_size <= size <= full * row_size + PADDING


def measure_row(page: tifffile.TiffPage) -> int | None:
    """Returns the bytes of a decoded row; None for samples of several sizes."""
    if not isinstance(page.bitspersample, int):
        return None
    columns = page.tilewidth if page.is_tiled else page.imagewidth
    samples = 1 if page.planarconfig == 2 else page.samplesperpixel
    return int(-(-columns * page.bitspersample * samples // 8))


def count_rows(page: tifffile.TiffPage, number: int) -> tuple[int, int]:
    """Returns the rows of a strip or tile that are in the picture at least, and all of them."""
    if page.is_tiled:
        return page.tilelength, page.tilelength
    full = min(page.rowsperstrip, page.imagelength)
    strips = -(-page.imagelength // full)
    return min(full, page.imagelength - number % strips * full), full


def _has_valid_lines(page: tifffile.TiffPage, number: int, data: bytes) -> bool:
    """Decodes one strip or tile with FFmpeg, as the only one of a TIFF."""
    import av

    rows, _ = count_rows(page, number)
    columns = page.tilewidth if page.is_tiled else page.imagewidth
    context: Any = av.CodecContext.create("tiff", "r")
    context.options = {"err_detect": "explode"}
    try:
        packet = av.Packet(_build_tiff(page, columns, rows, data))
        return bool(context.decode(packet) or context.decode(None))
    except (av.FFmpegError, ValueError):
        return False


def _build_tiff(page: tifffile.TiffPage, columns: int, rows: int, data: bytes) -> bytes:
    options = page.tags.valueof(T6_OPTIONS if page.compression == 4 else T4_OPTIONS, 0)
    entries = [
        *((256, columns), (257, rows), (258, 1), (259, int(page.compression)), (262, 0)),
        *((266, page.fillorder), (273, 8), (277, 1), (278, rows), (279, len(data))),
        (T6_OPTIONS if page.compression == 4 else T4_OPTIONS, int(options)),
    ]
    directory = struct.pack("<H", len(entries))
    directory += b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in entries)
    padding = bytes(len(data) % 2)
    start = struct.pack("<2sHI", b"II", 42, 8 + len(data) + len(padding))
    return start + data + padding + directory + bytes(4)
