"""Odd stills: sizes, modes, orientation, metadata, wrong names."""

import io
import zlib

import numpy as np
import pytest
from PIL import Image, ImageCms

from batchcolor.errors import ProcessingError
from batchcolor.images.decode import decode
from batchcolor.images.encode import encode
from batchcolor.images.formats import FORMATS, JPEG, PNG, TIFF
from batchcolor.images.header import estimate_memory
from batchcolor.images.join import join
from batchcolor.images.picture import resize_luma
from batchcolor.images.scan import ScannedFile, SkippedEntry, scan

CHROMA = np.full((2, 3, 3), 0.1, np.float32)


def only(path) -> ScannedFile:
    (found,) = scan(path)
    assert isinstance(found, ScannedFile)
    return found


def read(path):
    """As the pipeline does: first the header, then the whole."""
    estimate_memory(only(path), 10**9)
    return decode(only(path), 10**9)


def coloured(path, target=PNG) -> Image.Image:
    picture = decode(only(path), 10**9)
    return Image.open(
        io.BytesIO(encode(join(picture, CHROMA, 1.0, target), picture.metadata, None))
    )


@pytest.mark.parametrize("size", [(1, 1), (2, 1), (1, 3), (1, 20000), (20000, 1), (17, 5)])
@pytest.mark.parametrize("target", FORMATS, ids=lambda f: f.name)
def test_every_size_is_coloured_and_stays(tmp_path, size, target):
    if target.name == "webp" and max(size) > 16383:
        pytest.skip("WebP itself ends at 16,383 pixels")
    path = tmp_path / "in.png"
    Image.new("L", size, 120).save(path)
    assert resize_luma(decode(only(path), 10**9).luma, 16).shape == (16, 16)
    result = coloured(path, target)
    assert result.size == size
    assert result.mode == "RGB"


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", [".jpg", ".png", ".tif", ".webp"])
def test_pixels_are_turned_upright_once_and_the_tag_says_so(tmp_path, orientation, suffix):
    upright = np.zeros((40, 60), np.uint8)
    upright[:10, :20] = 250  # bright at the upper left
    undo = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}  # Pillow's transposes that lay it so
    stored = Image.fromarray(upright)
    if orientation in undo:
        stored = stored.transpose(Image.Transpose(undo[orientation]))
    exif = Image.Exif()
    exif[0x0112] = orientation
    exif[0x010E] = "Aunt Ida, 1931"
    path = tmp_path / f"in{suffix}"
    stored.save(path, exif=exif)
    result = coloured(path, only(path).format)
    luma = np.asarray(result.convert("L"), int)
    assert luma.shape == (40, 60)
    assert luma[:8, :18].mean() > 230
    assert luma[14:, 24:].mean() < 20
    tags = result.getexif()
    assert tags.get(0x0112, 1) == 1
    assert tags.get(0x010E) == "Aunt Ida, 1931"


def test_exif_profile_density_and_comment_go_into_the_jpeg(tmp_path):
    exif = Image.Exif()
    exif[0x010F] = "Leica"
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    path = tmp_path / "in.jpg"
    Image.new("RGB", (30, 20), (90, 90, 90)).save(
        path, exif=exif, icc_profile=profile, dpi=(300, 300), comment=b"box 7"
    )
    result = coloured(path, JPEG)
    result.load()
    assert result.getexif()[0x010F] == "Leica"
    assert result.info["icc_profile"] == profile
    assert result.info["dpi"] == (300, 300)
    assert result.info["comment"] == b"box 7"


def test_a_broken_exif_block_costs_itself_and_not_the_picture(tmp_path):
    path = tmp_path / "in.jpg"
    Image.new("L", (30, 20), 90).save(path, exif=b"Exif\0\0MM\0*\0\0\0\x08\xff\xff\xff")
    assert coloured(path, JPEG).size == (30, 20)


