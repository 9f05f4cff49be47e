"""Grey, CMYK and Lab profiles are converted: results look like their sources where colours are
managed."""

import io
import struct

import imagecodecs
import numpy as np
import pytest
import tifffile
from PIL import Image, ImageCms

from batchcolor.errors import ProcessingError
from batchcolor.images.color_profiles.icc import LAB, RGB, plan_conversion
from batchcolor.images.color_profiles.rgb_profiles import build_output_profile
from batchcolor.images.decode import decode
from batchcolor.images.decode_options import DecodeOptions
from batchcolor.images.formats import JPEG, PNG, TIFF, WEBP

NEUTRAL = np.zeros((2, 3, 3), np.float32)
WHITE_D50 = (0.3457, 0.3585)
FORMATS = {".jpg": JPEG, ".png": PNG, ".tif": TIFF, ".webp": WEBP}


def build_grey_profile(gamma=None, version=2):
    """A profile with a gamma, or with the curve of a dot gain of 20 %."""
    if gamma:
        profile = imagecodecs.cms_profile("gray", whitepoint=WHITE_D50, gamma=gamma)
    else:
        ink = np.linspace(1, 0, 256)  # nominal
        printed = np.minimum(ink + 0.8 * ink * (1 - ink), 1)  # 20 % more at half tone
        curve = np.round((1 - printed) * 65535).astype(np.uint16)
        profile = imagecodecs.cms_profile("gray", whitepoint=WHITE_D50, transferfunction=curve)
    return profile[:8] + bytes([version, 0x20]) + profile[10:]


def build_cmyk_profile():
    """A printer profile of version 2 whose darkest ink has L* 12, from CMYK to Lab and back."""
    grid = np.stack(np.meshgrid(*[np.array([0.0, 1.0])] * 4, indexing="ij"), -1).reshape(-1, 4)
    cyan, magenta, yellow, black = grid.T
    lightness = 12 + 83 * (1 - black) * (1 - 0.35 * cyan - 0.35 * magenta - 0.1 * yellow)
    a = (1 - black) * (70 * magenta - 35 * cyan)
    b = (1 - black) * (80 * yellow - 45 * cyan)
    lab = np.stack([lightness * 652.8, (a + 128) * 256, (b + 128) * 256], -1)
    to_lab = _build_lut(4, 3, lab)
    corners = np.stack(np.meshgrid(*[np.array([0.0, 1.0])] * 3, indexing="ij"), -1).reshape(-1, 3)
    to_ink = _build_lut(3, 4, np.repeat([[0, 0, 0, 1]], 8, 0) * (1 - corners[:, :1]) * 65535)
    xyz = b"XYZ \0\0\0\0" + struct.pack(">3i", 63190, 65536, 54061)
    text = b"desc\0\0\0\0" + struct.pack(">I", 5) + b"test\0" + b"\0" * 78
    copyright = b"text\0\0\0\0none\0"
    tags = [(b"desc", text), (b"cprt", copyright), (b"wtpt", xyz), (b"A2B0", to_lab)]
    tags.append((b"B2A0", to_ink))
    table, body, offset = struct.pack(">I", len(tags)), b"", 132 + 12 * len(tags)
    for name, content in tags:
        table += name + struct.pack(">II", offset + len(body), len(content))
        body += content + b"\0" * (-len(content) % 4)
    header = struct.pack(">I4sI", offset + len(body), b"\0" * 4, 0x02400000) + b"prtrCMYKLab "
    header += struct.pack(">6H", 2020, 1, 1, 0, 0, 0) + b"acsp" + b"\0" * 28
    header += struct.pack(">3i", 63190, 65536, 54061)
    return header.ljust(128, b"\0") + table + body


def _build_lut(inputs, outputs, values):
    """A `lut16Type` with two grid points a side and straight curves (ICC.1:2001, 6.5.8)."""
    matrix = struct.pack(">9i", 65536, 0, 0, 0, 65536, 0, 0, 0, 65536)
    head = b"mft2\0\0\0\0" + bytes([inputs, outputs, 2, 0]) + matrix + struct.pack(">HH", 2, 2)
    ramp = struct.pack(">HH", 0, 65535)
    return head + ramp * inputs + np.round(values).astype(">u2").tobytes() + ramp * outputs


