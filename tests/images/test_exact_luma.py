"""`--luma exact`: the coded luma of a JPEG with three components is copied, by jpeglib."""

from __future__ import annotations

import importlib.util
import io
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
import simplejpeg
from PIL import Image, ImageCms

from batchcolor.images.decode import decode
from batchcolor.images.decode_options import DecodeOptions
from batchcolor.images.encode import encode
from batchcolor.images.formats import JPEG
from batchcolor.images.join import join
from batchcolor.images.jpeg.luma_coefficients import CODED_AGAIN
from batchcolor.images.picture import Picture

pytest.importorskip("jpeglib", reason="batchcolor[exact] is not installed")

EXACT = DecodeOptions(luma="exact")
CHROMA = np.full((2, 3, 3), 0.05, np.float32)


def make_toned(size=(64, 48), mode="RGB") -> Image.Image:
    """A grey picture, or one in sepia where its mode has colours."""
    small = np.random.default_rng(1).integers(70, 180, (6, 8), dtype=np.uint8)
    grey = Image.fromarray(small).resize(size, Image.Resampling.BICUBIC)
    return Image.merge("RGB", [grey.point(lambda v, d=d: v + d) for d in (20, 0, -20)]).convert(
        mode
    )


def decode_luma(data: bytes) -> np.ndarray:
    return simplejpeg.decode_jpeg(data, "GRAY", strict=True)[..., 0]


@pytest.fixture
def colour(scan_file):
    """Returns a function that decodes a file with `--luma exact`, and encodes it coloured."""

    def colour_file(path: Path) -> tuple[bytes, Picture]:
        picture = decode(scan_file(path), 10**9, (), EXACT)
        image = join(picture, CHROMA, 1.0, JPEG)
        return encode(image, image.metadata, None), picture

    return colour_file


@pytest.mark.parametrize("subsampling", ["4:4:4", "4:2:2", "4:2:0"])
@pytest.mark.parametrize("is_progressive", [False, True], ids=["baseline", "progressive"])
@pytest.mark.parametrize("size", [(1, 1), (7, 9), (17, 33), (101, 63)], ids=str)
def test_luma_of_a_colour_jpeg_is_bit_identical(
    tmp_path, colour, subsampling, is_progressive, size
):
    path = tmp_path / "in.jpg"
    image = make_toned(size)
    image.save(path, quality=90, subsampling=subsampling, progressive=is_progressive)
    result, picture = colour(path)
    assert picture.notes == []
    assert Image.open(io.BytesIO(result)).size == size
    assert np.array_equal(decode_luma(result), decode_luma(path.read_bytes()))


@pytest.mark.parametrize(
    "reader", ["Pillow", "simplejpeg", "imagecodecs", "FFmpeg", "OpenCV", "ImageMagick"]
)
def test_common_readers_show_the_colours(tmp_path, colour, read_with, reader):
    path = tmp_path / "in.jpg"
    make_toned((61, 35)).save(path, quality=90, restart_marker_blocks=2)
    result, _ = colour(path)
    shown = read_with(reader, result).astype(float)
    cb = cr = 0.05 * 255
    offsets = np.array([1.402 * cr, -0.344136 * cb - 0.714136 * cr, 1.772 * cb])
    expected = decode_luma(path.read_bytes())[..., None] + offsets
    assert np.abs(shown - expected).max() <= 4


def test_metadata_and_orientation_are_kept_as_stored(tmp_path, colour):
    path, tags = tmp_path / "in.jpg", Image.Exif()
    tags[0x0112], tags[0x010E] = 6, "a view"
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    make_toned().save(path, exif=tags, comment=b"scanned 1998", icc_profile=profile, dpi=(300, 300))
    result, picture = colour(path)
    assert picture.grey_jpeg is not None
    image = Image.open(io.BytesIO(result))
    assert dict(image.getexif()) == dict(tags)
    assert image.info["comment"] == b"scanned 1998"
    assert image.info["icc_profile"] == profile
    assert image.info["dpi"] == (300, 300)
    assert np.array_equal(decode_luma(result), decode_luma(path.read_bytes()))


def save_saturated(path: Path) -> None:
    rgb = np.zeros((64, 64, 3), np.uint8)
    rgb[:32, :, 0] = 255
    rgb[32:, :, 2] = 255
    Image.fromarray(rgb).save(path, quality=60)


def save_encoded(path: Path, **options: object) -> None:
    path.write_bytes(imagecodecs.jpeg8_encode(np.asarray(make_toned()), **options))


def save_deep(path: Path) -> None:
    deep = np.asarray(make_toned()).astype(np.uint16) << 4
    path.write_bytes(imagecodecs.jpeg8_encode(deep, bitspersample=12))


@pytest.mark.parametrize(
    ("save", "reason"),
    [
        (lambda path: make_toned(mode="CMYK").save(path), "CMYK or YCCK"),
        (lambda path: make_toned().save(path, keep_rgb=True), "not that of the colours"),
        (save_saturated, "not that of the colours"),
        (lambda path: save_encoded(path, lossless=True), "lossless JPEG"),
        (save_deep, "12-bit"),
    ],
    ids=["CMYK", "RGB", "saturated", "lossless", "12 bits"],
)
def test_what_cannot_be_copied_is_coded_again_with_a_note(tmp_path, colour, save, reason):
    path = tmp_path / "in.jpg"
    save(path)
    result, picture = colour(path)
    assert picture.grey_jpeg is None
    (note,) = [note for note in picture.notes if note.startswith(CODED_AGAIN)]
    assert reason in note
    Image.open(io.BytesIO(result)).load()


def test_damaged_colour_files_give_what_the_ordinary_way_gives(tmp_path, scan_file):
    """Files whose scan is changed either fail in both ways, or have the same luma."""
    random, path = np.random.default_rng(2), tmp_path / "in.jpg"
    make_toned((40, 40)).save(path, quality=90)
    whole = path.read_bytes()
    copied = 0
    for _ in range(150):
        data = bytearray(whole)
        place = int(random.integers(2, len(data)))
        data[place] ^= 1 << int(random.integers(0, 8))
        path.write_bytes(data)
        lumas = []
        for options in (DecodeOptions(), EXACT):
            try:
                picture = decode(scan_file(path), 10**6, (), options)
            except Exception as error:
                lumas.append(str(error).encode())
                continue
            lumas.append(picture.luma.tobytes())
            if options is EXACT and picture.grey_jpeg is not None:
                image = join(picture, CHROMA, 1.0, JPEG)
                result = encode(image, image.metadata, None)
                assert np.array_equal(decode_luma(result), image.luma)
                copied += 1
        assert lumas[0] == lumas[1]
    assert copied > 20


def test_the_option_reaches_the_results(tmp_path, command, flat):
    source, out = tmp_path / "in.jpg", tmp_path / "out"
    make_toned().save(source, quality=90)
    command("run", source, "-m", flat, "-o", out, "--luma", "exact")
    result = (out / "in.jpg").read_bytes()
    assert np.array_equal(decode_luma(result), decode_luma(source.read_bytes()))
    restored = command("restore", out / "in.jpg", "-o", tmp_path / "grey.jpg")
    assert restored.returncode == 3


def test_a_missing_package_is_reported_before_the_job_starts(tmp_path, command, flat, monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda n: None if n == "jpeglib" else find(n))
    make_toned().save(tmp_path / "in.jpg")
    done = command("run", tmp_path / "in.jpg", "-m", flat, "--luma", "exact")
    assert done.returncode == 2
    assert "pip install 'batchcolor[exact]'" in done.stderr
    assert not (tmp_path / "in-colorized").exists()
