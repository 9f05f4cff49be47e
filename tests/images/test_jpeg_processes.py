"""Every JPEG process is decoded, or refused with its name, before a library sees the file."""

from __future__ import annotations

import io
from fractions import Fraction
from pathlib import Path

import av
import imagecodecs
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageCms

from batchcolor.errors import LIMITS, ProcessingError
from batchcolor.images.color_profiles.rgb_profiles import build_output_profile
from batchcolor.images.decode import decode
from batchcolor.images.decode_options import DecodeOptions
from batchcolor.images.header import estimate_memory
from batchcolor.images.picture import Picture
from batchcolor.images.scan import ScannedFile, scan

UNCHECKED = "a rare kind of JPEG: damage inside its compressed data is not detected"
GREY = np.add.outer(np.arange(40), np.arange(56)) * 2.5
RGB = np.stack([GREY, 250 - GREY, GREY / 2], -1)
ADOBE = b"\xff\xee\0\x0eAdobe\0\x64\0\0\0\0"
JFIF = bytes.fromhex("ffe000104a46494600010100000100010000")
ARITHMETIC = bytes.fromhex(
    "ffd8ffdb00430006040506050406060506070706080a100a0a09090a140e0f0c1017141818171416161a1d251f1a"
    "1b231c1616202c20232627292a29191f2d302d283025282928ffc9000b080010001801011100ffcc000600101005"
    "ffda0008010100003f00ff00cb3b2c6fee71280f64c81828015172da93fa02cdc0ca107840ffd9"
)
"""A grey ramp of 24 x 16 pixels by `cjpeg -arithmetic`: `np.add.outer(range(16), range(24)) * 6`"""


def write(folder: Path, data: bytes) -> ScannedFile:
    path = folder / "picture.jpg"
    path.write_bytes(data)
    found = next(iter(scan(path)))
    assert isinstance(found, ScannedFile)
    return found


def read(folder: Path, data: bytes) -> Picture:
    found = write(folder, data)
    assert estimate_memory(found, 10**9) > len(data)
    return decode(found, 10**9)


def samples(pixels: NDArray[np.float64], bits: int) -> NDArray[np.generic]:
    top = (1 << bits) - 1
    return np.round(pixels * top / 255).astype(np.uint8 if bits <= 8 else np.uint16)


def mean_difference(picture: Picture, pixels: NDArray[np.float64]) -> float:
    """In steps of 8 bits, between the luma of the picture and that of grey or RGB."""
    expected = pixels if pixels.ndim == 2 else pixels @ (0.299, 0.587, 0.114)
    luma = picture.luma.astype(float) / (257 if picture.depth == 16 else 1)
    assert luma.shape == expected.shape
    return float(np.abs(luma - expected).mean())


@pytest.mark.parametrize("pixels", [GREY, RGB], ids=["grey", "colour"])
@pytest.mark.parametrize("bits", [8, 10, 12, 16])
def test_lossless_jpeg_keeps_every_bit(
    tmp_path: Path, bits: int, pixels: NDArray[np.float64]
) -> None:
    encoded = imagecodecs.jpeg8_encode(samples(pixels, bits), lossless=True, bitspersample=bits)
    picture = read(tmp_path, encoded)
    assert picture.depth == (8 if bits == 8 else 16)
    assert mean_difference(picture, pixels) < (0.5 if bits == 8 else 0.3)
    notes = {
        8: [],
        16: [UNCHECKED],
    }
    assert picture.notes == notes.get(bits, [f"its {bits} bits per sample became 16"])


def test_lossless_jpeg_with_jfif_marker_holds_luma_and_chroma(tmp_path: Path) -> None:
    encoded = imagecodecs.jpeg8_encode(samples(RGB, 8), lossless=True)
    frame = encoded.index(b"\xff\xc3")
    picture = read(tmp_path, encoded[:2] + JFIF + encoded[frame:])
    assert np.array_equal(picture.luma, samples(RGB, 8)[..., 0])


def encode_with_ffmpeg(pixels: NDArray[np.float64], pixel_format: str) -> bytes:
    context = av.CodecContext.create("ljpeg", "w")
    assert isinstance(context, av.VideoCodecContext)
    context.height, context.width = pixels.shape[:2]
    context.pix_fmt, context.time_base = pixel_format, Fraction(1)
    context.options = {"strict": "-2"}
    frame = av.VideoFrame.from_ndarray(np.round(pixels).astype(np.uint8), "rgb24")
    converted = frame.reformat(format=pixel_format)
    converted.pts = 0
    return b"".join(map(bytes, context.encode(converted) + context.encode(None)))


