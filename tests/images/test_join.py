"""The luma of a picture is kept, whatever chroma is joined to it."""

import io
from pathlib import Path

import numpy as np
import pytest
import simplejpeg
from PIL import Image

from batchcolor.images import join as joining
from batchcolor.images.encode import encode
from batchcolor.images.formats import BMP, JPEG, PNG, TIFF, WEBP
from batchcolor.images.join import join
from batchcolor.images.picture import Picture, reduce_to_8_bits, resize_luma


def luma_difference(result: bytes, path) -> np.ndarray:
    """The absolute difference of Pillow's luma of result and source."""
    result_luma = np.asarray(Image.open(io.BytesIO(result)).convert("L"), int)
    source_luma = np.asarray(Image.open(path).convert("L"), int)
    return np.abs(result_luma - source_luma)


@pytest.mark.parametrize("target", [PNG, TIFF, BMP], ids=lambda f: f.name)
@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK", "P", "1", "YCbCr"])
def test_luma_is_within_one_step_with_any_chroma(
    tmp_path, encode_result, random_chroma, target, mode
):
    rgb = np.random.default_rng(1).integers(0, 256, (9, 7, 3), dtype=np.uint8)
    image = Image.fromarray(rgb).resize((210, 133), Image.Resampling.BICUBIC).convert(mode)
    path = tmp_path / ("in.tif" if mode in ("CMYK", "YCbCr") else "in.png")
    image.save(path)
    difference = luma_difference(encode_result(path, target, random_chroma), path)
    assert (difference <= 1).mean() >= 0.99
    assert difference.mean() <= 0.5


def test_saturated_jpeg_keeps_the_luma_of_its_clipped_rgb(tmp_path, encode_result, random_chroma):
    rgb = np.random.default_rng(2).choice([0, 255], (12, 12, 3)).astype(np.uint8)
    path = tmp_path / "saturated.jpg"
    Image.fromarray(rgb).resize((240, 240), Image.Resampling.NEAREST).save(path, quality=85)
    difference = luma_difference(encode_result(path, PNG, random_chroma), path)
    assert (difference <= 1).mean() >= 0.99
    assert difference.mean() <= 0.5


def test_photographs_keep_their_luma_in_png_and_within_the_codec_in_jpeg(
    shared_data, encode_result, random_chroma
):
    paths = [
        *sorted((shared_data / "old").glob("*.*g"))[:12],
        *sorted((shared_data / "dev").glob("*"))[:12],
    ]
    for path in paths:
        png = luma_difference(encode_result(path, PNG, random_chroma), path)
        assert (png <= 1).mean() >= 0.99, path
        assert png.mean() <= 0.5, path
        jpeg = luma_difference(encode_result(path, JPEG, 0.2 * random_chroma), path)
        assert jpeg.mean() <= 1.2, path


def test_sixteen_bits_are_kept_in_png_and_tiff(tmp_path, encode_result, random_chroma):
    import imagecodecs
    import tifffile

    deep = np.linspace(0, 65535, 120 * 90).reshape(90, 120).astype(np.uint16)
    path = tmp_path / "deep.png"
    path.write_bytes(imagecodecs.png_encode(deep))
    for target in (PNG, TIFF):
        data = encode_result(path, target, random_chroma)
        rgb = imagecodecs.png_decode(data) if target == PNG else tifffile.imread(io.BytesIO(data))
        assert rgb.dtype == np.uint16
        luma = rgb.astype(float) @ [0.299, 0.587, 0.114]
        assert np.abs(luma - deep).max() <= 1.0
        assert len(np.unique(rgb[..., 1])) > 5000


def test_sixteen_bits_are_reduced_for_jpeg_with_a_note(tmp_path, read_picture, random_chroma):
    path = tmp_path / "deep.tif"
    Image.fromarray(np.full((20, 20), 40000, np.uint16)).save(path)
    picture = read_picture(path)
    image = join(picture, random_chroma, 0.0, JPEG)
    assert image.luma is not None
    assert int(image.luma[0, 0]) == round(40000 / 257)
    assert any("16 bits reduced to 8" in note for note in picture.notes)


def test_strength_scales_chroma_and_zero_gives_grey(tmp_path, read_picture, grey_picture):
    path = tmp_path / "in.png"
    grey_picture(64, 48).save(path)
    saturation = []
    for strength in (0.0, 0.5, 1.0):
        chroma = np.full((2, 4, 4), 0.05, np.float32)
        rgb = join(read_picture(path), chroma, strength, PNG).rgb
        assert rgb is not None
        saturation.append(float((rgb.max(axis=2).astype(int) - rgb.min(axis=2)).mean()))
    assert saturation[0] == 0
    assert saturation[1] == pytest.approx(saturation[2] / 2, rel=0.1)


