"""Samples of TIFF: bits, sample formats, order of bits and bytes, layouts and compressions."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray
from PIL import Image

from batchcolor.images.picture import Picture

ReadPicture = Callable[[Path], Picture]
ROWS, COLUMNS = np.mgrid[0:37, 0:53]
TRUTH = (ROWS * 3 + COLUMNS * 5) % 256 / 255.0
"""Luma in 0..1 of the test picture, `(37, 53)`: neither side fills the tiles and strips."""
BITS = (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 14, 16, 20, 24, 32)
COMPRESSIONS = (1, 5, 8, 32773, 50000)


def check_luma(picture: Picture, truth: NDArray[Any], tolerance: float = 0.6) -> None:
    """Compares luma with the truth in 0..1; the tolerance is in steps of 255."""
    full = np.iinfo(picture.luma.dtype).max
    assert picture.luma.shape == truth.shape
    error = np.abs(picture.luma / full - truth).max() * 255
    assert error <= tolerance, f"{error:.2f} steps, {picture.notes}"


def quantize(truth: NDArray[Any], bits: int) -> NDArray[Any]:
    dtype = np.uint8 if bits <= 8 else np.uint16 if bits <= 16 else np.uint32
    return np.round(truth * (2.0**bits - 1)).astype(dtype)


@pytest.mark.parametrize("bits", BITS)
@pytest.mark.parametrize("order", ["<", ">"])
def test_packed_samples_are_read_in_every_layout(
    tmp_path: Path,
    read_picture: ReadPicture,
    write_packed: Callable[..., None],
    bits: int,
    order: str,
) -> None:
    path = tmp_path / "in.tif"
    values = quantize(TRUTH, bits)
    truth = values / (2.0**bits - 1)
    for number, compression in enumerate(COMPRESSIONS):
        for photometric in (0, 1):
            stored = values if photometric else 2**bits - 1 - values
            write_packed(
                *(path, stored, bits),
                compression=compression,
                photometric=photometric,
                order=order,
                is_tiled=(number + photometric) % 2 == 0,
                is_lsb_first=number > 2,
            )
            picture = read_picture(path)
            assert picture.luma.dtype == (np.uint8 if bits <= 8 else np.uint16)
            assert not picture.notes
            check_luma(picture, truth, 0.51 if bits <= 8 else 0.01)


@pytest.mark.parametrize("bits", [2, 4, 8, 10, 12, 14, 16, 32])
def test_packed_samples_equal_the_reading_of_libtiff(
    tmp_path: Path,
    read_picture: ReadPicture,
    write_packed: Callable[..., None],
    read_with_magick: Callable[[Path], NDArray[Any]],
    bits: int,
) -> None:
    path = tmp_path / "in.tif"
    rgb = np.stack([quantize(TRUTH, bits), quantize(1 - TRUTH, bits), quantize(TRUTH, bits)], -1)
    for photometric, values in ((1, rgb[..., 0]), (2, rgb)):
        write_packed(path, values, bits, photometric=photometric, order=">", compression=5)
        check_luma(read_picture(path), read_with_magick(path), 1.0)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_floating_point_samples_are_scaled_from_their_range(
    tmp_path: Path, read_picture: ReadPicture, dtype: str
) -> None:
    path = tmp_path / "in.tif"
    for scale, white in ((1, 1), (3.5, 3.5), (250, 255), (60000, 65535)):
        values = (TRUTH * scale).astype(dtype)
        for options in ({}, {"compression": "zlib", "predictor": 3}, {"tile": (16, 16)}):
            if dtype == "float16" and "predictor" in options:
                options = {"compression": "zlib"}
            tifffile.imwrite(path, values, **options)
            picture = read_picture(path)
            check_luma(picture, values.astype(float) / white, 0.01)
            assert bool(picture.notes) == (scale > 1)


def test_a_single_bright_sample_does_not_make_a_float_picture_black(
    tmp_path: Path, read_picture: ReadPicture
) -> None:
    path = tmp_path / "in.tif"
    values = TRUTH.astype(np.float32)
    values[3, 3] = 1.2
    tifffile.imwrite(path, values)
    picture = read_picture(path)
    assert picture.luma.max() == 65535
    assert np.median(picture.luma) > 25000
    assert "1.2" in picture.notes[0]


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_samples_that_are_not_finite_are_refused(
    tmp_path: Path, read_picture: ReadPicture, value: float
) -> None:
    path = tmp_path / "in.tif"
    values = TRUTH.astype(np.float32)
    values[3, 3] = value
    tifffile.imwrite(path, values)
    with pytest.raises(Exception, match="not finite"):
        read_picture(path)


@pytest.mark.parametrize("dtype", ["int16", "int32", "int64", "uint32", "uint64"])
@pytest.mark.parametrize("order", ["<", ">"])
def test_signed_and_wide_integers_use_the_range_of_their_type(
    tmp_path: Path, read_picture: ReadPicture, dtype: str, order: str
) -> None:
    path = tmp_path / "in.tif"
    highest = float(np.iinfo(dtype).max)
    values = (TRUTH * highest * 0.999999).astype(dtype)
    tifffile.imwrite(path, values, byteorder=order)
    check_luma(read_picture(path), values / highest, 0.51)


def test_signed_integers_below_zero_are_stretched(
    tmp_path: Path, read_picture: ReadPicture
) -> None:
    path = tmp_path / "in.tif"
    for low, high in ((-32768, 32767), (-900, 1200)):
        values = np.round(low + TRUTH * (high - low)).astype(np.int16)
        tifffile.imwrite(path, values)
        picture = read_picture(path)
        check_luma(picture, (values - float(low)) / (high - low), 0.01)
        assert "as black" in picture.notes[0]


@pytest.mark.parametrize(("low", "black"), [(-0.05, 0.0), (-1.0, -1.0)])
def test_floating_point_values_slightly_below_zero_are_clipped(
    tmp_path: Path, read_picture: ReadPicture, low: float, black: float
) -> None:
    path = tmp_path / "in.tif"
    values = (low + TRUTH * (0.9 - low)).astype(np.float32)
    tifffile.imwrite(path, values)
    picture = read_picture(path)
    check_luma(picture, np.clip((values - black) / (1 - black), 0, 1), 0.01)
    assert "as black" in picture.notes[0]


def test_signed_bytes_are_read_as_unsigned_ones(tmp_path: Path, read_picture: ReadPicture) -> None:
    path = tmp_path / "in.tif"
    values = quantize(TRUTH, 8)
    tifffile.imwrite(path, values.view(np.int8))
    picture = read_picture(path)
    assert np.array_equal(picture.luma, np.asarray(Image.open(path)))
    assert np.array_equal(picture.luma, values)


def test_wide_integers_that_use_16_bits_are_not_black(
    tmp_path: Path, read_picture: ReadPicture
) -> None:
    path = tmp_path / "in.tif"
    for highest, white in ((250, 255), (60000, 65535), (100000, 100000)):
        values = (TRUTH * highest).astype(np.uint32)
        tifffile.imwrite(path, values)
        picture = read_picture(path)
        check_luma(picture, values / white, 0.01)
        assert picture.notes


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "uint32", "float32", "float64"])
@pytest.mark.parametrize("order", ["<", ">"])
def test_predictors_are_undone(
    tmp_path: Path, read_picture: ReadPicture, dtype: str, order: str
) -> None:
    path = tmp_path / "in.tif"
    is_float = dtype.startswith("float")
    values = TRUTH.astype(dtype) if is_float else (TRUTH * np.iinfo(dtype).max).astype(dtype)
    truth = values.astype(float) / (1 if is_float else np.iinfo(dtype).max)
    for compression in ("zlib", "lzw", "zstd"):
        for options in ({}, {"tile": (16, 32)}, {"rowsperstrip": 8}):
            kind = 3 if is_float else 2
            tifffile.imwrite(
                path, values, byteorder=order, compression=compression, predictor=kind, **options
            )
            check_luma(read_picture(path), truth, 0.51)


@pytest.mark.parametrize(
    "compression", ["lzma", "png", "jpeg2000", "jpegxl", "jpegxr", "lerc", "webp", "zstd"]
)
def test_lossless_image_codecs_are_read(
    tmp_path: Path, read_picture: ReadPicture, compression: str
) -> None:
    path = tmp_path / "in.tif"
    grey = quantize(TRUTH, 8)
    rgb = np.stack([grey, grey, grey], -1)
    is_rgb = compression in ("webp", "jpegxr")
    options = {"compressionargs": {"lossless": True}} if compression == "webp" else {}
    tifffile.imwrite(
        *(path, rgb if is_rgb else grey),
        photometric="rgb" if is_rgb else "minisblack",
        compression=compression,
        rowsperstrip=16,
        **options,
    )
    check_luma(read_picture(path), grey / 255, 0.1)


@pytest.mark.parametrize("compression", ["group3", "group4", "tiff_ccitt"])
def test_fax_compressions_are_read(
    tmp_path: Path, read_picture: ReadPicture, compression: str
) -> None:
    path = tmp_path / "in.tif"
    Image.fromarray(TRUTH > 0.5).save(path, compression=compression)
    check_luma(read_picture(path), TRUTH > 0.5, 0)


def test_a_bigtiff_is_read(tmp_path: Path, read_picture: ReadPicture) -> None:
    path = tmp_path / "in.tif"
    for order in "><":
        tifffile.imwrite(
            *(path, quantize(TRUTH, 16)), bigtiff=True, byteorder=order, software="scanner 3"
        )
        picture = read_picture(path)
        check_luma(picture, TRUTH, 0.01)
    assert b"scanner 3" in read_picture(path).metadata.exif