@pytest.mark.parametrize(
    ("pixel_format", "notes"),
    [
        ("bgr24", []),
        *((name, []) for name in ("yuvj420p", "yuvj422p", "yuvj444p")),
        ("yuv420p", ["its luma of 16 to 235 became 0 to 255"]),
    ],
)
def test_lossless_jpeg_of_ffmpeg_is_right_without_a_jfif_marker(
    tmp_path: Path, pixel_format: str, notes: list[str]
) -> None:
    colors = np.stack([GREY, np.roll(GREY, 25, 1), GREY[::-1]], -1)
    picture = read(tmp_path, encode_with_ffmpeg(colors, pixel_format))
    assert picture.depth == 8
    assert mean_difference(picture, colors) < 0.8
    assert picture.is_colored
    assert picture.notes == notes
    grey = read(tmp_path, encode_with_ffmpeg(np.stack([GREY] * 3, -1), pixel_format))
    assert mean_difference(grey, GREY) < 0.8
    assert not grey.is_colored


def set_components(encoded: bytes, identifiers: bytes, factors: bytes = b"\x11\x11\x11") -> bytes:
    """Changes identifiers and sampling factors in the headers of frame and scan."""
    changed = bytearray(encoded)
    frame, scan = encoded.index(b"\xff\xc3"), encoded.index(b"\xff\xda")
    for index in range(3):
        changed[frame + 10 + 3 * index] = changed[scan + 5 + 2 * index] = identifiers[index]
        changed[frame + 11 + 3 * index] = factors[index]
    return bytes(changed)


@pytest.mark.parametrize(
    ("identifiers", "marker", "is_luma", "notes"),
    [
        (b"RGB", b"", False, []),
        (b"\1\2\3", b"", False, ["its colour space is not stated: read as RGB"]),
        (b"\1\2\3", JFIF, True, []),
        (b"\1\2\3", ADOBE + b"\0", False, []),
        (b"\1\2\3", ADOBE + b"\1", True, []),
        (b"RGB", JFIF, True, []),
        (b"\1\2\3", b"\xff\xfe\0\x06Lavc", True, []),
    ],
)
def test_colours_of_a_lossless_jpeg_are_those_that_its_markers_state(
    tmp_path: Path, identifiers: bytes, marker: bytes, is_luma: bool, notes: list[str]
) -> None:
    encoded = imagecodecs.jpeg8_encode(samples(RGB, 8), lossless=True)
    plain = encoded[:2] + marker + encoded[encoded.index(b"\xff\xc3") :]
    picture = read(tmp_path, set_components(plain, identifiers))
    assert mean_difference(picture, samples(RGB, 8)[..., 0] if is_luma else RGB) < 0.5
    assert picture.notes == notes


def test_lossless_jpeg_with_subsampled_luma_is_refused(tmp_path: Path) -> None:
    encoded = imagecodecs.jpeg8_encode(samples(RGB, 8), lossless=True)
    found = write(tmp_path, set_components(encoded, b"\1\2\3", b"\x11\x22\x22"))
    with pytest.raises(ProcessingError, match="first component is subsampled"):
        decode(found, 10**9)


@pytest.mark.parametrize("pixels", [GREY, RGB], ids=["grey", "colour"])
def test_12_bit_jpeg_becomes_16_bits(tmp_path: Path, pixels: NDArray[np.float64]) -> None:
    picture = read(tmp_path, imagecodecs.jpeg8_encode(samples(pixels, 12), 95, bitspersample=12))
    assert picture.depth == 16
    assert mean_difference(picture, pixels) < 0.5
    assert picture.notes == ["its 12 bits per sample became 16"]


def test_12_bit_jpeg_in_colour_is_recognized_and_its_profile_converted(tmp_path: Path) -> None:
    colours = np.random.default_rng(1).uniform(20, 235, (8, 8, 3)).repeat(16, 0).repeat(16, 1)
    encoded = imagecodecs.jpeg8_encode(samples(colours, 12), 98, bitspersample=12)
    picture = read(tmp_path, encoded)
    assert picture.is_colored
    assert mean_difference(picture, colours) < 1
    found = write(tmp_path, add_profile(encoded, build_output_profile("adobe-rgb")))
    converted = decode(found, 10**9, options=DecodeOptions(profile="srgb"))
    narrow = samples(colours, 8)
    srgb = ImageCms.profileToProfile(
        Image.fromarray(narrow),
        ImageCms.ImageCmsProfile(io.BytesIO(build_output_profile("adobe-rgb"))),
        ImageCms.createProfile("sRGB"),
        outputMode="RGB",
    )
    assert mean_difference(converted, np.asarray(srgb, float)) < 1.5


