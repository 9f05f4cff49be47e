"""Damage of JPEG: noted where the pixels are complete, else refused, or coloured by --salvage."""

import io
import struct

import numpy as np
import pytest
from PIL import Image

from batchcolor.errors import ProcessingError
from batchcolor.images.decode import decode
from batchcolor.images.decode_options import DecodeOptions
from batchcolor.images.header import estimate_memory

MODES = ["L", "RGB", "CMYK"]


def encode_jpeg(mode="L", side=96, **options):
    rng = np.random.default_rng(0)
    grey = np.add.outer(np.arange(side), np.arange(side)) + rng.integers(0, 40, (side, side))
    image = Image.fromarray(grey.astype(np.uint8)).convert("RGB" if mode == "CMYK" else mode)
    file = io.BytesIO()
    image.convert(mode).save(file, "JPEG", quality=90, **options)
    return file.getvalue()


@pytest.fixture
def read(tmp_path, scan_file):
    def read_data(data, *, salvage=False):
        path = tmp_path / "in.jpg"
        path.write_bytes(data)
        found = scan_file(path)
        assert estimate_memory(found, 10**7) > 0
        return decode(found, 10**7, (), DecodeOptions(salvage=salvage))

    return read_data


def find_scan(data):
    """The offset of the first byte of compressed data."""
    start = data.rfind(b"\xff\xda")
    return start + 2 + int.from_bytes(data[start + 2 : start + 4], "big")


def insert_segment(data, marker, payload, length=None):
    size = len(payload) + 2 if length is None else length
    return data[:2] + bytes([0xFF, marker]) + struct.pack(">H", size) + payload + data[2:]


@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("mode", MODES)
def test_missing_end_marker_is_noted(read, mode, progressive):
    data = encode_jpeg(mode, progressive=progressive)
    picture = read(data[:-2])
    assert picture.notes == ["its end marker is missing, but its pixels are complete"]
    assert np.array_equal(picture.luma, read(data).luma)


@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("mode", MODES)
def test_zeros_after_a_scan_are_ignored_with_a_note(read, mode, progressive):
    data = encode_jpeg(mode, progressive=progressive)
    picture = read(data[:-2] + bytes(30) + data[-2:])
    assert picture.notes == ["bytes after a scan ignored"]
    assert np.array_equal(picture.luma, read(data).luma)


def test_zeros_after_an_early_scan_of_a_progressive_jpeg_are_ignored(read):
    data = encode_jpeg("RGB", progressive=True)
    second = data.find(b"\xff\xda", data.find(b"\xff\xda") + 2)
    table = data.rfind(b"\xff\xc4", 0, second)
    picture = read(data[:table] + bytes(8) + data[table:])
    assert picture.notes == ["bytes after a scan ignored"]
    assert np.array_equal(picture.luma, read(data).luma)


@pytest.mark.parametrize("mode", MODES)
def test_flipped_bit_that_ends_a_scan_early_is_refused_and_salvaged_on_request(read, mode):
    data = bytearray(encode_jpeg(mode))
    for position in range(find_scan(data), len(data) - 2):
        data[position] ^= 0x10
        try:
            read(bytes(data))
        except ProcessingError as error:
            if "extraneous bytes" in error.reason:
                break
        data[position] ^= 0x10
    else:
        raise AssertionError("no flipped bit ended the scan early")
    assert "(--salvage)" in read(bytes(data), salvage=True).notes[0]


@pytest.mark.parametrize("marker", [0xE1, 0xE2, 0xED, 0xFE])
@pytest.mark.parametrize("length", [4, 0xFFFF, 1500])
def test_segment_with_a_wrong_length_is_dropped_with_a_note(read, marker, length):
    data = encode_jpeg("RGB", side=64)
    thumbnail = encode_jpeg("RGB", side=16)
    picture = read(insert_segment(data, marker, b"payload" + thumbnail, length))
    assert np.array_equal(picture.luma, read(data).luma)
    assert len(picture.notes) == 1
    assert picture.notes[0].startswith("damaged ")


def test_incomplete_profile_is_dropped_with_a_note(read):
    data = encode_jpeg("RGB")
    picture = read(insert_segment(data, 0xE2, b"ICC_PROFILE\0\2\2" + bytes(200)))
    assert np.array_equal(picture.luma, read(data).luma)
    assert picture.notes == ["damaged ICC profile dropped"]


def test_wrong_values_in_the_header_of_a_scan_are_noted(read):
    data = encode_jpeg("L")
    start = find_scan(data)
    picture = read(data[: start - 3] + bytes(3) + data[start:])
    assert picture.notes == ["scan header with wrong values"]
    assert np.array_equal(picture.luma, read(data).luma)


