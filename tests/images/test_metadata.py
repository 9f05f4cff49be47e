"""EXIF, ICC profile, resolution and comment of the source are written to the result."""

import numpy as np
import pytest
from PIL import Image, ImageCms

from batchcolor.images.formats import AVIF, JPEG, PNG, TIFF, WEBP

DESCRIPTION, MAKE, ORIENTATION = 0x010E, 0x010F, 0x0112
INVERSE_TRANSPOSE = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}
"""The transpose of Pillow that stores an upright picture in each EXIF orientation."""


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", [".jpg", ".png", ".tif", ".webp", ".avif"])
def test_orientation_is_applied_to_the_pixels_and_set_to_1(
    tmp_path, scan_file, colour_file, orientation, suffix
):
    upright = np.zeros((40, 60), np.uint8)
    upright[:10, :20] = 250  # bright at the upper left
    stored = Image.fromarray(upright)
    if orientation in INVERSE_TRANSPOSE:
        stored = stored.transpose(Image.Transpose(INVERSE_TRANSPOSE[orientation]))
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    exif[DESCRIPTION] = "Aunt Ida, 1931"
    path = tmp_path / f"in{suffix}"
    if suffix == ".jpg":
        stored = stored.convert("RGB")  # of a grey JPEG luma is copied, and pixels are not turned
    stored.save(path, exif=exif)
    assert scan_file(path).format is not None
    for target in (JPEG, PNG, WEBP, TIFF, AVIF):
        result = colour_file(path, target)
        luma = np.asarray(result.convert("L"), int)
        assert luma.shape == (40, 60)
        assert luma[:8, :18].mean() > 230
        assert luma[14:, 24:].mean() < 20
        tags = result.getexif()
        assert tags.get(ORIENTATION, 1) == 1
        assert tags.get(DESCRIPTION) == "Aunt Ida, 1931"


def test_exif_profile_resolution_and_comment_are_kept_in_jpeg(tmp_path, colour_file):
    exif = Image.Exif()
    exif[MAKE] = "Leica"
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    path = tmp_path / "in.jpg"
    Image.new("RGB", (30, 20), (90, 90, 90)).save(
        path, exif=exif, icc_profile=profile, dpi=(300, 300), comment=b"box 7"
    )
    result = colour_file(path, JPEG)
    result.load()
    assert result.getexif()[MAKE] == "Leica"
    assert result.info["icc_profile"] == profile
    assert result.info["dpi"] == (300, 300)
    assert result.info["comment"] == b"box 7"


def test_damaged_exif_is_dropped_and_the_picture_coloured(tmp_path, colour_file):
    path = tmp_path / "in.jpg"
    Image.new("L", (30, 20), 90).save(path, exif=b"Exif\0\0MM\0*\0\0\0\x08\xff\xff\xff")
    assert colour_file(path, JPEG).size == (30, 20)


def test_tiff_keeps_its_resolution(tmp_path, colour_file):
    path = tmp_path / "in.tif"
    Image.new("L", (20, 20)).save(path, dpi=(600, 600))
    assert colour_file(path, TIFF).info["dpi"] == (600, 600)


@pytest.mark.parametrize("target", [PNG, TIFF], ids=lambda f: f.name)
def test_sixteen_bit_results_keep_metadata(tmp_path, colour_file, target):
    exif = Image.Exif()
    exif[DESCRIPTION] = "Aunt Ida, 1931"
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    path = tmp_path / "in.png"
    deep = np.full((20, 30), 30000, np.uint16)
    Image.fromarray(deep).save(path, exif=exif, icc_profile=profile, dpi=(300, 300))
    result = colour_file(path, target)
    result.load()
    assert result.getexif()[DESCRIPTION] == "Aunt Ida, 1931"
    assert result.info["icc_profile"] == profile
    assert result.info["dpi"] == pytest.approx((300, 300), abs=0.1)
