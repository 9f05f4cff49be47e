"""The one idea: a photograph keeps its own luma, whatever chroma it is given."""

import io

import numpy as np
import pytest
from PIL import Image

from batchcolor.color import compute_gamut_scale, rgb_to_luma, ycbcr_to_rgb
from batchcolor.images.decode import decode
from batchcolor.images.encode import encode
from batchcolor.images.formats import BMP, JPEG, PNG, TIFF, WEBP
from batchcolor.images.join import join
from batchcolor.images.scan import ScannedFile, scan


def decoded(path):
    (found,) = scan(path)
    assert isinstance(found, ScannedFile)
    return decode(found, 10**9)


def wild_chroma(seed=0, side=16):
    return np.random.default_rng(seed).uniform(-0.5, 0.5, (2, side, side)).astype(np.float32)


def luma_error(data: bytes, path) -> np.ndarray:
    ours = np.asarray(Image.open(io.BytesIO(data)).convert("L"), int)
    theirs = np.asarray(Image.open(path).convert("L"), int)
    return np.abs(ours - theirs)


@pytest.mark.parametrize("target", [PNG, TIFF, BMP], ids=lambda f: f.name)
@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK", "P", "1", "YCbCr"])
def test_any_chroma_leaves_luma_within_one_step(tmp_path, target, mode):
    rgb = np.random.default_rng(1).integers(0, 256, (9, 7, 3), dtype=np.uint8)
    image = Image.fromarray(rgb).resize((210, 133), Image.Resampling.BICUBIC).convert(mode)
    path = tmp_path / ("in.tif" if mode in ("CMYK", "YCbCr") else "in.png")
    image.save(path)
    picture = decoded(path)
    error = luma_error(
        encode(join(picture, wild_chroma(), 1.0, target), picture.metadata, None), path
    )
    assert (error <= 1).mean() >= 0.99
    assert error.mean() <= 0.5


def test_a_vividly_coloured_jpeg_keeps_the_luma_that_people_see(tmp_path):
    rgb = np.random.default_rng(2).choice([0, 255], (12, 12, 3)).astype(np.uint8)
    path = tmp_path / "vivid.jpg"
    Image.fromarray(rgb).resize((240, 240), Image.Resampling.NEAREST).save(path, quality=85)
    picture = decoded(path)
    error = luma_error(encode(join(picture, wild_chroma(), 1.0, PNG), picture.metadata, None), path)
    assert (error <= 1).mean() >= 0.99
    assert error.mean() <= 0.5


def test_photographs_keep_their_luma_in_png_and_nearly_in_jpeg(shared_data):
    for path in [
        *sorted((shared_data / "old").glob("*.*g"))[:12],
        *sorted((shared_data / "dev").glob("*"))[:12],
    ]:
        picture = decoded(path)
        png = luma_error(
            encode(join(picture, wild_chroma(), 1.0, PNG), picture.metadata, None), path
        )
        assert (png <= 1).mean() >= 0.99, path
        assert png.mean() <= 0.5, path
        calm = 0.2 * wild_chroma()
        jpeg = luma_error(encode(join(picture, calm, 1.0, JPEG), picture.metadata, None), path)
        assert jpeg.mean() <= 1.2, path


def test_sixteen_bits_stay_sixteen_in_png_and_tiff(tmp_path):
    import imagecodecs
    import tifffile

    deep = np.linspace(0, 65535, 120 * 90).reshape(90, 120).astype(np.uint16)
    path = tmp_path / "deep.png"
    path.write_bytes(imagecodecs.png_encode(deep))
    for target in (PNG, TIFF):
        picture = decoded(path)
        data = encode(join(picture, wild_chroma(), 1.0, target), picture.metadata, None)
        rgb = imagecodecs.png_decode(data) if target == PNG else tifffile.imread(io.BytesIO(data))
        assert rgb.dtype == np.uint16
        luma = rgb.astype(float) @ [0.299, 0.587, 0.114]
        assert np.abs(luma - deep).max() <= 1.0
        assert len(np.unique(rgb[..., 1])) > 5000


def test_sixteen_bits_become_eight_in_jpeg_and_this_is_said(tmp_path):
    deep = np.full((20, 20), 40000, np.uint16)
    path = tmp_path / "deep.tif"
    Image.fromarray(deep).save(path)
    picture = decoded(path)
    planes = join(picture, wild_chroma(), 0.0, JPEG)
    assert planes.luma is not None
    assert int(planes.luma[0, 0]) == round(40000 / 257)
    assert any("16 bits became 8" in note for note in picture.notes)


def test_strength_scales_chroma_and_zero_is_neutral_grey(tmp_path, grey_picture):
    path = tmp_path / "in.png"
    grey_picture(64, 48).save(path)
    spread = []
    for strength in (0.0, 0.5, 1.0):
        picture = decoded(path)
        rgb = join(picture, np.full((2, 4, 4), 0.05, np.float32), strength, PNG).rgb
        assert rgb is not None
        spread.append(float((rgb.max(axis=2).astype(int) - rgb.min(axis=2)).mean()))
    assert spread[0] == 0
    assert spread[1] == pytest.approx(spread[2] / 2, rel=0.1)


def test_transparency_is_kept_where_the_format_can_hold_it(tmp_path):
    rgba = np.random.default_rng(3).integers(0, 256, (40, 30, 4), dtype=np.uint8)
    path = tmp_path / "in.png"
    Image.fromarray(rgba).save(path)
    for target in (PNG, WEBP, TIFF):
        picture = decoded(path)
        data = encode(join(picture, wild_chroma(), 1.0, target), picture.metadata, None)
        assert np.array_equal(np.asarray(Image.open(io.BytesIO(data)))[..., 3], rgba[..., 3])
    picture = decoded(path)
    join(picture, wild_chroma(), 1.0, JPEG)
    assert any("transparency" in note for note in picture.notes)


def test_luma_of_is_what_pillow_calls_luma():
    rgb = np.random.default_rng(4).integers(0, 256, (50, 60, 3), dtype=np.uint8)
    assert np.array_equal(rgb_to_luma(rgb), np.asarray(Image.fromarray(rgb).convert("L")))


def test_gamut_scale_ends_at_the_very_edge_of_rgb():
    chance = np.random.default_rng(5)
    luma = chance.random(5000).astype(np.float32)
    cb, cr = chance.uniform(-0.5, 0.5, (2, 5000)).astype(np.float32)
    scale = compute_gamut_scale(luma, cb, cr)
    channels = np.stack(ycbcr_to_rgb(luma, cb * scale, cr * scale))
    assert channels.min() >= -1e-5
    assert channels.max() <= 1 + 1e-5
    shortened = scale < 1
    touching = (channels.min(0) < 1e-4) | (channels.max(0) > 1 - 1e-4)
    assert touching[shortened].all()


@pytest.mark.parametrize("size", [(9, 9), (9, 8), (8, 9), (31, 17), (400, 301)])
def test_the_same_picture_gives_the_same_jpeg_at_odd_sizes_too(tmp_path, grey_picture, size):
    path = tmp_path / "in.png"
    grey_picture(*size).save(path)
    results = set()
    for seed in range(30):
        picture = decoded(path)
        junk = [np.random.default_rng(seed + i).bytes(300) for i in range(50)]
        del junk  # what a read past the end of a plane would find
        results.add(encode(join(picture, wild_chroma(), 1.0, JPEG), picture.metadata, None))
    assert len(results) == 1
