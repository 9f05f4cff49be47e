"""Damaged, unknown and unusual files: decoded completely or refused with a reason."""

import io
import zlib

import numpy as np
import pytest
from PIL import Image

from batchcolor.errors import ProcessingError
from batchcolor.images.decode import decode
from batchcolor.images.header import estimate_memory

MAX_PIXELS = 10**9


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "empty"),
        (b"hello, I am no picture", "not a picture"),
        (b"\xff\xd8\xff\xe0 garbage after the mark", "damaged|truncated"),
        (b"\x89PNG\r\n\x1a\n" + bytes(60), "damaged|truncated"),
    ],
)
def test_file_without_a_picture_is_refused_with_a_reason(tmp_path, read_picture, content, message):
    path = tmp_path / "in.jpg"
    path.write_bytes(content)
    with pytest.raises(ProcessingError, match=message):
        read_picture(path)


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".tif", ".webp", ".bmp"])
def test_truncated_picture_is_refused_with_a_reason(tmp_path, read_picture, grey_picture, suffix):
    whole = tmp_path / f"whole{suffix}"
    grey_picture(200, 150).save(whole)
    path = tmp_path / f"in{suffix}"
    path.write_bytes(whole.read_bytes()[: whole.stat().st_size * 2 // 3])
    with pytest.raises(ProcessingError) as caught:
        read_picture(path)
    assert len(caught.value.reason) > 8


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".tif", ".webp"])
def test_damaged_picture_fails_or_is_decoded_completely(
    tmp_path, read_picture, grey_picture, suffix
):
    whole = tmp_path / f"whole{suffix}"
    options = {"compression": "tiff_adobe_deflate"} if suffix == ".tif" else {}
    grey_picture(300, 200).save(whole, **options)
    truth = np.asarray(Image.open(whole).convert("L"), int)
    content = whole.read_bytes()
    failed = 0
    for seed in range(40):
        damaged = bytearray(content)
        offsets = np.random.default_rng(seed).integers(len(content) // 4, len(content), 12)
        for offset in offsets:
            damaged[offset] ^= 0x55
        path = tmp_path / f"damaged-{seed}{suffix}"
        path.write_bytes(damaged)
        try:
            luma = read_picture(path).luma
        except ProcessingError:
            failed += 1
        else:  # the format has no checksum that shows the damage; the picture is complete
            assert np.asarray(luma, int).shape == truth.shape
            assert suffix != ".png", "PNG has checksums of all pixels"
    assert failed >= {".jpg": 20, ".png": 40, ".tif": 40, ".webp": 0}[suffix]


def test_decompression_bomb_is_refused_from_its_header(tmp_path, scan_file):
    small = io.BytesIO()
    Image.new("L", (8, 8)).save(small, "PNG")
    bomb = bytearray(small.getvalue())
    bomb[16:24] = (65535).to_bytes(4, "big") * 2
    bomb[29:33] = zlib.crc32(bomb[12:29]).to_bytes(4, "big")
    path = tmp_path / "bomb.png"
    path.write_bytes(bomb)
    with pytest.raises(ProcessingError, match="max-pixels"):
        estimate_memory(scan_file(path), 400_000_000)
    whole = tmp_path / "large.png"
    Image.new("L", (1000, 1000)).save(whole)
    with pytest.raises(ProcessingError, match="max-pixels"):
        estimate_memory(scan_file(whole), 999_999)


def test_first_page_of_a_tiff_is_decoded_with_a_note(tmp_path, scan_file):
    path = tmp_path / "pages.tif"
    pages = [Image.new("L", (20, 20), level) for level in (10, 20, 30)]
    pages[0].save(path, save_all=True, append_images=pages[1:])
    picture = decode(scan_file(path), MAX_PIXELS)
    assert picture.luma.max() == 10
    assert "first of its 3 pages" in picture.notes[0]


def test_file_that_changes_after_the_scan_fails(tmp_path, scan_file):
    path = tmp_path / "in.png"
    Image.new("L", (20, 20)).save(path)
    found = scan_file(path)
    Image.new("L", (40, 40), 200).save(path)
    with pytest.raises(ProcessingError, match="changed while"):
        decode(found, MAX_PIXELS)


def test_sixteen_bit_colour_keeps_its_bits(tmp_path, read_picture):
    import imagecodecs

    rgb = np.random.default_rng(0).integers(0, 65536, (20, 30, 3), dtype=np.uint16)
    path = tmp_path / "in.png"
    path.write_bytes(imagecodecs.png_encode(rgb))
    luma = read_picture(path).luma
    assert luma.dtype == np.uint16
    assert np.abs(luma - rgb @ np.array([0.299, 0.587, 0.114])).max() <= 1


@pytest.mark.parametrize("mode", ["I", "F"])
def test_samples_of_32_bits_are_scaled_from_their_range(tmp_path, read_picture, mode):
    ramp = np.linspace(0, 1, 400).reshape(20, 20)
    values = ramp.astype(np.float32) if mode == "F" else (ramp * 60000).astype(np.int32)
    path = tmp_path / "in.tif"
    Image.fromarray(values).save(path)
    luma = read_picture(path).luma
    assert luma.dtype == np.uint16
    assert luma[0, 0] == 0
    assert luma[-1, -1] == (65535 if mode == "F" else 60000)


def test_reason_states_its_kind_once(tmp_path, read_picture):
    path = tmp_path / "in.pgm"
    path.write_bytes(b"P5 4 4 255\n123")
    with pytest.raises(ProcessingError) as caught:
        read_picture(path)
    assert caught.value.reason == "truncated: samples are missing"


@pytest.mark.parametrize("missing", [1, 8])
def test_qoi_without_its_end_marker_is_noted(tmp_path, read_picture, missing):
    import imagecodecs

    pixels = np.random.default_rng(0).integers(1, 255, (9, 7, 3)).astype(np.uint8)
    path = tmp_path / "in.qoi"
    data = imagecodecs.qoi_encode(pixels)
    path.write_bytes(data)
    whole = read_picture(path)
    path.write_bytes(data[:-missing])
    picture = read_picture(path)
    assert whole.notes == []
    assert picture.notes == ["its end marker is missing, but its pixels are complete"]
    assert np.array_equal(picture.luma, whole.luma)