def test_transparency_is_kept_where_the_format_supports_it(
    tmp_path, read_picture, encode_result, random_chroma
):
    rgba = np.random.default_rng(3).integers(0, 256, (40, 30, 4), dtype=np.uint8)
    path = tmp_path / "in.png"
    Image.fromarray(rgba).save(path)
    for target in (PNG, WEBP, TIFF):
        result = Image.open(io.BytesIO(encode_result(path, target, random_chroma)))
        assert np.array_equal(np.asarray(result)[..., 3], rgba[..., 3])
    picture = read_picture(path)
    join(picture, random_chroma, 1.0, JPEG)
    assert any("transparency" in note for note in picture.notes)


def test_sixteen_bits_are_reduced_to_the_nearest_of_eight():
    samples = np.arange(65536, dtype=np.uint16).reshape(512, 128)
    expected = np.floor(samples / 257 + 0.5)
    assert np.array_equal(reduce_to_8_bits(samples), expected)
    stacked = np.repeat(samples[..., None], 3, axis=2)
    assert np.array_equal(reduce_to_8_bits(stacked)[..., 1], expected)
    assert np.array_equal(reduce_to_8_bits(samples.ravel()), expected.ravel())


@pytest.mark.parametrize("coarse_size", [0, 10**9], ids=["4 x 4", "2 x 2"])
def test_no_pixel_of_a_block_leaves_rgb_with_any_chroma(monkeypatch, coarse_size):
    monkeypatch.setattr(joining, "COARSE_SIZE", coarse_size)
    random = np.random.default_rng(4)
    for size in ((1, 1), (2, 3), (33, 47), (130, 70)):
        luma = random.integers(0, 256, size, dtype=np.uint8)
        chroma = random.uniform(-0.5, 0.5, (2, 7, 5)).astype(np.float32)
        image = join(Picture(Path("noise.png"), luma, None, PNG), chroma, 1.0, JPEG)
        assert image.cb is not None
        assert image.cr is not None
        cb, cr = (np.repeat(np.repeat(p, 2, 0), 2, 1) - 128.0 for p in (image.cb, image.cr))
        cb, cr = cb[: size[0], : size[1]], cr[: size[0], : size[1]]
        green = luma - 0.344136 * cb - 0.714136 * cr
        for channel in (luma + 1.402 * cr, green, luma + 1.772 * cb):
            assert channel.min() > -1
            assert channel.max() < 256
        if min(size) > 32:
            assert np.abs(cb).max() > 10
        encoded = simplejpeg.decode_jpeg(encode(image, image.metadata, 96), "GRAY")[..., 0]
        assert encoded.shape == size
        assert np.abs(encoded.astype(int) - luma).mean() < 2.5


def test_blocks_of_large_pictures_have_the_place_and_chroma_of_small_ones(monkeypatch):
    luma = np.full((90, 131), 128, np.uint8)
    luma[:40, :50] = 254
    chroma = np.random.default_rng(8).uniform(-0.1, 0.1, (2, 4, 5)).astype(np.float32)
    planes = []
    for coarse_size in (0, 10**9):
        monkeypatch.setattr(joining, "COARSE_SIZE", coarse_size)
        image = join(Picture(Path("a.png"), luma, None, PNG), chroma, 1.0, JPEG)
        planes.append(np.stack([image.cb, image.cr]).astype(int))
    assert planes[0].shape == planes[1].shape == (2, 45, 66)
    difference = np.abs(planes[0] - planes[1])  # large where blocks lie across the edge of luma
    assert np.quantile(difference, 0.95) <= 3
    assert np.ptp(planes[0]) > 20


@pytest.mark.parametrize("size", [(7, 9), (100, 64), (333, 41), (2999, 16), (20000, 3)])
def test_the_square_of_a_colorizer_is_an_average_of_the_picture(size):
    ramp = np.linspace(0, 200, size[0])[:, None] + np.linspace(0, 55, size[1])
    luma = (ramp + np.random.default_rng(6).integers(0, 2, size)).astype(np.uint8)
    square = resize_luma(luma, 16)
    image = Image.fromarray(luma).resize((16, 16), Image.Resampling.BILINEAR)
    assert np.abs(square * 255 - np.asarray(image, float)).max() <= 4
    assert np.abs(square * 255 - np.asarray(image, float)).mean() <= 1