def test_a_png_named_jpg_is_read_by_content_and_this_is_said(tmp_path):
    path = tmp_path / "in.jpg"
    Image.new("L", (30, 20), 90).save(path, "PNG")
    found = only(path)
    assert found.format == PNG
    assert "PNG by content" in found.note


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "empty"),
        (b"hello, I am no picture", "not a picture"),
        (b"\xff\xd8\xff\xe0 garbage after the mark", "garbage|damaged|truncated"),
        (b"\x89PNG\r\n\x1a\n" + bytes(60), "garbage|damaged|truncated"),
    ],
)
def test_garbage_is_refused_with_a_reason(tmp_path, content, words):
    path = tmp_path / "in.jpg"
    path.write_bytes(content)
    with pytest.raises(ProcessingError, match=words):
        read(path)


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".tif", ".webp", ".bmp"])
def test_a_truncated_picture_is_refused_with_a_reason(tmp_path, grey_picture, suffix):
    whole = tmp_path / f"whole{suffix}"
    grey_picture(200, 150).save(whole)
    path = tmp_path / f"in{suffix}"
    path.write_bytes(whole.read_bytes()[: whole.stat().st_size * 2 // 3])
    with pytest.raises(ProcessingError) as caught:
        read(path)
    assert len(caught.value.reason) > 8


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".tif", ".webp"])
def test_a_damaged_picture_fails_and_never_comes_out_half(tmp_path, grey_picture, suffix):
    whole = tmp_path / f"whole{suffix}"
    options = {"compression": "tiff_adobe_deflate"} if suffix == ".tif" else {}
    grey_picture(300, 200).save(whole, **options)
    truth = np.asarray(Image.open(whole).convert("L"), int)
    content = whole.read_bytes()
    failed = 0
    for seed in range(40):
        damaged = bytearray(content)
        places = np.random.default_rng(seed).integers(len(content) // 4, len(content), 12)
        for place in places:
            damaged[place] ^= 0x55
        path = tmp_path / f"damaged-{seed}{suffix}"
        path.write_bytes(damaged)
        try:
            luma = read(path).luma
        except ProcessingError:
            failed += 1
        else:  # what passes is what the format itself cannot tell: still a whole picture
            assert np.asarray(luma, int).shape == truth.shape
            assert suffix != ".png", "PNG has checksums over every pixel"
    assert failed >= {".jpg": 20, ".png": 40, ".tif": 40, ".webp": 0}[suffix]


def test_a_decompression_bomb_is_refused_from_its_header(tmp_path):
    small = io.BytesIO()
    Image.new("L", (8, 8)).save(small, "PNG")
    bomb = bytearray(small.getvalue())
    bomb[16:24] = (65535).to_bytes(4, "big") * 2
    bomb[29:33] = zlib.crc32(bomb[12:29]).to_bytes(4, "big")
    path = tmp_path / "bomb.png"
    path.write_bytes(bomb)
    with pytest.raises(ProcessingError, match="max-pixels"):
        estimate_memory(only(path), 400_000_000)
    whole = tmp_path / "large.png"
    Image.new("L", (1000, 1000)).save(whole)
    with pytest.raises(ProcessingError, match="max-pixels"):
        estimate_memory(only(whole), 999_999)


def test_several_pages_are_refused_by_name(tmp_path):
    path = tmp_path / "pages.tif"
    page = Image.new("L", (20, 20))
    page.save(path, save_all=True, append_images=[page, page])
    with pytest.raises(ProcessingError, match="3 pages"):
        estimate_memory(only(path), 10**9)


def test_a_file_that_changes_after_it_was_found_is_named_and_not_mixed(tmp_path):
    path = tmp_path / "in.png"
    Image.new("L", (20, 20)).save(path)
    found = only(path)
    Image.new("L", (40, 40), 200).save(path)
    with pytest.raises(ProcessingError, match="changed while"):
        decode(found, 10**9)


def test_sixteen_bit_colour_is_read_with_all_its_bits(tmp_path):
    import imagecodecs

    rgb = np.random.default_rng(0).integers(0, 65536, (20, 30, 3), dtype=np.uint16)
    path = tmp_path / "in.png"
    path.write_bytes(imagecodecs.png_encode(rgb))
    luma = decode(only(path), 10**9).luma
    assert luma.dtype == np.uint16
    assert np.abs(luma - rgb @ np.array([0.299, 0.587, 0.114])).max() <= 1


@pytest.mark.parametrize("mode", ["I", "F"])
def test_thirty_two_bit_samples_are_read_over_their_range(tmp_path, mode):
    ramp = np.linspace(0, 1, 400).reshape(20, 20)
    values = ramp.astype(np.float32) if mode == "F" else (ramp * 60000).astype(np.int32)
    path = tmp_path / "in.tif"
    Image.fromarray(values).save(path)
    luma = decode(only(path), 10**9).luma
    assert luma.dtype == np.uint16
    assert luma[0, 0] == 0
    assert luma[-1, -1] == (65535 if mode == "F" else 60000)


def test_scanning_opens_nothing_but_files_and_says_what_it_passes(tmp_path):
    import os

    Image.new("L", (8, 8)).save(tmp_path / "one.png")
    (tmp_path / "folder.jpg").mkdir()
    os.mkfifo(tmp_path / "pipe.jpg")
    (tmp_path / "dangling.jpg").symlink_to("nowhere")
    (tmp_path / "loop").symlink_to(".")
    (tmp_path / "layers.psd").write_bytes(b"8BPS....")
    Image.new("L", (8, 8)).save(tmp_path / "moving.gif")
    (tmp_path / "film.mp4").write_bytes(b"\0\0\0\x18ftypisom")
    (tmp_path / "sound.m4a").write_bytes(b"\0\0\0\x18ftypM4A ")
    (tmp_path / "sound.mka").write_bytes(b"\x1aE\xdf\xa3....matroska")
    (tmp_path / "no suffix either").write_bytes(b"\x1aE\xdf\xa3....matroska")
    (tmp_path / "notes.txt").write_text("no picture")
    Image.new("L", (8, 8)).save(tmp_path / "no suffix", "JPEG")
    entries = list(scan(tmp_path))
    found = [entry.relative.name for entry in entries if isinstance(entry, ScannedFile)]
    films = [
        entry.relative.name for entry in entries if isinstance(entry, ScannedFile) and entry.is_film
    ]
    passed = {entry.path.name: entry.reason for entry in entries if isinstance(entry, SkippedEntry)}
    assert found == ["film.mp4", "moving.gif", "no suffix", "no suffix either", "one.png"]
    assert films == ["film.mp4", "moving.gif", "no suffix either"]
    assert set(passed) == {"pipe.jpg", "dangling.jpg", "loop", "layers.psd"}


def test_a_tiff_keeps_its_density(tmp_path):
    path = tmp_path / "in.tif"
    Image.new("L", (20, 20)).save(path, dpi=(600, 600))
    assert coloured(path, TIFF).info["dpi"] == (600, 600)


@pytest.mark.parametrize("target", [PNG, TIFF], ids=lambda f: f.name)
def test_sixteen_bit_results_carry_metadata_too(tmp_path, target):
    exif = Image.Exif()
    exif[0x010E] = "Aunt Ida, 1931"
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    path = tmp_path / "in.png"
    deep = np.full((20, 30), 30000, np.uint16)
    Image.fromarray(deep).save(path, exif=exif, icc_profile=profile, dpi=(300, 300))
    result = coloured(path, target)
    result.load()
    assert result.getexif()[0x010E] == "Aunt Ida, 1931"
    assert result.info["icc_profile"] == profile
    assert result.info["dpi"] == pytest.approx((300, 300), abs=0.1)
