"""Bitmaps of every header version are read, or refused with the name of what is missing."""

from __future__ import annotations

import io
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageCms

from batchcolor.errors import ProcessingError
from batchcolor.images.formats import BMP
from batchcolor.images.picture import Picture

ReadPicture = Callable[[Path], Picture]
RAMP = np.tile(np.linspace(2, 250, 61).astype(np.uint8), (40, 1))
GREYS = b"".join(bytes((i, i, i, 0)) for i in range(256))
HEADER_SIZES = (12, 16, 40, 52, 56, 64, 108, 124)


def write_bmp(
    path: Path,
    samples: NDArray[np.generic],
    *,
    size: int = 40,
    bits: int = 8,
    compression: int = 0,
    masks: tuple[int, ...] = (),
    profile: bytes = b"",
) -> None:
    """Writes rows of samples, from the lowest, with a header of `size` bytes."""
    height, width = samples.shape[:2]
    if size == 12:
        head = struct.pack("<IHHHH", 12, width, height, 1, bits)
    else:
        head = struct.pack("<IiiHH", size, width, height, 1, bits)
        head += struct.pack("<IIiiII", compression, 0, 2835, 2835, 0, 0) if size > 16 else b""
    fields = struct.pack(f"<{len(masks)}I", *masks)
    head = (head + fields).ljust(size, b"\0")
    palette = (b"".join(GREYS[i : i + 3] for i in range(0, 1024, 4)) if size == 12 else GREYS) * (
        bits == 8
    )
    rows = [row.tobytes() for row in samples[::-1]]
    raster = b"".join(row + bytes(-len(row) % 4) for row in rows)
    offset = 14 + len(head) + len(palette)
    if profile:
        place = struct.pack("<II", offset - 14 + len(raster), len(profile))
        head = head[:56] + b"DEBM" + head[60:112] + place + head[120:]
    start = struct.pack("<2sIHHI", b"BM", offset + len(raster), 0, 0, offset)
    path.write_bytes(start + head + palette + raster + profile)


@pytest.mark.parametrize("size", HEADER_SIZES)
@pytest.mark.parametrize("bits", [8, 24])
def test_every_header_version_is_read(
    tmp_path: Path, read_picture: ReadPicture, size: int, bits: int
) -> None:
    path = tmp_path / "in.bmp"
    samples = RAMP if bits == 8 else np.repeat(RAMP[..., None], 3, 2)
    write_bmp(path, samples, size=size, bits=bits)
    picture = read_picture(path)
    assert picture.format == BMP
    assert np.array_equal(picture.luma, RAMP)


@pytest.mark.parametrize("size", [52, 56, 108, 124])
@pytest.mark.parametrize(
    "masks",
    [
        (0x7C00, 0x3E0, 0x1F, 0),
        (0xF800, 0x7E0, 0x1F, 0),
        (0xF00, 0xF0, 0xF, 0xF000),
        (0xFF, 0xFF00, 0xFF0000, 0xFF000000),
        (0xFF00, 0xFF0000, 0xFF000000, 0xFF),
        (0x3FF00000, 0xFFC00, 0x3FF, 0),
    ],
)
def test_bit_fields_of_any_layout_are_read(
    tmp_path: Path, read_picture: ReadPicture, size: int, masks: tuple[int, ...]
) -> None:
    masks = masks[:3] if size == 52 else masks
    samples, least = np.zeros(RAMP.shape, np.uint32), 10
    for value, mask in zip((RAMP, RAMP, RAMP, np.full_like(RAMP, 128)), masks, strict=False):
        if mask:
            shift = (mask & -mask).bit_length() - 1
            count = (mask >> shift).bit_length()
            least = min(least, count)
            samples |= np.round(value / 255 * ((1 << count) - 1)).astype(np.uint32) << shift
    bits = 16 if max(masks) < 1 << 16 else 32
    path = tmp_path / "in.bmp"
    stored = samples.astype("<u2" if bits == 16 else "<u4")
    write_bmp(path, stored, size=size, bits=bits, compression=3, masks=masks)
    picture = read_picture(path)
    assert (picture.alpha is not None) is (size > 52 and masks[-1] > 0)
    full = 255 if picture.depth == 8 else 65535
    assert picture.depth == (16 if least == 10 else 8)
    assert np.abs(picture.luma / full - RAMP / 255).max() < 0.6 / ((1 << least) - 1) + 1 / full