def show(image, icc):
    """sRGB luma 0..255 of an image as a colour-managed viewer shows it."""
    if icc:
        source = ImageCms.ImageCmsProfile(io.BytesIO(icc))
        flags = ImageCms.Flags.BLACKPOINTCOMPENSATION
        image = ImageCms.profileToProfile(
            image, source, ImageCms.createProfile("sRGB"), 0, outputMode="RGB", flags=flags
        )
    return np.asarray(image.convert("L"), np.float64)


def gradient(side=64):
    return np.linspace(0, 255, side * side).reshape(side, side).astype(np.uint8)


def assert_looks_alike(encoded, source_view):
    result = Image.open(io.BytesIO(encoded))
    difference = np.abs(show(result, result.info.get("icc_profile", b"")) - source_view)
    assert difference.mean() < 1.5


@pytest.mark.parametrize("suffix", FORMATS)
@pytest.mark.parametrize("version", [2, 4])
@pytest.mark.parametrize("gamma", [None, 1.0, 1.8, 2.2])
def test_grey_profiles_are_converted(tmp_path, encode_result, gamma, version, suffix):
    icc = build_grey_profile(gamma, version)
    path = tmp_path / f"in{suffix}"
    image = Image.fromarray(gradient())
    options = {".jpg": {"quality": 98}, ".webp": {"lossless": True}}.get(suffix, {})
    image.save(path, icc_profile=icc, **options)
    encoded = encode_result(path, FORMATS[suffix], NEUTRAL)
    assert_looks_alike(encoded, show(image, icc))


def test_conversion_of_a_grey_profile_is_noted(tmp_path, read_picture):
    path = tmp_path / "in.png"
    Image.fromarray(gradient()).save(path, icc_profile=build_grey_profile(1.0))
    picture = read_picture(path)
    assert picture.notes == ["converted from its grey profile to sRGB"]
    assert picture.metadata.icc == build_output_profile("srgb")


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_16_bit_grey_with_a_linear_profile_keeps_16_bits(tmp_path, read_picture, suffix):
    icc = build_grey_profile(1.0)
    stored = np.arange(65536, dtype=np.uint16).reshape(256, 256)
    path = tmp_path / f"in{suffix}"
    if suffix == ".png":
        Image.fromarray(stored).save(path, icc_profile=icc)
    else:
        tifffile.imwrite(path, stored, iccprofile=icc, photometric="minisblack")
    linear = stored / 65535
    expected = np.where(
        linear <= 0.0031308, linear * 12.92, 1.055 * np.maximum(linear, 1e-9) ** (1 / 2.4) - 0.055
    )
    luma = read_picture(path).luma
    assert luma.dtype == np.uint16
    assert np.abs(luma - 65535 * expected).max() <= 1


def make_cmyk(dtype=np.uint8):
    samples = np.random.default_rng(0).integers(0, 256, (24, 24, 4), dtype=np.uint8)
    samples = samples.repeat(8, axis=0).repeat(8, axis=1)
    return samples if dtype == np.uint8 else samples.astype(np.uint16) * 257


@pytest.mark.parametrize("suffix", [".jpg", ".tif"])
def test_cmyk_profiles_are_converted_with_black_point_compensation(
    tmp_path, encode_result, read_picture, suffix
):
    icc = build_cmyk_profile()
    path = tmp_path / f"in{suffix}"
    Image.fromarray(make_cmyk(), "CMYK").save(path, icc_profile=icc, quality=98)
    stored = Image.open(path)
    assert_looks_alike(encode_result(path, FORMATS[suffix], NEUTRAL), show(stored, icc))
    solid = tmp_path / f"solid{suffix}"
    Image.new("CMYK", (16, 16), (0, 0, 0, 255)).save(solid, icc_profile=icc)
    assert read_picture(solid).luma.max() <= 2  # L* 12 without the compensation


def test_16_bit_cmyk_has_the_luma_of_8_bit_cmyk(tmp_path, read_picture):
    icc = build_cmyk_profile()
    Image.fromarray(make_cmyk(), "CMYK").save(tmp_path / "8.tif", icc_profile=icc)
    tifffile.imwrite(
        tmp_path / "16.tif", make_cmyk(np.uint16), photometric="separated", iccprofile=icc
    )
    few, many = (read_picture(tmp_path / f"{bits}.tif").luma for bits in (8, 16))
    assert many.dtype == np.uint16
    assert np.abs(many / 257 - few).max() < 1.5


