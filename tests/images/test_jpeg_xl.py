"""JPEG XL is read with its depth, transparency and metadata; its size is checked first."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from batchcolor.errors import ProcessingError
from batchcolor.images.codec_samples import decode_srgb
from batchcolor.images.formats import JPEG_XL
from batchcolor.images.header import estimate_memory
from batchcolor.images.picture import Picture
from batchcolor.images.readers.jpeg_xl_header import parse_codestream_header, read_codestream_head
from batchcolor.images.scan import ScannedFile

ReadPicture = Callable[[Path], Picture]
ScanFile = Callable[[Path], ScannedFile]
RAMP = np.tile(np.linspace(2, 250, 96).astype(np.uint8), (64, 1))


def wrap(codestream: bytes, *boxes: tuple[bytes, bytes]) -> bytes:
    """Returns the container of a codestream with other boxes before it."""
    data = b"\0\0\0\x0cJXL \r\n\x87\n\0\0\0\x14ftypjxl \0\0\0\0jxl "
    for kind, content in (*boxes, (b"jxlc", codestream)):
        data += (8 + len(content)).to_bytes(4, "big") + kind + content
    return data


@pytest.mark.parametrize(
    "options", [{"lossless": True}, {"distance": 0.5}, {"lossless": True, "usecontainer": True}]
)
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_luma_and_alpha_are_kept(
    tmp_path: Path, read_picture: ReadPicture, channels: int, options: dict[str, Any]
) -> None:
    pixels = np.repeat(RAMP[..., None], channels, 2) if channels > 1 else RAMP
    path = tmp_path / "in.jxl"
    path.write_bytes(imagecodecs.jpegxl_encode(pixels, **options))
    picture = read_picture(path)
    assert picture.format == JPEG_XL
    assert (picture.alpha is not None) is (channels in (2, 4))
    assert np.abs(picture.luma.astype(int) - RAMP).max() <= (0 if "lossless" in options else 3)


def test_linear_16_bit_samples_get_the_curve_of_srgb(
    tmp_path: Path, read_picture: ReadPicture
) -> None:
    linear = (decode_srgb(RAMP) * 65535 + 0.5).astype(np.uint16)
    path = tmp_path / "in.jxl"
    path.write_bytes(imagecodecs.jpegxl_encode(linear, lossless=True))  # marked as linear sRGB
    luma = read_picture(path).luma
    assert luma.dtype == np.uint16
    assert np.abs(luma / 257 - RAMP).max() < 0.1


@pytest.mark.parametrize("size", [(1, 1), (8, 8), (16, 9), (300, 400), (1, 5000), (3000, 4)])
@pytest.mark.parametrize("channels", [1, 3])
def test_size_is_read_from_the_header(size: tuple[int, int], channels: int) -> None:
    pixels: NDArray[np.uint8] = np.zeros((*size, channels), np.uint8)
    for options in ({"lossless": True}, {"distance": 1.0}):
        data = imagecodecs.jpegxl_encode(pixels, effort=1, **options)
        header = parse_codestream_header(read_codestream_head(io.BytesIO(data)))
        assert (header.height, header.width) == size


def test_large_header_is_refused_before_decoding(tmp_path: Path, scan_file: ScanFile) -> None:
    bits = "0" + "11" + f"{2**30 - 2:030b}"[::-1] + "100" + "1"  # 2^30 - 1 square, all default
    packed = int(bits[::-1], 2).to_bytes((len(bits) + 7) // 8, "little")
    path = tmp_path / "in.jxl"
    path.write_bytes(b"\xff\x0a" + packed + bytes(40))
    with pytest.raises(ProcessingError, match="1073741823 x 1073741823 pixels exceed"):
        estimate_memory(scan_file(path), 10**9)


def test_exif_and_xmp_boxes_are_read_and_the_orientation_is_that_of_the_codestream(
    tmp_path: Path, read_picture: ReadPicture
) -> None:
    exif = Image.Exif()
    exif[0x010E], exif[0x0112] = "Aunt Ida, 1931", 6
    block = exif.tobytes().removeprefix(b"Exif\0\0")
    boxes = [(b"Exif", bytes(4) + block), (b"brob", b"xml " + imagecodecs.brotli_encode(b"<x/>"))]
    path = tmp_path / "in.jxl"
    path.write_bytes(wrap(imagecodecs.jpegxl_encode(RAMP, lossless=True), *boxes))
    picture = read_picture(path)
    assert picture.luma.shape == RAMP.shape
    assert picture.metadata.xmp == b"<x/>"
    read = Image.Exif()
    read.load(picture.metadata.exif)
    assert (read[0x010E], read[0x0112]) == ("Aunt Ida, 1931", 1)


def test_metadata_that_are_a_decompression_bomb_fail_in_little_memory(
    tmp_path: Path, read_picture: ReadPicture
) -> None:
    bomb = b"xml " + imagecodecs.brotli_encode(bytes(64 * 2**20))
    path = tmp_path / "in.jxl"
    path.write_bytes(wrap(imagecodecs.jpegxl_encode(RAMP, lossless=True), (b"brob", bomb)))
    with pytest.raises(ProcessingError, match="compressed metadata have more than 16 MiB"):
        read_picture(path)


def test_first_frame_of_an_animation_is_coloured_with_a_note(
    tmp_path: Path, read_picture: ReadPicture
) -> None:
    path = tmp_path / "in.jxl"
    path.write_bytes(imagecodecs.jpegxl_encode(np.stack([RAMP, RAMP[::-1, ::-1]]), lossless=True))
    picture = read_picture(path)
    assert np.abs(picture.luma.astype(int) - RAMP).max() <= 1
    assert picture.notes == ["the first frame of an animated JPEG XL; the others are dropped"]


@pytest.mark.parametrize("share", [0, 0.01, 0.1, 0.5, 0.9])
def test_truncated_file_fails(tmp_path: Path, read_picture: ReadPicture, share: float) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (80, 90), np.uint8)
    data = wrap(imagecodecs.jpegxl_encode(noise, lossless=True))
    path = tmp_path / "in.jxl"
    path.write_bytes(data[: max(30, int(len(data) * share))])
    with pytest.raises(ProcessingError, match=r"damaged|truncated"):
        read_picture(path)


@pytest.mark.parametrize("bits", [5, 8, 9, 10, 12, 14, 16])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_samples_of_any_number_of_bits_have_the_full_range(
    tmp_path: Path, read_picture: ReadPicture, bits: int, channels: int
) -> None:
    unit = np.tile(np.linspace(0, 1, 64), (32, 1))
    stored = np.round(unit * (2**bits - 1)).astype(np.uint8 if bits <= 8 else np.uint16)
    pixels = stored if channels == 1 else np.repeat(stored[..., None], channels, 2)
    path = tmp_path / "in.jxl"
    options = {} if bits <= 8 else {"bitspersample": bits}
    options = {"bitspersample": bits} if bits < 8 else options
    path.write_bytes(imagecodecs.jpegxl_encode(pixels, lossless=True, **options))
    picture = read_picture(path)
    values = stored / (2**bits - 1)
    full = 255 if bits <= 8 else 65535
    if bits > 8:  # imagecodecs marks them as linear
        values = np.where(values <= 0.0031308, values * 12.92, 1.055 * values ** (1 / 2.4) - 0.055)
    assert np.abs(picture.luma / full - values).max() < 0.003
    if channels == 4:
        assert picture.alpha is not None
        assert np.abs(picture.alpha / full - stored / (2**bits - 1)).max() < 0.003


LOSSY_WITH_PROFILE = (
    "/woBBEjhl2HADAoCAAwIE/PAOdhSWGiBj/O6qaeK6g0A/SPssqAnVH6FkxDm5mPZqVDQZYCZI9TMEaI1VktardZQ"
    "NQAACMBH3FVTFH+RlKn2CxTNuJkWgOEMngYKqERgSuBKKBR8QDxCCV7+eRGEGy8vD8u9Z/p+loUMx/ECwwNlUnIg"
    "NA5UUwkYUlEweWjXSgE43UY1I8BNr3//zrc8HxlOwL4Q//7dG/Lv374iOOWCwLhDziDksTQu8mGpjSFo2ehbgTUb"
    "x8A+0OeGF8dOAAASiAAoAd/rKQEAUKEyyrjBy7meLz90WEzbuM7QVtsWljAmngEWEs4aSDczNJdheIGGLIQQQiUc"
    "IJs7oquNyxegXYA0QCYAACAUvwDsBoAA"
)
"""A grey ramp of 24 x 8 pixels from 20 to 235 in Adobe RGB, as cjxl 0.7 encodes it with distance
0.3: libjxl has no number for that space, so the file has an ICC profile."""


def test_lossy_picture_with_a_profile_is_not_darkened(
    tmp_path: Path, read_picture: ReadPicture
) -> None:
    path = tmp_path / "in.jxl"
    path.write_bytes(base64.b64decode(LOSSY_WITH_PROFILE))
    picture = read_picture(path)
    shown = (np.linspace(20, 235, 24) / 255) ** (563 / 256)
    expected = np.where(shown <= 0.0031308, shown * 12.92, 1.055 * shown ** (1 / 2.4) - 0.055)
    difference = np.abs(picture.luma / 65535 - expected)[:, 2:]
    assert difference.mean() * 255 < 1.5
    assert any("dark tones" in note for note in picture.notes)
