"""Icons and cursors: the largest picture is read, with its transparency."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from batchcolor.errors import LIMITS, ProcessingError
from batchcolor.images.header import estimate_memory
from batchcolor.images.picture import Picture
from batchcolor.images.scan import ScannedFile

ReadPicture = Callable[[Path], Picture]
LEVELS = np.random.default_rng(0).integers(0, 256, (48, 48)).astype(np.uint8)


def write_icon(path: Path, bitmaps: list[bytes], kind: int = 1) -> None:
    """Writes a file with pictures whose sizes in the directory are wrong, as in many files."""
    directory, position = struct.pack("<HHH", 0, kind, len(bitmaps)), 6 + 16 * len(bitmaps)
    for bitmap in bitmaps:
        directory += struct.pack("<4BHHII", 16, 16, 0, 0, 1, 32, 8, position)
        position += len(bitmap)
    path.write_bytes(directory + b"".join(bitmaps))


def build_bitmap(bits: int, mask: bytes = b"") -> bytes:
    """A bitmap of 8 x 2 pixels of levels 0 to 255 in steps of 17, and its mask."""
    levels = range(0, 256, 17)
    head = struct.pack("<IiiHHIIiiII", 40, 8, 4, 1, bits, 0, 0, 0, 0, 0, 0)
    if bits == 32:
        rows = b"".join(bytes((v, v, v, 255 - v)) for v in levels)
    else:
        head += b"".join(bytes((v, v, v, 0)) for v in levels)
        rows = bytes.fromhex("01234567 89abcdef")
    return head + rows + mask


EXPECTED = [list(range(136, 256, 17)), list(range(0, 136, 17))]


@pytest.mark.parametrize("form", ["png", "bmp"])
@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_largest_picture_of_an_icon_is_read(
    tmp_path: Path, read_picture: ReadPicture, form: str, mode: str
) -> None:
    path = tmp_path / "in.ico"
    image = Image.fromarray(LEVELS).convert("RGB")
    if mode == "RGBA":
        image.putalpha(Image.fromarray(LEVELS // 2 + 1))
    image.save(path, sizes=[(16, 16), (48, 48), (32, 32)], bitmap_format=form)
    picture = read_picture(path)
    assert np.array_equal(picture.luma, LEVELS)
    assert (picture.alpha is not None) == (mode == "RGBA")
    assert picture.notes[0] == "the largest of 3 pictures; the others are dropped"


@pytest.mark.parametrize(("suffix", "kind"), [("ico", 1), ("cur", 2)])
def test_bitmap_with_a_mask_is_transparent_where_the_mask_is_set(
    tmp_path: Path, read_picture: ReadPicture, suffix: str, kind: int
) -> None:
    path = tmp_path / f"in.{suffix}"
    write_icon(path, [build_bitmap(4, bytes([0xF0, 0, 0, 0, 0x01, 0, 0, 0]))], kind)
    picture = read_picture(path)
    assert picture.luma.tolist() == EXPECTED
    assert picture.alpha is not None
    assert picture.alpha.tolist() == [[255] * 7 + [0], [0] * 4 + [255] * 4]


def test_bitmap_of_32_bits_has_its_own_alpha(tmp_path: Path, read_picture: ReadPicture) -> None:
    path = tmp_path / "in.ico"
    write_icon(path, [build_bitmap(4), build_bitmap(32, bytes([0xFF, 0, 0, 0] * 2))])
    picture = read_picture(path)
    assert picture.luma.tolist() == EXPECTED
    assert picture.alpha is not None
    assert np.array_equal(picture.alpha, 255 - np.array(EXPECTED))


def test_missing_mask_is_noted(tmp_path: Path, read_picture: ReadPicture) -> None:
    path = tmp_path / "in.ico"
    write_icon(path, [build_bitmap(4)])
    picture = read_picture(path)
    assert picture.luma.tolist() == EXPECTED
    assert picture.notes == ["its transparency mask is missing: the picture is opaque"]


def test_size_is_that_of_the_picture_and_not_of_the_directory(
    tmp_path: Path, scan_file: Callable[[Path], ScannedFile]
) -> None:
    path = tmp_path / "in.ico"
    bomb = bytearray(build_bitmap(32))
    bomb[4:12] = struct.pack("<ii", 60000, 120000)
    write_icon(path, [bytes(bomb)])
    with pytest.raises(ProcessingError) as caught:
        estimate_memory(scan_file(path), 10**6)
    assert caught.value.step == LIMITS


@pytest.mark.parametrize("data", [b"\0\0\1\0\0\0", b"\0\0\1\0\1\0", b"\0\0\1\0\1\0" + bytes(40)])
def test_icon_without_a_picture_fails(
    tmp_path: Path, read_picture: ReadPicture, data: bytes
) -> None:
    path = tmp_path / "in.ico"
    path.write_bytes(data)
    with pytest.raises(ProcessingError, match="truncated: it has no picture"):
        read_picture(path)
