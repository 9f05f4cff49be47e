"""A grey JPEG becomes a colour JPEG without a change of its coded luma, and back."""

from __future__ import annotations

import contextlib
import io

import numpy as np
import pytest
import simplejpeg
from PIL import Image, ImageFilter, ImageOps

from batchcolor.errors import ProcessingError
from batchcolor.images.formats import JPEG, PNG
from batchcolor.images.jpeg_stream.grey_jpeg import decode_luma as decode_grey
from batchcolor.images.jpeg_stream.grey_jpeg import read_grey_jpeg
from batchcolor.images.jpeg_stream.jpeg_splice import splice
from batchcolor.images.jpeg_stream.source_record import restore_source

SIZES = ((1, 1), (2, 1), (7, 9), (8, 8), (15, 17), (17, 33), (64, 48), (101, 63))
CB, CR = 100, 150


def make_grey_jpeg(size=(40, 30), seed=0, **options) -> bytes:
    noise = np.random.default_rng(seed).integers(0, 256, size[::-1], dtype=np.uint8)
    file = io.BytesIO()
    image = Image.fromarray(noise).filter(ImageFilter.GaussianBlur(1))
    image.save(file, "JPEG", **options)
    return file.getvalue()


def colour(data: bytes) -> bytes:
    """The JPEG with constant chroma."""
    grey = read_grey_jpeg(data, 1)
    assert grey is not None
    width, height = Image.open(io.BytesIO(data)).size
    plane = np.full(((height + 1) // 2, (width + 1) // 2), CB, np.uint8)
    return splice(grey, plane, plane + np.uint8(CR - CB), 96)


def decode_luma(data: bytes) -> np.ndarray:
    return simplejpeg.decode_jpeg(data, "GRAY", strict=True)[..., 0]


READERS = ("Pillow", "simplejpeg", "imagecodecs", "FFmpeg", "OpenCV", "ImageMagick")


@pytest.mark.parametrize("restart", [0, 1, 3])
@pytest.mark.parametrize("is_progressive", [False, True], ids=["baseline", "progressive"])
def test_luma_is_bit_identical_and_the_source_can_be_restored(is_progressive, restart):
    for size in SIZES:
        data = make_grey_jpeg(size, progressive=is_progressive, restart_marker_blocks=restart)
        result = colour(data)
        assert np.array_equal(decode_luma(result), decode_luma(data)), size
        image = Image.open(io.BytesIO(result))
        image.draft("YCbCr", image.size)
        planes = np.asarray(image, int)
        assert image.size == size
        assert np.abs(planes[..., 1:] - (CB, CR)).max() <= 1, size
        assert restore_source(result) == data


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("is_progressive", [False, True], ids=["baseline", "progressive"])
def test_common_readers_show_the_same_colours(read_with, reader, is_progressive):
    for size in ((64, 48), (61, 35)):
        data = make_grey_jpeg(size, progressive=is_progressive, restart_marker_blocks=5)
        luma = decode_luma(data)[..., None].astype(float)
        expected = luma + np.array(
            [
                1.402 * (CR - 128),
                -0.344136 * (CB - 128) - 0.714136 * (CR - 128),
                1.772 * (CB - 128),
            ]
        )
        shown = read_with(reader, colour(data)).astype(float)
        assert shown.shape == expected.shape
        assert np.abs(shown - expected.clip(0, 255)).max() <= 4


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("size", [(37, 21), (22, 40)])
def test_pixels_are_not_turned_and_chroma_lies_where_the_upright_picture_has_it(
    tmp_path, encode_result, orientation, size
):
    tags = Image.Exif()
    tags[0x0112] = orientation
    path = tmp_path / "in.jpg"
    path.write_bytes(make_grey_jpeg(size, exif=tags))
    chroma = np.zeros((2, 3, 3), np.float32)
    chroma[0, 0, 0], chroma[1, 0, 2] = 0.1, 0.1  # blue at the top left, red at the top right
    data = encode_result(path, JPEG, chroma)
    assert np.array_equal(decode_luma(data), decode_luma(path.read_bytes()))
    result = Image.open(io.BytesIO(data))
    assert result.getexif()[0x0112] == orientation
    assert result.size == size
    upright = np.asarray(ImageOps.exif_transpose(result).convert("YCbCr"), int)
    expected = Image.open(io.BytesIO(encode_result(path, PNG, chroma))).convert("YCbCr")
    difference = np.abs(upright - np.asarray(expected, int))
    assert difference[..., 1:].mean() < 2
    assert np.ptp(upright[..., 1]) > 10


def test_segments_and_trailing_bytes_are_kept(tmp_path, encode_result):
    grey = make_grey_jpeg(comment=b"scanned 1998", dpi=(300, 300))
    extra = b"\xff\xec\x00\x08Ducky!"
    data = grey[:20] + extra + grey[20:] + b"\xff\xd9 trailing \xff\xd8\xff\xd9"
    path = tmp_path / "in.jpg"
    path.write_bytes(data)
    result = encode_result(path, JPEG)
    assert extra in result
    assert result.endswith(b"\xff\xd9\xff\xd9 trailing \xff\xd8\xff\xd9")
    image = Image.open(io.BytesIO(result))
    assert image.info["comment"] == b"scanned 1998"
    assert image.info["dpi"] == (300, 300)
    assert restore_source(result) == data


def replace_frame(data: bytes, **values: int) -> bytes:
    """The JPEG with other numbers of the component, in frame header and scans."""
    changed = bytearray(data)
    frame = data.index(b"\xff\xc0")
    changed[frame + 10] = values.get("number", data[frame + 10])
    changed[frame + 11] = values.get("sampling", data[frame + 11])
    changed[data.index(b"\xff\xda") + 5] = changed[frame + 10]
    return bytes(changed)


@pytest.mark.parametrize(
    "data",
    [
        replace_frame(make_grey_jpeg(), number=0),
        replace_frame(make_grey_jpeg(), number=ord("R")),
        replace_frame(make_grey_jpeg(), number=2),
        replace_frame(make_grey_jpeg(), sampling=0x22),
        replace_frame(make_grey_jpeg(), sampling=0x41),
        make_grey_jpeg()[:2] + b"\xff\xee\x00\x0eAdobe\0d\0\0\0\0\0" + make_grey_jpeg()[20:],
        make_grey_jpeg()[:2] + b"\xff\xee\x00\x0eAdobe\0d\0\0\0\0\2" + make_grey_jpeg()[20:],
        make_grey_jpeg()[:2] + make_grey_jpeg()[20:],
        make_grey_jpeg().replace(b"\xff\xdb", b"\xff\xff\xff\xdb"),
        make_grey_jpeg()[:-2] + b"\xff\xff\xff\xd9",
    ],
    ids=[
        *("component 0", "component R", "component 2", "sampling 2x2", "sampling 4x1"),
        *(
            "Adobe transform 0",
            "Adobe transform 2",
            "no JFIF",
            "fill bytes",
            "fill bytes before the end",
        ),
    ],
)
def test_unusual_headers_give_the_same_colours(read_with, data):
    result = colour(data)
    assert np.array_equal(decode_luma(result), decode_luma(data))
    for reader in ("Pillow", "simplejpeg", "FFmpeg", "ImageMagick"):
        shown = read_with(reader, result).reshape(-1, 3).mean(axis=0)
        expected = read_with(reader, colour(make_grey_jpeg())).reshape(-1, 3).mean(axis=0)
        assert np.abs(shown - expected).max() < 3, reader
    assert restore_source(result) == data


def test_sixteen_bit_quantization_tables_are_kept():
    data = make_grey_jpeg()
    start = data.index(b"\xff\xdb")
    steps = data[start + 5 : start + 69]
    wide = b"\xff\xdb\x00\x83\x10" + b"".join(bytes((0, step)) for step in steps)
    deep = data[:start] + wide + data[start + 69 :]
    assert np.array_equal(decode_luma(colour(deep)), decode_luma(deep))


@pytest.mark.parametrize(
    "change",
    [
        lambda data: data[:-2],
        lambda data: data[:20] + b"garbage" + data[20:],
        lambda data: data.replace(b"\xff\xc0", b"\xff\xc9"),
        lambda data: data[:-2] + b"\xff\xdc\x00\x04\x00\x1e" + data[-2:],
        lambda data: data[:20] + b"\xff\xe2\x00\x06MPF\0" + data[20:],
        lambda data: data[:20] + b"\xff\xe2\x00\x0eICC_PROFILE\0" + data[20:],
        lambda data: data[:-2] + data[data.index(b"\xff\xda") :],
        lambda data: b"",
    ],
    ids=[
        *("no end marker", "bytes between segments", "arithmetic", "DNL", "several pictures"),
        *("profile", "second scan", "empty"),
    ],
)
def test_other_files_are_coded_again(change):
    assert read_grey_jpeg(change(make_grey_jpeg()), 1) is None


def test_incomplete_progressive_files_are_coded_again():
    data = make_grey_jpeg(progressive=True)
    last = data.rindex(b"\xff\xda")
    assert read_grey_jpeg(data, 1) is not None
    assert read_grey_jpeg(data[:last] + b"\xff\xd9", 1) is None


def test_changed_results_report_the_bytes_that_are_lost():
    data = make_grey_jpeg(comment=b"scanned 1998")
    result = colour(data)
    with pytest.raises(ProcessingError, match=r"bytes \d+ to \d+ of the source's"):
        restore_source(result.replace(b"scanned 1998", b"scanned 1999"))
    with pytest.raises(ProcessingError, match="no record of its source"):
        restore_source(data)


def test_added_metadata_do_not_prevent_restoring():
    data = make_grey_jpeg(comment=b"scanned 1998")
    result = colour(data)
    assert restore_source(result[:20] + b"\xff\xfe\x00\x07added" + result[20:]) == data


def test_damaged_results_give_the_source_or_a_reason():
    data = make_grey_jpeg(comment=b"scanned 1998")
    result = colour(data)
    random = np.random.default_rng(3)
    restored = 0
    for _ in range(500):
        damaged = bytearray(result)
        place = int(random.integers(0, len(result)))
        damaged[place : place + int(random.integers(0, 3))] = random.bytes(1)
        with contextlib.suppress(ProcessingError):  # any other error is one of batchcolor
            assert restore_source(bytes(damaged)) == data
            restored += 1
    assert restored > 20


def test_luma_is_kept_as_viewers_show_it(tmp_path, encode_result, random_chroma):
    path = tmp_path / "in.jpg"
    noise = np.random.default_rng(5).integers(0, 256, (9, 12), dtype=np.uint8)
    Image.fromarray(noise).resize((320, 240), Image.Resampling.BICUBIC).save(path, quality=90)
    result = encode_result(path, JPEG, 0.2 * random_chroma)
    shown = np.asarray(Image.open(io.BytesIO(result)).convert("RGB").convert("L"), int)
    difference = np.abs(shown - decode_luma(path.read_bytes()))
    assert (difference <= 1).mean() >= 0.99
    assert difference.mean() <= 0.1


def test_damaged_grey_files_never_give_a_result_that_is_worse():
    """What a strict decoder of the source accepts stays acceptable; luma stays the same."""
    random = np.random.default_rng(7)
    spliced = 0
    for number in range(600):
        original = make_grey_jpeg(
            (33, 26), number % 5, progressive=bool(number % 2), restart_marker_blocks=number % 3
        )
        data = bytearray(original)
        for _ in range(random.integers(1, 4)):
            place = int(random.integers(2, len(data)))
            kind = random.integers(0, 4)
            if kind == 0:
                data[place] ^= 1 << int(random.integers(0, 8))
            elif kind == 1:
                data[place] = int(random.choice([0x00, 0xFF, 0xD9, 0xDA]))
            elif kind == 2:
                del data[place : place + int(random.integers(1, 9))]
            else:
                data[place:place] = random.bytes(3)
        damaged = bytes(data)
        grey = read_grey_jpeg(damaged, 1)
        luma = None if grey is None else decode_grey(grey)
        if grey is None or luma is None:
            continue
        lenient = simplejpeg.decode_jpeg(damaged, "GRAY", strict=False)[..., 0]
        assert np.array_equal(lenient, luma)
        height, width = luma.shape
        plane = np.full(((height + 1) // 2, (width + 1) // 2), CB, np.uint8)
        result = splice(grey, plane, plane, 96)
        assert np.array_equal(decode_luma(result), luma), number
        simplejpeg.decode_jpeg(result, "RGB", strict=True)
        Image.open(io.BytesIO(result)).load()
        assert restore_source(result) == damaged
        spliced += 1
    assert spliced > 50
