"""JPEG 2000: colour spaces, profiles, channel definitions and layouts of components."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from batchcolor.errors import ProcessingError
from batchcolor.images.color_profiles.rgb_profiles import build_output_profile
from batchcolor.images.picture import Picture

ReadPicture = Callable[[Path], Picture]
HEIGHT, WIDTH = 48, 64
ROWS, COLUMNS = np.mgrid[0:HEIGHT, 0:WIDTH]
UNIT = np.stack([COLUMNS / (WIDTH - 1), ROWS / (HEIGHT - 1), 1 - COLUMNS / (WIDTH - 1)], -1)
"""Colours in 0..1."""
WEIGHTS = np.array([0.299, 0.587, 0.114])


def quantize(values: NDArray[Any], bits: int) -> NDArray[Any]:
    """Returns values of 0..1 as integers of `bits`."""
    return np.round(values * (2**bits - 1)).astype(np.uint8 if bits <= 8 else np.uint16)


def make_box(kind: bytes, content: bytes) -> bytes:
    return (8 + len(content)).to_bytes(4, "big") + kind + content


def write(
    path: Path, components: NDArray[Any], bits: int, colour: bytes, *boxes: tuple[bytes, bytes]
) -> None:
    """Writes components `(H, W, C)` with a colour box, and further boxes of the header."""
    plain = np.ascontiguousarray(components)
    codestream = imagecodecs.jpeg2k_encode(
        plain, codecformat="j2k", bitspersample=bits, reversible=True, mct=False
    )
    height, width, count = components.shape
    header = make_box(b"ihdr", struct.pack(">IIHBBBB", height, width, count, bits - 1, 7, 0, 0))
    header += make_box(b"colr", colour) + b"".join(make_box(*box) for box in boxes)
    signature = make_box(b"jP  ", b"\r\n\x87\n") + make_box(b"ftyp", b"jp2 \0\0\0\0jp2 ")
    path.write_bytes(signature + make_box(b"jp2h", header) + make_box(b"jp2c", codestream))


def enumerated(space: int, parameters: bytes = b"") -> bytes:
    return b"\1\0\0" + struct.pack(">I", space) + parameters


def channels(*entries: tuple[int, int, int]) -> tuple[bytes, bytes]:
    """Returns the box cdef of index, type and association of channels."""
    return b"cdef", struct.pack(">H", len(entries)) + b"".join(
        struct.pack(">3H", *entry) for entry in entries
    )


def check(picture: Picture, expected: NDArray[Any], tolerance: float = 0.6) -> None:
    """Compares luma with `expected`, in 0..1; the tolerance is in steps of 255."""
    full = 255 if picture.luma.dtype == np.uint8 else 65535
    assert np.abs(picture.luma / full - expected).max() * 255 <= tolerance


@pytest.mark.parametrize("bits", [8, 12, 16])
@pytest.mark.parametrize("space", [18, 24])
def test_luma_and_chroma_are_converted(
    tmp_path: Path, read_picture: ReadPicture, bits: int, space: int
) -> None:
    rgb = 0.2 + UNIT * 0.6
    luma = rgb @ WEIGHTS
    middle = 2 ** (bits - 1) / (2**bits - 1)
    cb, cr = (rgb[..., 2] - luma) / 1.772 + middle, (rgb[..., 0] - luma) / 1.402 + middle
    path = tmp_path / "in.jp2"
    write(path, quantize(np.stack([luma, cb, cr], -1), bits), bits, enumerated(space))
    picture = read_picture(path)
    check(picture, luma, 1.2)
    assert picture.is_colored


@pytest.mark.parametrize("bits", [8, 16])
def test_cmyk_is_converted(tmp_path: Path, read_picture: ReadPicture, bits: int) -> None:
    black = ROWS / HEIGHT * 0.5
    inks = quantize(np.dstack([UNIT, black]), bits)
    path = tmp_path / "in.jp2"
    write(path, inks, bits, enumerated(12))
    picture = read_picture(path)
    check(picture, ((1 - UNIT) * (1 - black[..., None])) @ WEIGHTS, 1.5)
    assert picture.is_colored
    assert picture.alpha is None
    write(path, np.dstack([inks, inks[..., 0]]), bits, enumerated(12), channels((4, 1, 0)))
    picture = read_picture(path)
    assert picture.alpha is not None
    assert np.array_equal(picture.alpha, inks[..., 0])


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("is_default", [True, False])
def test_lab_is_converted(
    tmp_path: Path, read_picture: ReadPicture, bits: int, is_default: bool
) -> None:
    rgb = (0.35 + UNIT * 0.3).astype(np.float32)  # stronger colours leave the default range
    lab: Any = imagecodecs.cms_transform(
        np.ascontiguousarray(quantize(rgb, 16)),
        imagecodecs.cms_profile("srgb"),
        imagecodecs.cms_profile("lab4"),
        colorspace="rgb",
        outcolorspace="lab",
    )
    values = lab / 65535 * np.array([100, 255, 255]) - np.array([0, 128, 128])
    top = 2**bits - 1
    offsets = (0, 2 ** (bits - 1), 2 ** (bits - 2) + 2 ** (bits - 3))
    ranges, parameters = (100, 170, 200), b""
    if not is_default:
        ranges, offsets = (100, 256, 256), (0, 2 ** (bits - 1), 2 ** (bits - 1))
        interleaved = [number for pair in zip(ranges, offsets, strict=True) for number in pair]
        parameters = struct.pack(">6II", *interleaved, 0)
    stored = np.clip(values * top / np.array(ranges) + np.array(offsets), 0, top)
    path = tmp_path / "in.jp2"
    write(path, quantize(stored / top, bits), bits, enumerated(14, parameters))
    picture = read_picture(path)
    check(picture, rgb @ WEIGHTS, 3 if bits == 8 else 1)
    assert picture.is_colored


def test_profile_of_a_deep_picture_is_kept_and_not_applied(
    tmp_path: Path, read_picture: ReadPicture
) -> None:
    profile = build_output_profile("adobe-rgb")
    path = tmp_path / "in.jp2"
    for bits in (8, 16):
        write(path, quantize(UNIT, bits), bits, b"\2\0\0" + profile)
        picture = read_picture(path)
        check(picture, UNIT @ WEIGHTS, 1)
        assert picture.metadata.icc == profile


def test_colours_are_in_the_order_that_the_file_states(
    tmp_path: Path, read_picture: ReadPicture
) -> None:
    path = tmp_path / "in.jp2"
    stored = quantize(np.dstack([UNIT[..., 1], UNIT[..., ::-1]]), 8)
    box = channels((0, 1, 0), (1, 0, 3), (2, 0, 2), (3, 0, 1))
    write(path, stored, 8, enumerated(16), box)
    picture = read_picture(path)
    check(picture, UNIT @ WEIGHTS, 1)
    assert picture.alpha is not None
    assert np.array_equal(picture.alpha, stored[..., 0])


def test_further_components_are_ignored_with_a_note(
    tmp_path: Path, read_picture: ReadPicture
) -> None:
    path = tmp_path / "in.jp2"
    stored = quantize(np.dstack([UNIT, UNIT[..., :2]]), 8)
    write(path, stored, 8, enumerated(16))
    picture = read_picture(path)
    check(picture, UNIT @ WEIGHTS, 1)
    assert picture.alpha is None
    assert picture.notes == ["2 further components ignored: not alpha"]


def test_signed_components_have_zero_in_the_middle(
    tmp_path: Path, read_picture: ReadPicture
) -> None:
    path = tmp_path / "in.j2k"
    grey = quantize(UNIT[..., 0], 16)
    stored = (grey.astype(np.int32) - 32768).astype(np.int16)
    path.write_bytes(imagecodecs.jpeg2k_encode(stored, codecformat="j2k", reversible=True))
    assert np.array_equal(read_picture(path).luma, grey)


def test_palette_is_applied(tmp_path: Path, read_picture: ReadPicture) -> None:
    path = tmp_path / "in.jp2"
    indices = (COLUMNS % 4).astype(np.uint8)[..., None]
    palette = np.array([[0, 0, 0], [255, 0, 0], [0, 255, 0], [255, 255, 255]], np.uint8)
    entries = struct.pack(">HB3B", 4, 3, 7, 7, 7) + palette.tobytes()
    mapping = b"".join(struct.pack(">HBB", 0, 1, column) for column in range(3))
    write(path, indices, 8, enumerated(16), (b"pclr", entries), (b"cmap", mapping))
    check(read_picture(path), palette[indices[..., 0]] / 255 @ WEIGHTS, 1)


def test_damaged_channel_definition_fails(tmp_path: Path, read_picture: ReadPicture) -> None:
    path = tmp_path / "in.jp2"
    write(path, quantize(UNIT, 8), 8, enumerated(16), channels((9, 0, 1), (1, 0, 2), (2, 0, 3)))
    with pytest.raises(ProcessingError, match="channel definition"):
        read_picture(path)


def test_resolution_is_kept(tmp_path: Path, read_picture: ReadPicture) -> None:
    path = tmp_path / "in.jp2"
    box = make_box(b"resd", struct.pack(">4H2b", 11811, 1, 5906, 1, 0, 0))
    write(path, quantize(UNIT, 8), 8, enumerated(16), (b"res ", box))
    dpi = read_picture(path).metadata.dpi
    assert dpi is not None
    assert dpi == pytest.approx((150, 300), rel=0.001)
    assert Image.open(path).size == (WIDTH, HEIGHT)


def test_negative_size_is_damage(tmp_path: Path, read_picture: ReadPicture) -> None:
    path = tmp_path / "in.j2k"
    content = bytearray(
        imagecodecs.jpeg2k_encode(quantize(UNIT[..., 0], 8), codecformat="j2k", reversible=True)
    )
    place = content.index(b"\xff\x51") + 2 + 2 + 2 + 8  # the left offset of the grid
    content[place : place + 4] = (WIDTH + 1000).to_bytes(4, "big")
    path.write_bytes(content)
    with pytest.raises(ProcessingError, match="-1000 x 48 pixels"):
        read_picture(path)