def test_alpha_that_is_zero_everywhere_is_ignored(
    tmp_path: Path, read_picture: ReadPicture
) -> None:
    path = tmp_path / "in.bmp"
    samples = RAMP.astype("<u4") * 0x10101
    masks = (0xFF0000, 0xFF00, 0xFF, 0xFF000000)
    write_bmp(path, samples, size=108, bits=32, compression=3, masks=masks)
    picture = read_picture(path)
    assert picture.alpha is None
    assert np.array_equal(picture.luma, RAMP)


def test_embedded_profile_is_read(tmp_path: Path, read_picture: ReadPicture) -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    path = tmp_path / "in.bmp"
    write_bmp(path, np.repeat(RAMP[..., None], 3, 2), size=124, bits=24, profile=profile)
    picture = read_picture(path)
    assert np.array_equal(picture.luma, RAMP)
    assert picture.metadata.icc == profile


@pytest.mark.parametrize(
    ("size", "bits", "compression", "name"),
    [
        (40, 32, 11, "CMYK"),
        (40, 64, 0, "64 bits per pixel"),
        (64, 1, 3, "Huffman coding"),
        (40, 24, 9, "compression 9 of 24 bits"),
        (40, 24, 1, "compression 1 of 24 bits"),
    ],
)
def test_kinds_without_a_decoder_are_refused_by_name(
    tmp_path: Path, read_picture: ReadPicture, size: int, bits: int, compression: int, name: str
) -> None:
    path = tmp_path / "in.bmp"
    write_bmp(path, RAMP, size=size, bits=bits, compression=compression)
    with pytest.raises(ProcessingError, match=name):
        read_picture(path)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_truncated_bitmap_fails(tmp_path: Path, read_picture: ReadPicture, share: float) -> None:
    path = tmp_path / "in.bmp"
    Image.fromarray(RAMP).save(path)
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    with pytest.raises(ProcessingError):
        read_picture(path)


@pytest.mark.parametrize("mode", ["1", "L", "RGB"])
def test_bitmap_without_the_file_header_is_read(
    tmp_path: Path, read_picture: ReadPicture, mode: str
) -> None:
    path = tmp_path / "in.dib"
    stored = Image.fromarray(RAMP).convert(mode)
    stored.save(path, "DIB")
    assert np.array_equal(read_picture(path).luma, np.asarray(stored.convert("L")))