def test_lab_without_a_profile_becomes_srgb(tmp_path, encode_result, read_picture):
    path = tmp_path / "in.tif"
    lab = ImageCms.profileToProfile(
        Image.fromarray(gradient()).convert("RGB"),
        ImageCms.createProfile("sRGB"),
        ImageCms.createProfile("LAB"),
        outputMode="LAB",
    )
    lab.save(path)
    assert np.abs(read_picture(path).luma.astype(int) - gradient()).max() <= 2
    assert_looks_alike(encode_result(path, TIFF, NEUTRAL), gradient())


@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_rgb_profiles_are_kept_with_the_samples_unchanged(tmp_path, read_picture, mode):
    icc = build_output_profile("adobe-rgb")
    path = tmp_path / "in.png"
    Image.fromarray(gradient()).convert(mode).save(path, icc_profile=icc)
    picture = read_picture(path)
    assert picture.metadata.icc == icc
    assert np.array_equal(picture.luma, gradient())
    assert not picture.notes


@pytest.mark.parametrize("profile", ["srgb", "display-p3", "adobe-rgb"])
@pytest.mark.parametrize("source", ["grey", "display-p3", "none"])
def test_profile_option_selects_the_space_of_the_result(tmp_path, scan_file, profile, source):
    known = {"grey": build_grey_profile(1.8), "none": b""}
    icc = known.get(source) or (b"" if source == "none" else build_output_profile(source))
    image = Image.fromarray(gradient())
    path = tmp_path / "in.jpg"
    image.convert("L" if source == "grey" else "RGB").save(path, icc_profile=icc, quality=98)
    picture = decode(scan_file(path), 10**6, (), DecodeOptions(profile=profile))
    assert picture.metadata.icc == build_output_profile(profile)
    result = Image.fromarray(picture.luma).convert("RGB")
    stored = Image.open(path)
    assert np.abs(show(result, picture.metadata.icc) - show(stored, icc)).mean() < 1.5


def test_result_that_holds_no_profile_is_srgb(tmp_path, scan_file):
    path = tmp_path / "in.png"
    image = Image.fromarray(gradient()).convert("RGB")
    icc = build_output_profile("adobe-rgb")
    image.save(path, icc_profile=icc)
    picture = decode(scan_file(path), 10**6, (), DecodeOptions(embeds_profile=False))
    assert not picture.metadata.icc
    assert np.abs(picture.luma - show(image, icc)).max() <= 1
    assert np.abs(picture.luma.astype(int) - gradient()).max() > 3


def test_profile_of_other_samples_or_damaged_is_dropped_with_a_note():
    notes = []
    assert plan_conversion(build_cmyk_profile(), RGB, "keep", notes).target == b""
    assert plan_conversion(build_grey_profile(1.0), RGB, "keep", notes).target == b""
    assert plan_conversion(build_output_profile("srgb")[:100], RGB, "keep", notes).target == b""
    assert notes == [
        "CMYK profile dropped: the samples are RGB",
        "grey profile dropped: the samples are RGB",
        "damaged ICC profile dropped",
    ]


def test_profiles_of_results_agree_with_those_of_littlecms():
    samples = np.random.default_rng(0).integers(0, 65536, (64, 64, 3), dtype=np.uint16)
    for name, known in (("srgb", "srgb"), ("adobe-rgb", "adobergb")):
        converted = imagecodecs.cms_transform(
            samples,
            imagecodecs.cms_profile(known),
            build_output_profile(name),
            colorspace="rgb",
            outcolorspace="rgb",
        )
        assert np.abs(converted.astype(int) - samples).max() < 100  # of 65535


@pytest.mark.parametrize("profile", [b"", build_cmyk_profile()])
def test_built_in_profile_that_littlecms_cannot_convert_fails_the_picture(monkeypatch, profile):
    monkeypatch.setattr(
        "batchcolor.images.color_profiles.icc._is_convertible", lambda source, target: False
    )
    with pytest.raises(ProcessingError, match="LittleCMS cannot convert its samples"):
        plan_conversion(profile, LAB, "display-p3", [])
