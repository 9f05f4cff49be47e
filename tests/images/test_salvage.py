"""What damaged PNG and TIFF files still give is coloured with --salvage, with a note."""

import io
import zlib

import numpy as np
import pytest
import tifffile
from PIL import Image

from batchcolor.errors import ProcessingError
from batchcolor.images.decode import decode
from batchcolor.images.decode_options import DecodeOptions
from batchcolor.images.png.png_chunks import END_CHUNK, build_chunk

SALVAGED = "what it still gives is coloured (--salvage)"


@pytest.fixture
def read(tmp_path, scan_file):
    def read_data(data, suffix, *, salvage):
        path = tmp_path / f"in{suffix}"
        path.write_bytes(data)
        return decode(scan_file(path), 10**7, (), DecodeOptions(salvage=salvage))

    return read_data


def noise(side=128, dtype=np.uint8):
    return np.random.default_rng(0).integers(1, np.iinfo(dtype).max, (side, side), dtype=dtype)


def encode_png(pixels):
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def encode_tiff(pixels, **options):
    file = io.BytesIO()
    tifffile.imwrite(file, pixels, photometric="minisblack", metadata=None, **options)
    return file.getvalue()


def assert_salvaged(read, damaged, suffix, pixels):
    """The first eighth of the pixels is intact, and none of the last quarter."""
    with pytest.raises(ProcessingError, match=r"truncated|damaged"):
        read(damaged, suffix, salvage=False)
    picture = read(damaged, suffix, salvage=True)
    rows = len(pixels) // 8
    assert SALVAGED in picture.notes[-1]
    assert picture.luma.dtype == pixels.dtype
    assert np.array_equal(picture.luma[:rows], pixels[:rows])
    assert not picture.luma[-rows:].any()


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_truncated_png(read, dtype):
    data = encode_png(noise(dtype=dtype))
    assert_salvaged(read, data[: len(data) // 2], ".png", noise(dtype=dtype))


def test_png_with_a_damaged_byte(read):
    data = bytearray(encode_png(noise(256)))
    middle = len(data) // 2
    data[middle : middle + 64] = bytes(64)
    with pytest.raises(ProcessingError, match="damaged: its pixels cannot be decoded"):
        read(bytes(data), ".png", salvage=False)
    picture = read(bytes(data), ".png", salvage=True)
    assert np.array_equal(picture.luma[:64], noise(256)[:64])
    assert SALVAGED in picture.notes[-1]


def test_png_of_few_bytes_keeps_the_rows_before_the_damage(read):
    pixels = noise(48)
    data = bytearray(encode_png(pixels))
    start = data.index(b"IDAT") + 4
    place = start + (len(data) - start) * 3 // 4
    assert len(data) - start < 4096  # less than a step
    data[place : place + 32] = bytes(32)
    picture = read(bytes(data), ".png", salvage=True)
    assert np.array_equal(picture.luma[:24], pixels[:24])


def test_png_with_an_invalid_row_keeps_the_rows_before_it(read):
    pixels = noise(48)
    stored = b"".join(b"\0" + row.tobytes() for row in pixels)
    stored = stored[: 30 * 49] + b"\x09" + stored[30 * 49 + 1 :]
    header = encode_png(pixels)[:33]
    data = header + build_chunk("IDAT", zlib.compress(stored)) + END_CHUNK
    picture = read(data, ".png", salvage=True)
    assert np.array_equal(picture.luma[:30], pixels[:30])
    assert not picture.luma[30:].any()


def test_png_without_any_pixels_fails(read):
    with pytest.raises(ProcessingError, match="truncated: its pixels are not complete"):
        read(encode_png(noise())[:41], ".png", salvage=True)


@pytest.mark.parametrize("options", [{}, {"compression": "zlib"}, {"compression": "lzw"}])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("layout", [{"rowsperstrip": 16}, {"tile": (16, 16)}])
def test_truncated_tiff(read, options, dtype, layout):
    data = encode_tiff(noise(dtype=dtype), **options, **layout)
    size = len(data) // 2
    assert_salvaged(read, data[:size], ".tif", noise(dtype=dtype))


def test_single_strip_of_deflate(read):
    data = encode_tiff(noise(), compression="zlib", rowsperstrip=128)
    assert_salvaged(read, data[: len(data) // 2], ".tif", noise())


def test_tiff_in_planes(read):
    pixels = noise()[np.newaxis].repeat(3, 0)
    file = io.BytesIO()
    tifffile.imwrite(
        file, pixels, photometric="rgb", planarconfig="separate", rowsperstrip=16, metadata=None
    )
    data = file.getvalue()
    picture = read(data[: len(data) - 16 * 128], ".tif", salvage=True)
    assert np.array_equal(picture.luma[:112], noise()[:112])


@pytest.mark.parametrize("suffix", [".pgm", ".pcx"])
def test_truncated_files_of_other_formats(read, suffix):
    file = io.BytesIO()
    kind = {".pgm": "PPM", ".pcx": "PCX"}[suffix]
    Image.fromarray(noise()).save(file, kind)
    data = file.getvalue()
    assert_salvaged(read, data[: len(data) // 2], suffix, noise())


@pytest.mark.parametrize("suffix", [".bmp", ".tga", ".sgi"])
def test_truncated_files_that_begin_with_the_last_row(read, suffix):
    file = io.BytesIO()
    Image.fromarray(noise()).save(file, suffix[1:])
    data = file.getvalue()
    damaged = data[: len(data) // 2]
    with pytest.raises(ProcessingError, match=r"truncated|damaged"):
        read(damaged, suffix, salvage=False)
    assert np.array_equal(read(damaged, suffix, salvage=True).luma[-32:], noise()[-32:])


def test_webp_that_is_truncated_fails_for_its_own_reason(read):
    file = io.BytesIO()
    Image.fromarray(noise()).save(file, "WEBP")
    with pytest.raises(ProcessingError) as refused:
        read(file.getvalue()[:2000], ".webp", salvage=False)
    with pytest.raises(ProcessingError) as salvaged:
        read(file.getvalue()[:2000], ".webp", salvage=True)
    assert salvaged.value.reason == refused.value.reason
