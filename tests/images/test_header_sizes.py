"""The size of every kind of file is checked from its header, before pixels take memory."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from batchcolor.errors import LIMITS, ProcessingError
from batchcolor.images.decode import decode
from batchcolor.images.header import estimate_memory
from batchcolor.images.scan import ScannedFile

HUGE = 65535
MAX_PIXELS = 400_000_000


def _png_chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _png() -> bytes:
    header = struct.pack(">IIBBBBB", HUGE, HUGE, 1, 0, 0, 0, 0)
    pixels = zlib.compress(bytes(100))
    return b"\x89PNG\r\n\x1a\n" + _png_chunk(b"IHDR", header) + _png_chunk(b"IDAT", pixels)


def _bmp(width: int, height: int) -> bytes:
    header = struct.pack("<IiiHHIIiiII", 40, width, height, 1, 8, 1, 10, 0, 0, 2, 0)
    return b"BM" + struct.pack("<IHHI", 64, 0, 0, 54) + header + bytes(10)


def _tga() -> bytes:
    return bytes((0, 0, 10)) + bytes(9) + struct.pack("<HHBB", HUGE, HUGE, 24, 0) + bytes(50)


def _sgi() -> bytes:
    return struct.pack(">HBBHHHH", 474, 1, 1, 3, HUGE, HUGE, 3) + bytes(600)


def _jpeg_2000() -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (40, 30)).save(file, "JPEG2000")
    return file.getvalue()


def _jpeg() -> bytes:
    file = io.BytesIO()
    Image.new("L", (64, 48)).save(file, "JPEG")
    return file.getvalue().replace(struct.pack(">HH", 48, 64), struct.pack(">HH", HUGE, HUGE), 1)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.png", _png()),
        ("a.jpg", _jpeg()),
        ("rle.bmp", _bmp(HUGE, HUGE)),
        ("down.bmp", _bmp(HUGE, -HUGE)),
        ("a.pgm", b"P5 65535 65535 255\n" + bytes(100)),
        ("a.tga", _tga()),
        ("a.sgi", _sgi()),
    ],
)
def test_huge_picture_is_refused_from_its_header(
    tmp_path: Path, scan_file: Callable[[Path], ScannedFile], name: str, content: bytes
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(ProcessingError, match="exceed --max-pixels") as caught:
        estimate_memory(scan_file(path), MAX_PIXELS)
    assert caught.value.step == LIMITS


def test_jpeg_2000_whose_box_and_codestream_differ_in_size_is_damaged(
    tmp_path: Path, scan_file: Callable[[Path], ScannedFile]
) -> None:
    content = bytearray(_jpeg_2000())
    box = content.index(b"ihdr") + 4
    content[box : box + 8] = struct.pack(">II", HUGE, HUGE)
    path = tmp_path / "a.jp2"
    path.write_bytes(content)
    with pytest.raises(ProcessingError, match="its header box states 65535 x 65535 pixels"):
        decode(scan_file(path), MAX_PIXELS)
