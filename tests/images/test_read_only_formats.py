"""Still formats that are read and not written: HEIF, AVIF, DPX and others."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from batchcolor.errors import ProcessingError
from batchcolor.images import formats
from batchcolor.images.encode import encode
from batchcolor.images.formats import (
    HEIF,
    JPEG,
    PNG,
    describe_missing_decoder,
)
from batchcolor.images.join import join
from batchcolor.images.picture import Picture
from batchcolor.images.scan import ScannedFile

ScanFile = Callable[[Path], ScannedFile]
ReadPicture = Callable[[Path], Picture]
NEUTRAL = np.zeros((2, 1, 1), np.float32)


def ramp(width: int = 96, height: int = 64) -> NDArray[np.uint16]:
    """Returns grey samples that increase from left to right."""
    return np.tile(np.linspace(2000, 60000, width).astype(np.uint16), (height, 1))


def write_dpx(path: Path, pixel_format: str) -> None:
    """Writes the ramp as one frame of DPX."""
    frame = av.VideoFrame.from_ndarray(np.repeat(ramp()[..., None], 3, 2), format="rgb48le")
    context: Any = av.CodecContext.create("dpx", "w")
    context.width, context.height, context.pix_fmt = 96, 64, pixel_format
    context.time_base = Fraction(1, 24)
    frame = frame.reformat(format=pixel_format)
    frame.pts = 0
    path.write_bytes(b"".join(bytes(packet) for packet in context.encode(frame)))


def test_heic_is_read_with_orientation_and_exif(tmp_path: Path, read_picture: ReadPicture) -> None:
    pillow_heif = pytest.importorskip("pillow_heif", reason="needs the extra heif")
    exif = Image.Exif()
    exif[0x010E], exif[0x0112] = "Aunt Ida, 1931", 6
    path = tmp_path / "in.HEIC"
    stored = Image.fromarray((ramp() >> 8).astype(np.uint8))
    pillow_heif.from_pillow(stored.convert("RGB")).save(path, quality=95, exif=exif.tobytes())
    picture = read_picture(path)
    assert picture.format == HEIF
    assert picture.format.result_format == HEIF
    assert picture.luma.shape == (96, 64)
    assert np.abs(np.rot90(picture.luma).astype(int) - np.asarray(stored)).mean() < 4
    data = encode(join(picture, NEUTRAL, 1.0, JPEG), picture.metadata, None)
    tags = Image.open(io.BytesIO(data)).getexif()
    assert tags[0x010E] == "Aunt Ida, 1931"
    assert tags.get(0x0112, 1) == 1


def test_primary_picture_of_heic_is_coloured_and_damaged_heic_fails(
    tmp_path: Path, read_picture: ReadPicture
) -> None:
    pillow_heif = pytest.importorskip("pillow_heif", reason="needs the extra heif")
    page, other = (Image.new("RGB", (64, 64), (level,) * 3) for level in (90, 200))
    pages, damaged = tmp_path / "pages.heic", tmp_path / "damaged.heic"
    file = pillow_heif.from_pillow(page)
    file.save(damaged)
    file.add_from_pillow(other)
    file.save(pages, primary_index=1)
    picture = read_picture(pages)
    assert abs(int(picture.luma.mean()) - 200) <= 2
    assert picture.notes == ["the primary of 2 pages or frames; the others are dropped"]
    damaged.write_bytes(damaged.read_bytes()[:-60])
    with pytest.raises(ProcessingError):
        read_picture(damaged)


def test_avif_is_read(tmp_path: Path, read_picture: ReadPicture) -> None:
    if describe_missing_decoder(formats.AVIF):
        pytest.skip("this Pillow is built without AVIF")
    path = tmp_path / "in.avif"
    Image.new("RGB", (40, 30), (120, 120, 120)).save(path)
    picture = read_picture(path)
    assert picture.format.result_format == formats.AVIF
    assert abs(int(picture.luma.mean()) - 120) <= 2


@pytest.mark.parametrize("suffix", [".jp2", ".pgm", ".ppm", ".pbm", ".tga", ".pcx", ".sgi", ".qoi"])
def test_lossless_formats_of_pillow_keep_their_luma(
    tmp_path: Path, read_picture: ReadPicture, suffix: str
) -> None:
    path = tmp_path / f"in{suffix}"
    stored = Image.fromarray((ramp() >> 8).astype(np.uint8))
    stored = stored.convert({".pbm": "1", ".ppm": "RGB", ".qoi": "RGB"}.get(suffix, "L"))
    stored.save(path)
    picture = read_picture(path)
    assert picture.format.result_format == PNG
    assert np.array_equal(picture.luma, np.asarray(stored.convert("L")))


@pytest.mark.parametrize("pixel_format", ["gray", "gray16le", "rgb24", "gbrp10le", "rgb48le"])
def test_dpx_keeps_its_luma(tmp_path: Path, read_picture: ReadPicture, pixel_format: str) -> None:
    path = tmp_path / "in.dpx"
    write_dpx(path, pixel_format)
    picture = read_picture(path)
    assert picture.luma.dtype == np.uint16
    assert np.abs(picture.luma.astype(int) - ramp()).max() <= 520  # 8 bits: steps of 257, dithered


@pytest.mark.parametrize("share", [0.9, 0.6, 0.3])
@pytest.mark.parametrize(
    "suffix", [".jp2", ".pgm", ".tga", ".pcx", ".sgi", ".avif", ".heic", ".dpx"]
)
def test_truncated_picture_fails_with_a_reason(
    tmp_path: Path, read_picture: ReadPicture, grey_picture: Any, suffix: str, share: float
) -> None:
    path = tmp_path / f"in{suffix}"
    stored = grey_picture(200, 150)
    if suffix == ".dpx":
        write_dpx(path, "rgb24")
    elif suffix == ".heic":
        pillow_heif = pytest.importorskip("pillow_heif", reason="needs the extra heif")
        pillow_heif.from_pillow(stored.convert("RGB")).save(path)
    else:
        stored.convert("RGB" if suffix == ".avif" else "L").save(path)
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    with pytest.raises(ProcessingError) as caught:
        read_picture(path)
    assert re.match("damaged|truncated", caught.value.reason)
    assert "Errno" not in caught.value.reason
