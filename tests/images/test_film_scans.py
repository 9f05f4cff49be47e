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
from batchcolor.images.formats import TIFF
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
    assert picture.format.result_format == TIFF


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
