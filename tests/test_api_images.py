"""`colorize` with pictures in memory: Pillow images of every mode, and arrays."""

import numpy as np
import pytest
from PIL import Image, ImageCms, ImageOps

import batchcolor
from batchcolor.errors import (
    ProcessingError,
    UsageError,
)


def test_a_pillow_image_an_array_and_a_path_give_the_same_colour(tmp_path, grey_picture):
    image = grey_picture(120, 80)
    path = tmp_path / "in.png"
    image.save(path)
    from_image = batchcolor.colorize(image)
    from_array = batchcolor.colorize(np.asarray(image))
    from_path = batchcolor.colorize(path)
    assert isinstance(from_image, Image.Image)
    assert isinstance(from_array, np.ndarray)
    assert from_array.shape == (80, 120, 3)
    assert np.array_equal(np.asarray(from_image), from_array)
    assert np.array_equal(np.asarray(from_path), from_array)


def test_luma_is_kept_and_strength_is_kept_to(grey_picture):
    image = grey_picture(120, 80)
    model = batchcolor.load_colorizer("beta", device="cpu")
    result = model.colorize(image)
    difference = np.abs(np.asarray(result.convert("L"), int) - np.asarray(image, int))
    assert difference.max() <= 1
    grey = np.asarray(model.colorize(image, strength=0.0))
    assert (grey.max(axis=2) == grey.min(axis=2)).all()
    assert (np.asarray(result).max(axis=2) != np.asarray(result).min(axis=2)).mean() > 0.5


def test_deep_arrays_stay_deep_and_transparency_stays(grey_picture):
    deep = np.asarray(grey_picture(40, 30)).astype(np.uint16) * 257
    assert batchcolor.colorize(deep).dtype == np.uint16
    rgba = grey_picture(40, 30).convert("RGBA")
    rgba.putalpha(77)
    assert batchcolor.colorize(rgba).getpixel((3, 3))[3] == 77


MODES = (
    *(
        "1",
        "L",
        "LA",
        "La",
        "P",
        "PA",
        "RGB",
        "RGBA",
        "RGBa",
        "RGBX",
        "CMYK",
        "YCbCr",
        "LAB",
        "HSV",
    ),
    *("I", "F", "I;16", "I;16L", "I;16B", "I;16N"),
)


def image_of_mode(mode: str) -> tuple[Image.Image, np.ndarray]:
    """An opaque grey ramp in a mode, and its 8-bit luma."""
    ramp = np.tile(np.linspace(20, 235, 200).round().astype(np.uint8), (120, 1))
    grey = Image.fromarray(ramp)
    if mode == "1":
        ramp = np.where(ramp > 127, 255, 0).astype(np.uint8)
        return Image.fromarray(ramp).convert("1"), ramp
    if mode == "I":
        return Image.fromarray(ramp.astype(np.int32) * 257), ramp
    if mode == "F":
        return Image.fromarray((ramp / 255).astype(np.float32)), ramp
    if mode.startswith("I;16"):
        samples = (ramp.astype(np.uint16) * 257).astype(">u2" if mode == "I;16B" else "<u2")
        return Image.frombytes(mode, grey.size, samples.tobytes()), ramp
    if mode == "LAB":
        transform = ImageCms.buildTransform(
            ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), "RGB", "LAB"
        )
        lab = ImageCms.applyTransform(grey.convert("RGB"), transform)
        assert lab is not None
        return lab, ramp
    premultiplied = {"La": "LA", "RGBa": "RGBA", "PA": "P"}
    return grey.convert(premultiplied.get(mode, mode)).convert(mode), ramp


@pytest.mark.parametrize("mode", MODES)
def test_an_image_of_any_mode_keeps_its_luma(mode):
    image, luma = image_of_mode(mode)
    assert image.mode == mode
    before = image.tobytes()
    result = batchcolor.load_colorizer("beta", device="cpu").colorize(image)
    assert result.mode == "RGB"
    difference = np.abs(np.asarray(result.convert("L"), int) - luma)
    assert difference.max() <= (2 if mode == "LAB" else 1)
    assert image.tobytes() == before


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I", "F", "I;16"])
def test_an_image_gives_the_same_result_as_its_file(tmp_path, mode):
    image, _ = image_of_mode(mode)
    path = tmp_path / "in.tif"
    image.save(path)
    results = [np.asarray(batchcolor.colorize(source, "beta")) for source in (image, path)]
    assert np.array_equal(*results)


