"""Bitmaps of every header version are read, or refused with the name of what is missing."""

from __future__ import annotations

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
        (40, 0, 4, "embedded JPEG"),
        (40, 0, 5, "embedded PNG"),
        (40, 32, 11, "CMYK"),
        (40, 64, 0, "64 bits per pixel"),
        (64, 1, 3, "Huffman coding"),
        (64, 24, 4, "run lengths of 24 bits"),
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
