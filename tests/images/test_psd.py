"""Photoshop files are read flattened, in every colour mode and depth."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
from numpy.typing import NDArray

from batchcolor.errors import ProcessingError
from batchcolor.images.codec_samples import decode_srgb
from batchcolor.images.formats import PSD, TIFF
from batchcolor.images.header import estimate_memory
from batchcolor.images.picture import Picture
from batchcolor.images.scan import ScannedFile

ReadPicture = Callable[[Path], Picture]
ScanFile = Callable[[Path], ScannedFile]
RAMP = np.tile(np.linspace(2, 250, 96).astype(np.uint8), (64, 1))
BITMAP, GREY, INDEXED, RGB, CMYK, MULTICHANNEL, DUOTONE, LAB = 0, 1, 2, 3, 4, 7, 8, 9


def write_psd(
    path: Path,
    planes: list[NDArray[Any]],
    mode: int,
    *,
    is_packed: bool = False,
    is_large: bool = False,
    palette: bytes = b"",
    layer_count: int = 0,
    resources: tuple[tuple[int, bytes], ...] = (),
) -> None:
    """Writes channels, as stored, as the flattened picture of a Photoshop file."""
    height, width = planes[0].shape
    depth = 1 if mode == BITMAP else 8 * planes[0].itemsize
    head = struct.pack(
        ">4sH6xHIIHH", b"8BPS", 1 + is_large, len(planes), height, width, depth, mode
    )
    block = b"".join(
        b"8BIM"
        + struct.pack(">HHI", number, 0, len(content))
        + content
        + b"\0" * (len(content) % 2)
        for number, content in resources
    )
    layers = struct.pack(">h", layer_count) + bytes(2) if layer_count else b""
    length = ">Q" if is_large else ">I"
    section = struct.pack(length, len(layers)) + layers + bytes(4) if layers else b""
    rows: list[bytes] = []
    for plane in planes:
        stored = np.packbits(plane, axis=1) if mode == BITMAP else plane
        rows += [row.tobytes() for row in stored.astype(stored.dtype.newbyteorder(">"))]
    data = b"\0\0" + b"".join(rows)
    if is_packed:
        rows = [bytes(imagecodecs.packbits_encode(row)) for row in rows]
        sizes = struct.pack(f">{len(rows)}{'I' if is_large else 'H'}", *map(len, rows))
        data = b"\0\1" + sizes + b"".join(rows)
    parts = [struct.pack(">I", len(palette)), palette, struct.pack(">I", len(block)), block]
    path.write_bytes(b"".join([head, *parts, struct.pack(length, len(section)), section, data]))


@pytest.mark.parametrize("is_large", [False, True])
@pytest.mark.parametrize("is_packed", [False, True])
@pytest.mark.parametrize("depth", [8, 16, 32])
@pytest.mark.parametrize("mode", [GREY, DUOTONE, RGB])
def test_grey_and_rgb_keep_their_luma(
    tmp_path: Path,
    read_picture: ReadPicture,
    mode: int,
    depth: int,
    is_packed: bool,
    is_large: bool,
) -> None:
    stored = {8: RAMP, 16: RAMP.astype(np.uint16) * 257, 32: decode_srgb(RAMP)}[depth]
    path = tmp_path / "in.psd"
    planes = [stored] * (3 if mode == RGB else 1)
    write_psd(path, planes, mode, is_packed=is_packed, is_large=is_large)
    picture = read_picture(path)
    assert picture.format == PSD
    assert picture.format.result_format == TIFF
    assert picture.depth == min(16, depth)
    assert picture.alpha is None
    assert np.abs(picture.luma / (257 if depth > 8 else 1) - RAMP).max() < 0.1


def test_bitmap_indexed_and_cmyk_keep_their_luma(tmp_path: Path, read_picture: ReadPicture) -> None:
    path = tmp_path / "in.psd"
    write_psd(path, [RAMP < 128], BITMAP)  # a set bit is black
    assert np.array_equal(read_picture(path).luma, np.where(RAMP < 128, 0, 255))
    reversed_grey = bytes(range(255, -1, -1)) * 3
    write_psd(path, [RAMP], INDEXED, palette=reversed_grey)
    assert np.array_equal(read_picture(path).luma, 255 - RAMP)
    white = np.full_like(RAMP, 255)  # inks are stored inverted
    write_psd(path, [white, white, white, RAMP], CMYK)
    assert np.array_equal(read_picture(path).luma, RAMP)


def test_lab_is_converted_to_srgb(tmp_path: Path, read_picture: ReadPicture) -> None:
    path = tmp_path / "in.psd"
    neutral = np.full_like(RAMP, 128)
    write_psd(path, [RAMP, neutral, neutral], LAB)
    expected = ((RAMP / 255 * 100 + 16) / 116) ** 3  # luminance of CIE 1976 L*
    luminance = decode_srgb(read_picture(path).luma)
    assert np.abs(luminance - expected)[RAMP > 40].max() < 0.02


@pytest.mark.parametrize("is_blended", [True, False])
def test_transparency_is_kept_and_white_is_removed(
    tmp_path: Path, read_picture: ReadPicture, is_blended: bool
) -> None:
    alpha = np.full_like(RAMP, 128)
    stored = (RAMP * (128 / 255) + 127.5).astype(np.uint8) if is_blended else RAMP
    path = tmp_path / "in.psd"
    write_psd(path, [stored, stored, stored, alpha], RGB, layer_count=-1)
    picture = read_picture(path)
    assert picture.alpha is not None
    assert np.array_equal(picture.alpha, alpha)
    assert np.abs(picture.luma.astype(int) - RAMP).max() <= 2
    write_psd(path, [RAMP, RAMP, RAMP, alpha], RGB, layer_count=1)  # a saved selection
    assert read_picture(path).alpha is None


def test_resources_become_metadata(tmp_path: Path, read_picture: ReadPicture) -> None:
    path = tmp_path / "in.psd"
    dpi = struct.pack(">IHHIHH", 300 << 16, 1, 1, 300 << 16, 1, 1)
    iptc = b"\x1c\x02\x78\0\x04Anna"
    write_psd(path, [RAMP], GREY, resources=((1005, dpi), (1028, iptc), (1060, b"<x/>")))
    metadata = read_picture(path).metadata
    assert metadata.dpi == (300, 300)
    assert metadata.xmp == b"<x/>"
    assert iptc in metadata.photoshop


def test_file_without_a_flattened_picture_and_multichannel_are_refused_by_name(
    tmp_path: Path, read_picture: ReadPicture
) -> None:
    path = tmp_path / "in.psd"
    no_picture = ((1057, b"\0\0\0\1\0" + bytes(8)),)
    write_psd(path, [RAMP], GREY, resources=no_picture)  # it has one although it states none
    assert np.array_equal(read_picture(path).luma, RAMP)
    words = np.full_like(RAMP, 255)
    for count in (0, 30):  # a blank area, and a sentence in white on black
        words[20:40] = 0 if count else 255
        words[30, :count] = 128
        write_psd(path, [words] * 3, RGB, resources=no_picture)
        with pytest.raises(ProcessingError, match="without a flattened picture"):
            read_picture(path)
    write_psd(path, [RAMP] * 4, CMYK, resources=no_picture)
    with pytest.raises(ProcessingError, match="without a flattened picture"):
        read_picture(path)
    write_psd(path, [RAMP, RAMP], MULTICHANNEL)
    with pytest.raises(ProcessingError, match="multichannel"):
        read_picture(path)


def test_large_header_and_truncated_files_fail(
    tmp_path: Path, scan_file: ScanFile, read_picture: ReadPicture
) -> None:
    path = tmp_path / "in.psd"
    write_psd(path, [RAMP], GREY, is_packed=True)
    data = path.read_bytes()
    with pytest.raises(ProcessingError, match="max-pixels"):
        estimate_memory(scan_file(path), 64 * 96 - 1)
    for end in (20, 30, 45, 100, len(data) - 40):
        path.write_bytes(data[:end])
        with pytest.raises(ProcessingError, match="truncated"):
            read_picture(path)


def test_rows_that_are_longer_than_the_picture_are_cut(
    tmp_path: Path, read_picture: ReadPicture
) -> None:
    path = tmp_path / "in.psd"
    write_psd(path, [RAMP] * 3, RGB, is_packed=True)
    width = RAMP.shape[1] - 10
    content = path.read_bytes()
    path.write_bytes(content[:18] + width.to_bytes(4, "big") + content[22:])
    picture = read_picture(path)
    assert np.array_equal(picture.luma, RAMP[:, :width])
    assert picture.notes == ["rows that are longer than the picture are cut"]
    path.write_bytes(content[:18] + (width + 20).to_bytes(4, "big") + content[22:])
    with pytest.raises(ProcessingError, match="incomplete"):
        read_picture(path)
