"""Film scans and floating-point pictures: DPX, Sun raster, OpenEXR, Radiance."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import imagecodecs
import numpy as np
import pytest

from batchcolor.errors import ProcessingError
from batchcolor.images.codec_samples import decode_srgb
from batchcolor.images.formats import DPX
from batchcolor.images.header import estimate_memory
from batchcolor.images.picture import Picture
from batchcolor.images.scan import ScannedFile

ReadPicture = Callable[[Path], Picture]
ScanFile = Callable[[Path], ScannedFile]
RAMP = np.tile(np.linspace(2, 250, 96).astype(np.uint8), (64, 1))
TRANSFER = 801
"""Position of the transfer characteristic in DPX."""


def encode(codec: str, pixels: Any, pixel_format: str) -> bytes:
    """Returns a picture that FFmpeg encodes."""
    context: Any = av.CodecContext.create(codec, "w")
    context.height, context.width = pixels.shape[:2]
    context.pix_fmt = pixel_format
    context.time_base = Fraction(1, 24)
    frame = av.VideoFrame.from_ndarray(pixels, format=pixel_format)
    frame.pts = 0
    return b"".join(bytes(packet) for packet in [*context.encode(frame), *context.encode(None)])


def with_transfer(dpx: bytes, value: int) -> bytes:
    return dpx[:TRANSFER] + bytes((value,)) + dpx[TRANSFER + 1 :]


def test_transfer_characteristic_of_dpx(tmp_path: Path, read_picture: ReadPicture) -> None:
    path = tmp_path / "in.dpx"
    video = encode("dpx", np.repeat(RAMP[..., None], 3, 2), "rgb24")
    path.write_bytes(with_transfer(video, 6))
    assert np.array_equal(read_picture(path).luma, RAMP.astype(np.uint16) * 257)
    path.write_bytes(with_transfer(video, 1))
    picture = read_picture(path)
    assert np.array_equal(picture.luma, RAMP.astype(np.uint16) * 257)
    assert "printing density" in picture.notes[0]
    linear = (decode_srgb(RAMP) * 65535 + 0.5).astype(np.uint16)
    stored = encode("dpx", np.repeat(linear[..., None], 3, 2), "rgb48le")
    path.write_bytes(with_transfer(stored, 2))
    assert np.abs(read_picture(path).luma / 257 - RAMP).max() < 0.1


def test_dpx_keeps_transparency(tmp_path: Path, read_picture: ReadPicture) -> None:
    path = tmp_path / "in.dpx"
    pixels = np.dstack([RAMP, RAMP, RAMP, np.full_like(RAMP, 128)])
    path.write_bytes(encode("dpx", pixels, "rgba"))
    picture = read_picture(path)
    assert picture.alpha is not None
    assert set(np.unique(picture.alpha)) == {128 * 257}
    assert picture.format.result_format == DPX


@pytest.mark.parametrize("suffix", [".exr", ".hdr"])
def test_linear_floating_point_samples_get_the_curve_of_srgb(
    tmp_path: Path, read_picture: ReadPicture, scan_file: ScanFile, suffix: str
) -> None:
    linear = np.repeat(decode_srgb(RAMP)[..., None], 3, 2)
    path = tmp_path / f"in{suffix}"
    if suffix == ".exr":
        path.write_bytes(encode("exr", linear, "gbrpf32le"))
    else:
        path.write_bytes(imagecodecs.rgbe_encode(linear, header=True))
    picture = read_picture(path)
    assert picture.depth == 16
    assert np.abs(picture.luma / 257 - RAMP).max() < 1
    with pytest.raises(ProcessingError, match="max-pixels"):
        estimate_memory(scan_file(path), 96 * 64 - 1)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 3])
    with pytest.raises(ProcessingError):
        read_picture(path)


def make_exr(alpha: float | None = None) -> bytes:
    """Returns the ramp as OpenEXR without compression; with alpha, colours multiplied by it."""
    linear = np.repeat(decode_srgb(RAMP)[..., None], 3, 2)
    if alpha is None:
        return encode("exr", linear, "gbrpf32le")
    planes = np.dstack([linear * alpha, np.full(RAMP.shape, alpha, np.float32)])
    return encode("exr", planes.astype(np.float32), "gbrapf32le")


def test_colours_of_openexr_are_divided_by_alpha(tmp_path: Path, read_picture: ReadPicture) -> None:
    path = tmp_path / "in.exr"
    path.write_bytes(make_exr(0.25))
    picture = read_picture(path)
    assert picture.alpha is not None
    assert abs(int(picture.alpha[0, 0]) - 16384) <= 1
    assert np.abs(picture.luma / 257 - RAMP).max() < 1


def add_part(exr: bytes) -> bytes:
    """Returns an OpenEXR of one part as the first of two; the second part has no chunks."""
    attributes = exr[8 : find_end_of_header(exr)]
    count = len(RAMP)  # a chunk for each line
    extra = b"name\0string\0\x01\0\0\0%cchunkCount\0int\0\4\0\0\0%s"
    extra += b"type\0string\0\x0d\0\0\0scanlineimage"
    headers = b"".join(
        attributes + extra % (name, size.to_bytes(4, "little")) + b"\0"
        for name, size in ((b"a", count), (b"b", 0))
    )
    table = len(exr[:8]) + len(headers) + 1
    start = find_end_of_header(exr) + 1 + 8 * count
    size = (len(exr) - start) // count
    offsets, chunks = b"", b""
    for number in range(count):
        offsets += (table + 8 * count + len(chunks)).to_bytes(8, "little")
        chunks += bytes(4) + exr[start + number * size : start + (number + 1) * size]
    flags = (0x1002).to_bytes(4, "little")
    return exr[:4] + flags + headers + b"\0" + offsets + chunks


def find_end_of_header(exr: bytes) -> int:
    """Returns the position of the zero behind the last attribute."""
    position = 8
    while exr[position]:
        for _ in range(2):
            position = exr.index(b"\0", position) + 1
        position += 4 + int.from_bytes(exr[position : position + 4], "little")
    return position


def test_first_part_of_openexr_is_coloured_with_a_note(
    tmp_path: Path, read_picture: ReadPicture
) -> None:
    path = tmp_path / "in.exr"
    path.write_bytes(add_part(make_exr()))
    picture = read_picture(path)
    assert np.abs(picture.luma / 257 - RAMP).max() < 1
    assert picture.notes == ["the first of 2 parts; the others are dropped"]
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(ProcessingError, match="truncated"):
        read_picture(path)


def test_what_of_openexr_is_not_read_is_named(tmp_path: Path, read_picture: ReadPicture) -> None:
    path = tmp_path / "in.exr"
    whole = make_exr()
    path.write_bytes(whole[:4] + (0x0802).to_bytes(4, "little") + whole[8:])
    with pytest.raises(ProcessingError, match="deep OpenEXR"):
        read_picture(path)
    path.write_bytes(whole.replace(b"R\0\2\0\0\0", b"Z\0\2\0\0\0", 1))
    with pytest.raises(ProcessingError, match="has the channels B, G, Z"):
        read_picture(path)


def test_size_of_radiance_may_be_padded(tmp_path: Path, read_picture: ReadPicture) -> None:
    linear = np.repeat(decode_srgb(RAMP)[..., None], 3, 2)
    content = bytes(imagecodecs.rgbe_encode(linear, header=True))
    assert b"-Y 64 +X 96" in content
    path = tmp_path / "in.hdr"
    path.write_bytes(content.replace(b"-Y 64 +X 96", b"-Y      64 +X      96"))
    assert np.abs(read_picture(path).luma / 257 - RAMP).max() < 1


@pytest.mark.parametrize("pixel_format", ["gray", "bgr24"])
def test_run_length_encoded_sun_raster_is_read(
    tmp_path: Path, read_picture: ReadPicture, pixel_format: str
) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (61, 87), np.uint8)
    noise[:, 20:60] = 128
    pixels = noise if pixel_format == "gray" else np.repeat(noise[..., None], 3, 2)
    path = tmp_path / "in.ras"
    path.write_bytes(encode("sunrast", pixels, pixel_format))
    assert np.array_equal(read_picture(path).luma, noise)
    path.write_bytes(path.read_bytes()[:-400])
    with pytest.raises(ProcessingError, match="truncated"):
        read_picture(path)