def write_indexed(
    path: Path, raster: bytes, shape: tuple[int, int], bits: int, compression: int, size: int = 40
) -> None:
    """Writes encoded samples of palette indices, whose grey is the index over the full range."""
    count = 1 << min(bits, 8)
    levels = [index * 255 // max(1, count - 1) for index in range(count)]
    palette = b"".join(bytes((v, v, v, 0)) for v in levels) if bits <= 8 else b""
    head = struct.pack("<IiiHHIIiiII", size, shape[1], shape[0], 1, bits, compression, *[0] * 5)
    head = head.ljust(size, b"\0")
    offset = 14 + size + len(palette)
    start = struct.pack("<2sIHHI", b"BM", offset + len(raster), 0, 0, offset)
    path.write_bytes(start + head + palette + raster)


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
@pytest.mark.parametrize("width", [1, 3, 8, 13])
def test_packed_samples_of_every_depth_are_read(
    tmp_path: Path, read_picture: ReadPicture, bits: int, width: int
) -> None:
    top = (1 << bits) - 1
    indices = np.random.default_rng(bits).integers(0, top + 1, (5, width))
    per_byte = 8 // bits
    padded = np.pad(indices, ((0, 0), (0, -width % per_byte)))
    shifts = np.arange(8 - bits, -1, -bits)
    packed = (padded.reshape(5, -1, per_byte) << shifts).sum(-1).astype(np.uint8)
    rows = b"".join(row.tobytes() + bytes(-len(row) % 4) for row in packed[::-1])
    path = tmp_path / "in.bmp"
    write_indexed(path, rows, (5, width), bits, 0)
    assert np.array_equal(read_picture(path).luma, indices * 255 // top)


RUNS_8 = bytes([3, 9, 0, 3, 1, 2, 3, 0, 0, 0, 6, 7, 0, 1])
"""Three of 9, then 1, 2, 3; the second row is six of 7."""
RUNS_4 = bytes([3, 0x9A, 0, 3, 0x12, 0x30, 0, 0, 6, 0x77, 0, 1])
"""9, 10, 9, then 1, 2, 3; the second row is six of 7."""


@pytest.mark.parametrize(
    ("bits", "compression", "runs", "expected"),
    [
        (8, 1, RUNS_8, [[7] * 6, [9, 9, 9, 1, 2, 3]]),
        (4, 2, RUNS_4, [[7 * 17] * 6, [9 * 17, 10 * 17, 9 * 17, 17, 34, 51]]),
        (8, 1, RUNS_8[:-2], [[7] * 6, [9, 9, 9, 1, 2, 3]]),
    ],
    ids=["8", "4", "without end"],
)
def test_run_lengths_are_read(
    tmp_path: Path,
    read_picture: ReadPicture,
    bits: int,
    compression: int,
    runs: bytes,
    expected: list[list[int]],
) -> None:
    path = tmp_path / "in.bmp"
    write_indexed(path, runs, (2, 6), bits, compression)
    picture = read_picture(path)
    assert picture.luma.tolist() == expected
    assert picture.notes == []


def test_run_lengths_of_24_bits_are_read(tmp_path: Path, read_picture: ReadPicture) -> None:
    runs = bytes([2, 10, 10, 10, 0, 3, *[20] * 3, *[30] * 3, *[40] * 3, 0, 0, 0, 5, 50, 50, 50])
    path = tmp_path / "in.bmp"
    write_indexed(path, runs + b"\0\1", (2, 5), 24, 4, size=64)
    assert read_picture(path).luma.tolist() == [[50] * 5, [10, 10, 20, 30, 40]]


@pytest.mark.parametrize(
    ("runs", "note"),
    [
        (bytes([9, 5, 0, 0, 6, 5, 0, 1]), "damaged: runs of pixels beyond the picture are ignored"),
        (bytes([6, 5, 0, 0, 2, 5, 0, 1]), "pixels that its run lengths leave out"),
        (bytes([6, 5, 0, 0, 0, 2, 3, 0, 3, 5, 0, 1]), "pixels that its run lengths leave out"),
    ],
    ids=["too long", "early end", "delta"],
)
def test_odd_run_lengths_are_noted(
    tmp_path: Path, read_picture: ReadPicture, runs: bytes, note: str
) -> None:
    path = tmp_path / "in.bmp"
    write_indexed(path, runs, (2, 6), 8, 1)
    (found,) = read_picture(path).notes
    assert found.startswith(note)


@pytest.mark.parametrize("end", [1, 3, 5, 11])
def test_truncated_run_lengths_fail(tmp_path: Path, read_picture: ReadPicture, end: int) -> None:
    path = tmp_path / "in.bmp"
    write_indexed(path, RUNS_8[:end], (2, 6), 8, 1)
    with pytest.raises(ProcessingError, match="truncated: run lengths are missing"):
        read_picture(path)


@pytest.mark.parametrize(("kind", "compression"), [("JPEG", 4), ("PNG", 5)])
def test_embedded_file_is_read(
    tmp_path: Path, read_picture: ReadPicture, kind: str, compression: int
) -> None:
    content = io.BytesIO()
    Image.fromarray(RAMP).save(content, kind)
    path = tmp_path / "in.bmp"
    write_indexed(path, content.getvalue(), RAMP.shape, 0, compression)
    assert np.abs(read_picture(path).luma.astype(int) - RAMP).max() < 6


@pytest.mark.parametrize("colours", [2, 300])
def test_palette_of_an_unusual_size_is_read(
    tmp_path: Path, read_picture: ReadPicture, colours: int
) -> None:
    palette = b"".join(bytes((v, v, v, 0)) for v in (40, 200)) + bytes(4 * (colours - 2))
    head = struct.pack("<IiiHHIIiiII", 40, 2, 1, 1, 8, 0, 0, 0, 0, colours, 0)
    start = struct.pack("<2sIHHI", b"BM", 0, 0, 0, 54 + len(palette))
    path = tmp_path / "in.bmp"
    path.write_bytes(start + head + palette + b"\1\0\0\0")
    assert read_picture(path).luma.tolist() == [[200, 40]]
