"""Damaged TIFF fails with a reason, never with black areas."""

from __future__ import annotations

import io
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray
from PIL import Image

from batchcolor.errors import ProcessingError
from batchcolor.images.picture import Picture

ReadPicture = Callable[[Path], Picture]
ROWS, COLUMNS = np.mgrid[0:64, 0:80]
GRAIN = np.random.default_rng(0).integers(0, 9, ROWS.shape)
GREY = ((ROWS * 3 + COLUMNS * 2 + GRAIN) % 256).astype(np.uint8)
RGB = np.stack([GREY, GREY, GREY], -1)
COMPRESSIONS = (None, "lzw", "zlib", "packbits", "zstd", "lzma", "lerc", "jpeg", "webp", "jpegxl")
CHECKED = ("zlib", "lzma", "lerc", "jpegxl", "png")
"""Compressions with a checksum over every sample."""


def write(path: Path, compression: str | None, **options: Any) -> None:
    pixels, photometric = (RGB, "rgb") if compression == "webp" else (GREY, "minisblack")
    tifffile.imwrite(
        *(path, pixels), photometric=photometric, compression=compression, metadata=None, **options
    )


def find_segments(path: Path) -> list[tuple[int, int]]:
    """Returns offset and size of each strip or tile."""
    with tifffile.TiffFile(path) as file:
        page = file.pages[0]
        assert isinstance(page, tifffile.TiffPage)
        return list(zip(page.dataoffsets, page.databytecounts, strict=True))