def add_profile(encoded: bytes, icc: bytes) -> bytes:
    body = b"ICC_PROFILE\0\1\1" + icc
    return encoded[:2] + b"\xff\xe2" + (len(body) + 2).to_bytes(2, "big") + body + encoded[2:]


@pytest.mark.parametrize("stored", ["cmyk", "ycck"])
def test_12_bit_jpeg_of_inks_is_read(tmp_path: Path, stored: str) -> None:
    light = samples(np.dstack([RGB, 255 - GREY / 8]), 12)  # Adobe stores light
    encoded = imagecodecs.jpeg8_encode(
        light, 98, bitspersample=12, colorspace="cmyk", outcolorspace=stored
    )
    picture = read(tmp_path, encoded)
    assert picture.depth == 16
    assert mean_difference(picture, RGB * ((255 - GREY / 8) / 255)[..., None]) < 1


def test_12_bit_jpeg_of_rgb_is_read(tmp_path: Path) -> None:
    stored = samples(RGB, 12)
    encoded = imagecodecs.jpeg8_encode(
        stored, 98, bitspersample=12, colorspace="rgb", outcolorspace="rgb"
    )
    assert mean_difference(read(tmp_path, encoded), RGB) < 0.5


@pytest.mark.parametrize("bits", [8, 12, 16])
def test_jpeg_ls_is_read(tmp_path: Path, bits: int) -> None:
    picture = read(tmp_path, imagecodecs.jpegls_encode(samples(GREY, bits)))
    assert picture.luma.shape == GREY.shape
    assert picture.depth == (8 if bits == 8 else 16)


def test_arithmetic_jpeg_is_read(tmp_path: Path) -> None:
    picture = read(tmp_path, ARITHMETIC)
    assert mean_difference(picture, np.add.outer(np.arange(16), np.arange(24)) * 6.0) < 4


def test_metadata_of_a_12_bit_jpeg_is_kept(tmp_path: Path) -> None:
    encoded = imagecodecs.jpeg8_encode(samples(GREY, 12), 95, bitspersample=12)
    text = b"Grandmother, 1931"
    comment = b"\xff\xfe" + (len(text) + 2).to_bytes(2, "big") + text
    exif = b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0"
    turned = b"\xff\xe1" + (len(exif) + 2).to_bytes(2, "big") + exif
    picture = read(tmp_path, encoded[:2] + turned + comment + encoded[2:])
    assert picture.metadata.comments == (text,)
    assert picture.luma.shape == GREY.T.shape


@pytest.mark.parametrize(
    ("marker", "name"),
    [
        *((marker, "hierarchical JPEG") for marker in (0xC5, 0xC6, 0xC7, 0xCD, 0xCE, 0xCF, 0xDE)),
        (0xCB, "lossless JPEG with arithmetic coding"),
    ],
)
def test_process_without_a_decoder_is_refused_by_name(
    tmp_path: Path, marker: int, name: str
) -> None:
    encoded = imagecodecs.jpeg8_encode(samples(GREY, 8), lossless=True)
    found = write(tmp_path, encoded.replace(b"\xff\xc3", bytes((0xFF, marker)), 1))
    with pytest.raises(ProcessingError, match=f"^{name}: no decoder here reads it"):
        decode(found, 10**9)