@pytest.mark.parametrize("mode", MODES)
def test_truncated_scan_is_refused_and_salvaged_on_request(read, mode):
    data = encode_jpeg(mode, side=256)
    cut = data[: find_scan(data) + (len(data) - find_scan(data)) // 2]
    with pytest.raises(ProcessingError, match=r"truncated|damaged"):
        read(cut)
    picture = read(cut, salvage=True)
    assert picture.notes[0].endswith("what it still gives is coloured (--salvage)")
    whole = read(data).luma
    assert np.array_equal(picture.luma[:96], whole[:96])
    assert picture.luma.shape == whole.shape


def test_progressive_jpeg_that_ends_between_scans_is_refused(read):
    data = encode_jpeg("L", progressive=True)
    with pytest.raises(ProcessingError):
        read(data[: data.rfind(b"\xff\xc4")])
    with pytest.raises(ProcessingError):
        read(data[: data.rfind(b"\xff\xc4")] + b"\xff\xd9"[:1])


@pytest.mark.parametrize("mode", MODES)
def test_damaged_scan_is_refused_and_salvaged_on_request(read, mode):
    data = bytearray(encode_jpeg(mode, side=256, restart_marker_rows=1))
    middle = data.find(b"\xff\xd3")
    data[middle + 2 : middle + 200] = bytes(198)
    with pytest.raises(ProcessingError, match=r"truncated|damaged"):
        read(bytes(data))
    picture = read(bytes(data), salvage=True)
    assert "(--salvage)" in picture.notes[0]


def test_file_without_a_scan_fails_also_with_salvage(read, tmp_path, scan_file):
    data = encode_jpeg("L")
    with pytest.raises(ProcessingError):
        read(data[: data.find(b"\xff\xda")], salvage=True)


def list_segments(data):
    """The beginnings of the segments before the first scan, and that of the scan."""
    starts, position = [], 2
    while data[position + 1] != 0xDA:
        starts.append(position)
        position += 2 + int.from_bytes(data[position + 2 : position + 4], "big")
    return [*starts, position]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("extra", [b"\0\1\2", bytes(range(255)), b"\xff\0text"], ids=[3, 255, "ff"])
def test_bytes_between_segments_are_ignored_with_a_note(read, mode, extra):
    data = encode_jpeg(mode)
    parts, begin = [], 0
    for start in list_segments(data):
        parts.append(data[begin:start])
        begin = start
    picture = read(extra.join([*parts, data[begin:]]))
    assert picture.notes == ["bytes between its segments ignored"]
    assert np.array_equal(picture.luma, read(data).luma)


def test_segment_that_pillow_refuses_does_not_matter(read):
    data = encode_jpeg("RGB")
    picture = read(insert_segment(data, 0xE0, b"JFIF\0"))
    assert np.array_equal(picture.luma, read(data).luma)


@pytest.mark.parametrize(("mode", "intended"), [("RGB", 1), ("CMYK", 2)])
def test_unknown_colour_transform_is_noted(read, mode, intended):
    data = encode_jpeg(mode)
    stated = data.index(b"JFIF" if mode == "RGB" else b"Adobe") - 4
    length = int.from_bytes(data[stated + 2 : stated + 4], "big")
    data = data[:stated] + data[stated + 2 + length :]
    known, unknown = (
        insert_segment(data, 0xEE, b"Adobe\0\x64\0\0\0\0" + bytes([value]))
        for value in (intended, 7)
    )
    picture = read(unknown)
    assert picture.notes == ["unknown colour transform in its Adobe marker"]
    assert np.array_equal(picture.luma, read(known).luma)


@pytest.mark.parametrize("mode", MODES)
def test_progressive_jpeg_with_an_end_but_without_its_last_scans_is_noted(read, mode):
    data = encode_jpeg(mode, progressive=True)
    last = data.rfind(b"\xff\xda")
    tables = data.rfind(b"\xff\xc4", 0, last)
    end = tables if tables > data.rfind(b"\xff\xda", 0, last) else last
    picture = read(data[:end] + b"\xff\xd9")
    assert picture.notes == ["its last scans are missing: it has less detail than it had"]
    assert read(data).notes == []


@pytest.mark.parametrize("kept", [3, 5, 6, 8, 9, 11])
def test_file_that_ends_in_the_header_of_a_later_scan_is_salvaged(read, kept):
    data = encode_jpeg("RGB", progressive=True)
    data = data[: data.rfind(b"\xff\xda") + kept]
    with pytest.raises(ProcessingError, match=r"truncated|damaged: (?!its structure)"):
        read(data)
    picture = read(data, salvage=True)
    assert "what it still gives is coloured" in picture.notes[-1]


@pytest.mark.parametrize("mode", MODES)
def test_damaged_scan_after_bytes_between_segments_is_salvaged(read, mode):
    data = encode_jpeg(mode)
    start = list_segments(data)[-1]
    scan = find_scan(data)
    half = (scan + len(data)) // 2
    data = data[:start] + bytes(40) + data[start:half] + data[half + 300 :]
    with pytest.raises(ProcessingError):
        read(data)
    picture = read(data, salvage=True)
    assert picture.notes[-1] == "bytes between its segments ignored"
    assert any("what it still gives is coloured" in note for note in picture.notes)