@pytest.mark.parametrize("compression", COMPRESSIONS)
@pytest.mark.parametrize("options", [{"rowsperstrip": 32}, {"tile": (32, 32)}])
def test_truncated_samples_fail(
    tmp_path: Path, read_picture: ReadPicture, compression: str | None, options: dict[str, Any]
) -> None:
    path = tmp_path / "in.tif"
    write(path, compression, **options)
    assert read_picture(path).luma.shape == GREY.shape
    whole = path.read_bytes()
    offset, count = find_segments(path)[-1]
    for size in (offset + count // 2, offset + 1, offset, offset - count // 2):
        path.write_bytes(whole[:size])
        with pytest.raises(ProcessingError) as caught:
            read_picture(path)
        assert len(caught.value.reason) > 8


@pytest.mark.parametrize("compression", CHECKED)
def test_each_changed_byte_of_samples_with_a_checksum_fails(
    tmp_path: Path, read_picture: ReadPicture, compression: str
) -> None:
    path = tmp_path / "in.tif"
    write(path, compression, rowsperstrip=32)
    whole, segments = path.read_bytes(), find_segments(path)
    for seed in range(40):
        chance = np.random.default_rng(seed)
        offset, count = segments[int(chance.integers(len(segments)))]
        damaged = bytearray(whole)
        damaged[offset + int(chance.integers(count))] ^= int(chance.integers(1, 256))
        path.write_bytes(damaged)
        with pytest.raises(ProcessingError):
            read_picture(path)


@pytest.mark.parametrize("photometric", ["minisblack", "rgb"])
def test_jpeg_data_with_a_gap_fails(
    tmp_path: Path, read_picture: ReadPicture, photometric: str
) -> None:
    path = tmp_path / "in.tif"
    pixels = RGB if photometric == "rgb" else GREY
    tifffile.imwrite(
        *(path, pixels), photometric=photometric, compression="jpeg", rowsperstrip=32, metadata=None
    )
    whole = bytearray(path.read_bytes())
    offset, count = find_segments(path)[0]
    middle, end = offset + count // 2, offset + count
    whole[middle : end - 2] = b"\0" * (end - 2 - middle)
    path.write_bytes(whole)
    with pytest.raises(ProcessingError, match=r"damaged|truncated"):
        read_picture(path)


def test_jpeg_data_of_a_much_larger_picture_fails_before_memory_is_taken(
    tmp_path: Path, read_picture: ReadPicture
) -> None:
    path = tmp_path / "in.tif"
    write(path, "jpeg", rowsperstrip=64)
    whole = bytearray(path.read_bytes())
    frame = whole.index(b"\xff\xc0")
    whole[frame + 5 : frame + 9] = b"\xff\xdc\xff\xdc"  # 65,500 by 65,500
    path.write_bytes(whole)
    with pytest.raises(ProcessingError, match="4,290,250,000 pixels"):
        read_picture(path)


@pytest.mark.parametrize("compression", ["lzw", "zlib", "packbits", "zstd"])
def test_strips_that_decode_to_too_few_samples_fail(
    tmp_path: Path,
    read_picture: ReadPicture,
    write_packed: Callable[..., None],
    compression: str,
) -> None:
    path = tmp_path / "in.tif"
    number = {"lzw": 5, "zlib": 8, "packbits": 32773, "zstd": 50000}[compression]
    write_packed(path, GREY, 8, compression=number, tags={257: (4, [70])})
    with pytest.raises(ProcessingError, match="damaged"):
        read_picture(path)


@pytest.mark.parametrize("kind", ["strip", "tile"])
def test_missing_strips_and_tiles_fail(
    tmp_path: Path, read_picture: ReadPicture, kind: str
) -> None:
    path = tmp_path / "in.tif"
    write(path, "zlib", **({"tile": (32, 32)} if kind == "tile" else {"rowsperstrip": 16}))
    whole = path.read_bytes()
    with tifffile.TiffFile(path) as file:
        counts = file.pages[0].tags["TileByteCounts" if kind == "tile" else "StripByteCounts"]
        place = counts.valueoffset
        width = 2 if counts.dtype == 3 else 4
    damaged = bytearray(whole)
    damaged[place + width : place + 2 * width] = bytes(width)
    path.write_bytes(damaged)
    with pytest.raises(ProcessingError, match=f"{kind} 1 holds no data"):
        read_picture(path)


def test_a_directory_with_too_few_strips_fails(
    tmp_path: Path, read_picture: ReadPicture, build_tiff: Callable[..., None]
) -> None:
    path = tmp_path / "in.tif"
    tags = {
        **{256: (3, [80]), 257: (3, [64]), 258: (3, [8]), 259: (3, [1]), 262: (3, [1])},
        **{277: (3, [1]), 278: (3, [16])},
    }
    build_tiff(path, [GREY[:16].tobytes(), GREY[16:32].tobytes()], tags, "<")
    with pytest.raises(ProcessingError, match="2 of its 4 strips"):
        read_picture(path)


def test_missing_byte_counts_are_taken_from_the_file(
    tmp_path: Path, read_picture: ReadPicture, write_packed: Callable[..., None]
) -> None:
    path = tmp_path / "in.tif"
    for compression in (1, 5):
        write_packed(path, GREY[:7], 8, compression=compression)
        whole = path.read_bytes()
        entry = whole.rindex((279).to_bytes(2, "little") + b"\4\0")
        path.write_bytes(whole[:entry] + (60279).to_bytes(2, "little") + whole[entry + 2 :])
        assert np.array_equal(read_picture(path).luma, GREY[:7])


def test_a_damaged_tag_is_noted(tmp_path: Path, read_picture: ReadPicture) -> None:
    path = tmp_path / "in.tif"
    write(path, "zlib", software="scanner")
    whole = bytearray(path.read_bytes())
    with tifffile.TiffFile(path) as file:
        offset = file.pages[0].tags["Software"].offset
    whole[offset + 8 : offset + 12] = b"\xff\xff\xff\x7f"
    path.write_bytes(whole)
    picture = read_picture(path)
    assert np.array_equal(picture.luma, GREY)
    assert any("directory is damaged" in note for note in picture.notes)


def test_a_thumbnail_page_is_not_the_picture(tmp_path: Path, read_picture: ReadPicture) -> None:
    path = tmp_path / "in.tif"
    for order in ((0, 1), (1, 0)):
        with tifffile.TiffWriter(path) as writer:
            for is_thumbnail in order:
                pixels = GREY[::8, ::8] if is_thumbnail else GREY
                writer.write(pixels, subfiletype=is_thumbnail, metadata=None)
        assert np.array_equal(read_picture(path).luma, GREY)


def test_old_style_jpeg_is_read(
    tmp_path: Path, read_picture: ReadPicture, build_tiff: Callable[..., None]
) -> None:
    path = tmp_path / "in.tif"
    stream = io.BytesIO()
    Image.fromarray(GREY).save(stream, "JPEG", quality=95)
    data = stream.getvalue()
    tags = {
        **{256: (3, [80]), 257: (3, [64]), 258: (3, [8]), 259: (3, [6]), 262: (3, [1])},
        **{277: (3, [1]), 278: (3, [64]), 513: (4, [8]), 514: (4, [len(data)])},
    }
    build_tiff(path, [data], tags, "<")
    luma: NDArray[Any] = read_picture(path).luma
    assert np.abs(luma.astype(int) - GREY).mean() < 4


def write_structured(path: Path, compression: str) -> None:
    """Writes areas of equal samples, as run lengths and strings compress."""
    grey = (GREY // 32 * 32).astype(np.uint8)
    grey[20:40] = 128
    tifffile.imwrite(path, grey, compression=compression, metadata=None, rowsperstrip=32)


@pytest.mark.parametrize("compression", ["lzw", "packbits"])
@pytest.mark.parametrize("is_longer", [False, True])
def test_strip_that_does_not_decode_to_its_samples_fails(
    tmp_path: Path, read_picture: ReadPicture, compression: str, is_longer: bool
) -> None:
    import imagecodecs

    path = tmp_path / "in.tif"
    write_structured(path, compression)
    encode: Any = imagecodecs.lzw_encode if compression == "lzw" else imagecodecs.packbits_encode
    (offset, size), *_ = find_segments(path)
    content = bytearray(path.read_bytes())
    rows = 40 if is_longer else 20
    other = bytes(encode(np.full((rows, 80), 7, np.uint8).tobytes()))
    assert len(other) <= size
    content[offset : offset + len(other)] = other
    if compression == "packbits":  # the rest of the strip: runs without samples
        content[offset + len(other) : offset + size] = b"\x80" * (size - len(other))
    path.write_bytes(content)
    with pytest.raises(ProcessingError, match=r"strip 0|IMCD"):
        read_picture(path)


def test_changed_bytes_of_lzw_are_mostly_noticed(tmp_path: Path, read_picture: ReadPicture) -> None:
    path = tmp_path / "in.tif"
    write_structured(path, "lzw")
    whole, random = path.read_bytes(), np.random.default_rng(0)
    segments, noticed = find_segments(path), 0
    for _ in range(60):
        offset, size = segments[random.integers(len(segments))]
        content = bytearray(whole)
        content[offset + int(random.integers(size))] ^= int(random.integers(1, 256))
        path.write_bytes(content)
        try:
            read_picture(path)
        except ProcessingError:
            noticed += 1
    assert noticed >= 40


def test_lzw_that_expands_without_end_is_bounded(tmp_path: Path, read_picture: ReadPicture) -> None:
    import imagecodecs

    path = tmp_path / "in.tif"
    write_structured(path, "lzw")
    bomb = bytes(imagecodecs.lzw_encode(bytes(1 << 26)))
    with tifffile.TiffFile(path) as file:
        page = file.pages[0]
        assert isinstance(page, tifffile.TiffPage)
        places = [page.tags[tag].valueoffset for tag in ("StripOffsets", "StripByteCounts")]
    content = bytearray(path.read_bytes())
    for place, value in zip(places, (len(content), len(bomb)), strict=True):
        content[place : place + 4] = value.to_bytes(4, "little")
    path.write_bytes(bytes(content) + bomb)
    tracemalloc.start()
    with pytest.raises(ProcessingError):
        read_picture(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1 << 24


@pytest.mark.parametrize("compression", ["group3", "group4", "tiff_ccitt"])
def test_damaged_lines_of_ccitt_are_noted(
    tmp_path: Path, read_picture: ReadPicture, compression: str
) -> None:
    path = tmp_path / "in.tif"
    for values in (GREY > 128, GREY < 40):
        Image.fromarray(values).save(path, compression=compression)
        assert read_picture(path).notes == []
    whole, random, noticed = path.read_bytes(), np.random.default_rng(0), 0
    ((offset, size),) = find_segments(path)
    for _ in range(20):
        content = bytearray(whole)
        content[offset + int(random.integers(size - 8))] ^= int(random.integers(1, 256))
        path.write_bytes(content)
        noticed += any("CCITT codes" in note for note in read_picture(path).notes)
    assert noticed >= 10


def test_damaged_coefficients_of_ycbcr_are_not_used(
    tmp_path: Path, read_picture: ReadPicture, build_tiff: Callable[..., None]
) -> None:
    path = tmp_path / "in.tif"
    tags = {
        **{256: (4, [8]), 257: (4, [8]), 258: (3, [8, 8, 8]), 259: (3, [1]), 262: (3, [6])},
        **{277: (3, [3]), 278: (4, [8]), 284: (3, [1]), 530: (3, [1, 1])},
        529: (5, [1, 0, 1, 0, 1, 0]),
    }
    pixels = np.dstack([GREY[:8, :8], np.full((8, 8, 2), 128, np.uint8)])
    build_tiff(path, [pixels.tobytes()], tags, "<")
    picture = read_picture(path)
    assert np.abs(picture.luma.astype(int) - GREY[:8, :8]).max() <= 1
    assert any("coefficients of YCbCr" in note for note in picture.notes)


@pytest.mark.parametrize("predictor", [1, 2])
def test_last_strip_that_goes_on_below_the_picture_is_cut(
    tmp_path: Path, read_picture: ReadPicture, predictor: int
) -> None:
    path = tmp_path / "in.tif"
    options = {"compression": "zlib", "rowsperstrip": 32, "metadata": None}
    tifffile.imwrite(path, GREY, predictor=predictor, **options)
    with tifffile.TiffFile(path) as file:
        page = file.pages[0]
        assert isinstance(page, tifffile.TiffPage)
        place = page.tags["ImageLength"].valueoffset
    content = bytearray(path.read_bytes())
    content[place : place + 2] = (50).to_bytes(2, "little")
    path.write_bytes(content)
    assert np.array_equal(read_picture(path).luma, GREY[:50])
    offset, size = find_segments(path)[1]
    content[offset + size // 2] ^= 0x55
    path.write_bytes(content)
    with pytest.raises(ProcessingError):
        read_picture(path)