def test_samples_outside_the_usual_ranges_are_stretched_and_never_clipped():
    ramp = np.tile(np.linspace(-1, 2, 200, dtype=np.float32), (50, 1))
    luma = np.asarray(batchcolor.colorize(Image.fromarray(ramp), "beta").convert("L"), int)
    assert luma[0, 0] <= 1
    assert luma[0, -1] >= 254
    assert abs(luma.mean() - 127) < 3
    constant = Image.new("F", (8, 8), -5.0)
    assert batchcolor.colorize(constant, "beta").size == (8, 8)


@pytest.mark.parametrize("mode", ["LA", "RGBA", "RGBa", "La", "PA", "P"])
def test_an_image_keeps_its_transparency(mode):
    rgba = Image.new("RGBA", (20, 10), (90, 90, 90, 255))
    rgba.paste((90, 90, 90, 0), (0, 0, 5, 10))
    image = rgba
    if mode in ("P", "PA"):
        image = rgba.convert("P") if mode == "P" else rgba.convert("LA").convert("PA")
        if mode == "PA":  # Pillow's conversion drops alpha
            image.putalpha(rgba.getchannel("A"))
    elif mode in ("LA", "La"):
        image = rgba.convert("LA").convert(mode)
    elif mode == "RGBa":
        image = rgba.convert("RGBa")
    result = batchcolor.colorize(image, "beta")
    assert result.mode == "RGBA"
    alpha = np.asarray(result.getchannel("A"))
    assert (alpha[:, :5] == 0).all()
    assert (alpha[:, 5:] == 255).all()


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("opened", [True, False], ids=["file opened by Pillow", "converted copy"])
def test_an_image_is_turned_upright_each_time_and_its_metadata_is_kept(
    tmp_path, orientation, opened
):
    exif = Image.Exif()
    exif[0x0112] = orientation
    exif[0x010E] = "Aunt Ida, 1931"
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    stored = Image.new("L", (60, 40), 40)
    stored.paste(220, (0, 0, 30, 20))
    path = tmp_path / "in.png"
    stored.save(path, exif=exif, icc_profile=profile, dpi=(300, 300))
    image = Image.open(path)
    if not opened:
        image = image.convert("RGB")
    expected = np.asarray(ImageOps.exif_transpose(image).convert("L"), int)
    for _ in range(2):
        result = batchcolor.colorize(image, "beta")
        assert np.abs(np.asarray(result.convert("L"), int) - expected).max() <= 1
        tags = result.getexif()
        assert tags.get(0x0112, 1) == 1
        assert tags[0x010E] == "Aunt Ida, 1931"
        assert result.info["icc_profile"] == profile
        assert result.info["dpi"] == pytest.approx((300, 300), abs=0.1)
        assert image.getexif()[0x0112] == orientation
    from_path = batchcolor.colorize(path, "beta")
    assert np.array_equal(np.asarray(from_path), np.asarray(result))
    assert from_path.getexif()[0x010E] == "Aunt Ida, 1931"


def test_a_damaged_image_opened_by_pillow_fails_with_a_reason(tmp_path, grey_picture):
    grey_picture(200, 150).save(tmp_path / "whole.png")
    path = tmp_path / "in.png"
    path.write_bytes((tmp_path / "whole.png").read_bytes()[:2000])
    with pytest.raises(ProcessingError):
        batchcolor.colorize(Image.open(path), "beta")


@pytest.mark.parametrize("image", [3, None, [1], b"", np.zeros((4, 4)), np.zeros((2, 2, 2), "u1")])
def test_an_image_of_a_wrong_type_is_refused_with_a_sentence(image):
    with pytest.raises(UsageError):
        batchcolor.colorize(image, "beta")
    with pytest.raises(UsageError):
        list(batchcolor.colorize_many([image], "beta"))


def test_a_deep_image_becomes_the_nearest_of_eight_bits(grey_picture):
    deep = np.asarray(grey_picture(40, 30)).astype(np.uint16) * 256 + 250
    as_array = batchcolor.colorize(deep, strength=0)
    result = batchcolor.colorize(Image.fromarray(deep), strength=0)
    assert as_array.dtype == np.uint16
    assert np.array_equal(np.asarray(result), np.round(as_array / 257).astype(np.uint8))