@pytest.mark.parametrize("bits", [8, 12, 16])
def test_truncated_rare_jpeg_fails_with_a_reason(tmp_path: Path, bits: int) -> None:
    lossless = imagecodecs.jpeg8_encode(samples(RGB, bits), lossless=True, bitspersample=bits)
    truncated = write(tmp_path, lossless[: len(lossless) // 2])
    with pytest.raises(ProcessingError, match="truncated: it has no end marker"):
        decode(truncated, 10**9)


@pytest.mark.parametrize("pixels", [GREY, RGB], ids=["grey", "colour"])
@pytest.mark.parametrize(("bits", "is_lossless"), [(8, True), (14, True), (12, False)])
def test_rare_jpeg_with_missing_data_fails_and_is_salvaged_on_request(
    tmp_path: Path, bits: int, is_lossless: bool, pixels: NDArray[np.float64]
) -> None:
    encoded = imagecodecs.jpeg8_encode(
        samples(pixels, bits), lossless=is_lossless, bitspersample=bits
    )
    half = (encoded.index(b"\xff\xda") + len(encoded)) // 2
    found = write(tmp_path, encoded[:half] + encoded[half + 30 :])
    with pytest.raises(ProcessingError, match="damaged: its compressed data"):
        decode(found, 10**9)
    picture = decode(found, 10**9, options=DecodeOptions(salvage=True))
    assert picture.luma.shape == pixels.shape[:2]
    assert "what it still gives is coloured" in picture.notes[-1]


def encode_subsampled(pixels: NDArray[np.float64], factors: list[tuple[int, int]]) -> bytes:
    """A baseline JPEG of YCbCr with any sampling factors, one scan for each component."""
    planes = np.asarray(Image.fromarray(pixels.astype(np.uint8)).convert("YCbCr"))
    across, down = (max(column) for column in zip(*factors, strict=True))
    parts = []
    for index, (h, v) in enumerate(factors):
        plane = planes[:: down // v, :: across // h, index]
        parts.append(io.BytesIO())
        Image.fromarray(np.ascontiguousarray(plane)).save(parts[-1], "JPEG", quality=95)
    encoded = [part.getvalue() for part in parts]
    frame = encoded[0].index(b"\xff\xc0")
    tables = encoded[0].index(b"\xff\xc4")
    components = b"".join(bytes((i + 1, h << 4 | v, 0)) for i, (h, v) in enumerate(factors))
    header = b"\xff\xc0\0\x11\x08" + encoded[0][frame + 5 : frame + 9] + b"\3" + components
    scans = [part[part.index(b"\xff\xda") + 10 : -2] for part in encoded]
    body = b"".join(
        b"\xff\xda\0\x08\1" + bytes((i + 1, 0)) + b"\0\x3f\0" + scan for i, scan in enumerate(scans)
    )
    scan = encoded[0].index(b"\xff\xda")
    return encoded[0][:frame] + header + encoded[0][tables:scan] + body + b"\xff\xd9"


@pytest.mark.parametrize(
    "factors",
    [
        [(2, 2), (1, 1), (1, 1)],
        [(4, 2), (1, 1), (1, 1)],
        [(4, 4), (1, 1), (1, 1)],
        [(2, 2), (2, 1), (1, 2)],
        [(2, 1), (1, 1), (2, 1)],
    ],
    ids=str,
)
def test_jpeg_with_any_subsampling_is_read(tmp_path: Path, factors: list[tuple[int, int]]) -> None:
    smooth = np.add.outer(np.arange(96), np.arange(128.0))
    pixels = np.stack([smooth, 220 - smooth, 60 + smooth / 2], -1)
    picture = read(tmp_path, encode_subsampled(pixels, factors))
    assert mean_difference(picture, pixels) < 1.5
    assert picture.depth == 8
    assert picture.notes in ([], [UNCHECKED])


def test_jpeg_with_a_rare_subsampling_and_missing_data_fails(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).uniform(0, 255, (96, 128, 3))
    encoded = encode_subsampled(noise, [(4, 2), (1, 1), (1, 1)])
    found = write(tmp_path, encoded[:2000] + encoded[3000:])
    with pytest.raises(ProcessingError, match="damaged: its compressed data"):
        decode(found, 10**9)


def test_size_of_a_rare_jpeg_is_checked_from_its_header(tmp_path: Path) -> None:
    found = write(tmp_path, imagecodecs.jpeg8_encode(samples(GREY, 8), lossless=True))
    for check in (estimate_memory, decode):
        with pytest.raises(ProcessingError) as caught:
            check(found, 1000)
        assert caught.value.step == LIMITS


@pytest.mark.parametrize(
    "data", [b"\xff\xd8\xff", b"\xff\xd8\xff\xd9", b"\xff\xd8\xff\xe0\xff\xff"]
)
def test_jpeg_without_a_frame_header_fails(tmp_path: Path, data: bytes) -> None:
    with pytest.raises(ProcessingError, match="frame header"):
        estimate_memory(write(tmp_path, data), 10**9)
