"""Pictures in colour are recognized; toned, tinted, stained and noisy grey ones are not."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from batchcolor.images.color_detection import has_colors
from batchcolor.images.decode import decode
from batchcolor.images.scan import scan

TONES = {
    "grey": ((0, 0, 0), (255, 255, 255)),
    "sepia": ((20, 8, 0), (255, 240, 205)),
    "cyanotype": ((10, 25, 70), (240, 248, 255)),
    "faded": ((70, 45, 40), (225, 205, 150)),
}


def tone(luma: np.ndarray, name: str) -> np.ndarray:
    dark, light = (np.array(color, float) for color in TONES[name])
    share = (luma / 255.0)[..., None]
    middle = np.array([12, -4, -9.0]) * (4 * share * (1 - share)) * (name == "sepia")
    return np.clip(dark + (light - dark) * share + middle, 0, 255).round().astype(np.uint8)


def colour_picture(width: int = 300, height: int = 200) -> Image.Image:
    """Broad areas of many colours, with grain, like a photograph of a market."""
    chance = np.random.default_rng(5)
    areas = Image.fromarray(chance.integers(40, 216, (7, 9, 3), dtype=np.uint8))
    broad = np.asarray(areas.resize((width, height), Image.Resampling.BICUBIC), float)
    pale = broad.mean(axis=2, keepdims=True) * 0.5 + broad * 0.5
    grain = chance.normal(0, 5, (height, width, 1))
    return Image.fromarray(np.clip(pale + grain, 0, 255).astype(np.uint8))


def as_jpeg(image: Image.Image, quality: int) -> Image.Image:
    data = io.BytesIO()
    image.save(data, "JPEG", quality=quality)
    return Image.open(data)


@pytest.mark.parametrize("name", TONES)
@pytest.mark.parametrize("quality", [30, 75, 95])
def test_toned_pictures_are_not_in_colour(grey_picture, name, quality):
    toned = Image.fromarray(tone(np.asarray(grey_picture(300, 200)), name))

    assert not has_colors(as_jpeg(toned, quality))
    assert not has_colors(np.asarray(toned).astype(np.uint16) * 257)


def test_a_scan_with_colour_noise_is_not_in_colour(grey_picture):
    luma = np.asarray(grey_picture(600, 400), float)[..., None]
    noise = np.random.default_rng(1).normal(0, 10, (400, 600, 3))

    assert not has_colors(np.clip(luma + noise, 0, 255).astype(np.uint8))


def test_a_print_on_stained_paper_is_not_in_colour(grey_picture):
    luma = np.asarray(grey_picture(300, 200), float)[..., None]
    stain = np.linspace(0, 1, 300)[None, :, None] * np.array([0, 0.08, 0.3])

    assert not has_colors((luma * (1 - stain)).astype(np.uint8))


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P", "CMYK", "LAB"])
def test_pictures_in_colour_are_recognized_in_every_mode(mode):
    image = colour_picture()
    if mode == "LAB":
        from PIL import ImageCms

        profiles = ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB")
        image = ImageCms.profileToProfile(image, *profiles, outputMode="LAB")
    else:
        image = image.convert(mode)

    assert has_colors(image)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "I;16", "F"])
def test_grey_modes_are_not_in_colour(grey_picture, mode):
    assert not has_colors(grey_picture(40, 30).convert(mode))


def test_colours_below_full_transparency_do_not_count(grey_picture):
    image = colour_picture().convert("RGBA")
    image.putalpha(0)

    assert not has_colors(image)


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tif", "bmp", "jp2", "ppm", "tga"])
def test_a_decoded_picture_states_whether_it_is_in_colour(tmp_path, grey_picture, suffix):
    colour, toned = tmp_path / f"colour.{suffix}", tmp_path / f"toned.{suffix}"
    colour_picture().save(colour)
    Image.fromarray(tone(np.asarray(grey_picture(300, 200)), "sepia")).save(toned)

    states = [decode(found, 10**6).is_colored for found in scan(tmp_path)]

    assert states == [True, False]


def test_16_bit_colour_is_recognized(tmp_path):
    import imagecodecs

    pixels = np.asarray(colour_picture()).astype(np.uint16) * 257
    (tmp_path / "deep.png").write_bytes(imagecodecs.png_encode(pixels))

    (found,) = scan(tmp_path)

    assert decode(found, 10**6).is_colored


def test_a_grey_print_beside_a_colour_chart_is_not_in_colour(grey_picture):
    scan = Image.new("RGB", (600, 450), (245, 243, 238))
    scan.paste(grey_picture(600, 400).convert("RGB"))
    for index, color in enumerate(("cyan", "crimson", "gold", "green", "orange", "purple")):
        scan.paste(Image.new("RGB", (80, 40), color), (20 + 95 * index, 405))

    assert not has_colors(as_jpeg(scan, 85))


def test_colours_in_the_middle_of_a_page_are_recognized():
    page = Image.new("RGB", (400, 300), (232, 222, 196))
    page.paste(colour_picture(300, 200), (50, 50))

    assert has_colors(page)


@pytest.mark.parametrize("size", [(1, 1), (2, 300), (5, 5)])
def test_tiny_and_narrow_pictures_are_classified(size):
    assert has_colors(Image.new("RGB", size, "red")) is False
