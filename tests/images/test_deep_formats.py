"""Netpbm, SGI and JPEG 2000 keep 16 bits, transparency and metadata."""

from __future__ import annotations

import io
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageCms

from batchcolor.errors import ProcessingError
from batchcolor.images.formats import PNG
from batchcolor.images.header import estimate_memory
from batchcolor.images.picture import Picture
from batchcolor.images.readers.jpeg2000 import IPTC_UUID, XMP_UUID
from batchcolor.images.scan import ScannedFile

ReadPicture = Callable[[Path], Picture]
ScanFile = Callable[[Path], ScannedFile]
RAMP = np.tile(np.linspace(700, 64000, 96).astype(np.uint16), (64, 1))


def netpbm(kind: str, maximum: int, channels: int) -> bytes:
    """Returns the ramp as a Netpbm file whose white is `maximum`."""
    samples = np.round(RAMP / 65535 * maximum).astype(np.uint32)
    values = np.repeat(samples[..., None], channels, 2)
    if kind in ("P2", "P3"):
        return (
            f"{kind} # ramp\n96\t64\n{maximum}\n".encode()
            + " ".join(map(str, values.ravel())).encode()
        )
    raster = values.astype(np.uint8 if maximum <= 255 else ">u2").tobytes()
    if kind == "P7":
        head = f"P7\n# ramp\nWIDTH 96\nHEIGHT 64\nDEPTH {channels}\nMAXVAL {maximum}\nENDHDR\n"
        return head.encode() + raster
    return f"{kind}\n# ramp\n96 64\n{maximum}\n".encode() + raster


@pytest.mark.parametrize("maximum", [15, 255, 1023, 65535])
@pytest.mark.parametrize(
    ("kind", "channels"),
    [("P2", 1), ("P3", 3), ("P5", 1), ("P6", 3), ("P7", 1), ("P7", 2), ("P7", 3), ("P7", 4)],
)
def test_netpbm_keeps_its_depth_and_alpha(
    tmp_path: Path, read_picture: ReadPicture, kind: str, channels: int, maximum: int
) -> None:
    path = tmp_path / "in.pnm"
    path.write_bytes(netpbm(kind, maximum, channels))
    picture = read_picture(path)
    assert picture.format.result_format == PNG
    assert picture.depth == (8 if maximum <= 255 else 16)
    assert (picture.alpha is not None) is (channels in (2, 4))
    full = 255 if picture.depth == 8 else 65535
    assert np.abs(picture.luma / full - RAMP / 65535).max() <= 0.5 / maximum + 1 / full


def test_float_map_begins_with_its_lowest_row(tmp_path: Path, read_picture: ReadPicture) -> None:
    values = (RAMP.T / 65535).astype("<f4")
    path = tmp_path / "in.pfm"
    path.write_bytes(b"Pf\n64 96\n-1.0\n" + values[::-1].tobytes())
    assert np.abs(read_picture(path).luma.astype(int) - RAMP.T).max() <= 1


@pytest.mark.parametrize("kind", ["P3", "P6", "P7"])
def test_truncated_and_large_netpbm_fail(
    tmp_path: Path, read_picture: ReadPicture, scan_file: ScanFile, kind: str
) -> None:
    path = tmp_path / "in.pnm"
    data = netpbm(kind, 65535, 3)
    path.write_bytes(data[:-40])
    with pytest.raises(ProcessingError, match="truncated"):
        read_picture(path)
    path.write_bytes(data.replace(b"96", b"9600000", 1))
    with pytest.raises(ProcessingError, match="max-pixels"):
        estimate_memory(scan_file(path), 10**6)


def test_netpbm_with_several_pictures_is_refused(tmp_path: Path, read_picture: ReadPicture) -> None:
    path = tmp_path / "in.pgm"
    path.write_bytes(netpbm("P5", 255, 1) * 2)
    with pytest.raises(ProcessingError, match="2 pages"):
        read_picture(path)


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("sample_type", ["u1", ">u2"])
def test_sgi_keeps_its_depth_and_alpha(
    tmp_path: Path, read_picture: ReadPicture, sample_type: str, channels: int
) -> None:
    stored = (RAMP if sample_type == ">u2" else RAMP // 257).astype(sample_type)
    size = np.dtype(sample_type).itemsize
    dimensions = 2 if channels == 1 else 3
    head = struct.pack(">HBBHHHHII", 0x01DA, 0, size, dimensions, 96, 64, channels, 0, 65535)
    path = tmp_path / "in.sgi"
    path.write_bytes(head.ljust(512, b"\0") + stored[::-1].tobytes() * channels)
    picture = read_picture(path)
    assert picture.depth == 8 * size
    assert (picture.alpha is not None) is (channels == 4)
    assert np.array_equal(picture.luma, stored)


def add_boxes(jp2: bytes, colour: bytes, *boxes: tuple[bytes, bytes]) -> bytes:
    """Returns the JP2 with another colour box, and further boxes before the codestream."""
    start, end = jp2.index(b"jp2h") - 4, jp2.index(b"jp2c") - 4
    header = jp2[start + 8 : end]
    position = header.index(b"colr") - 4
    length = int.from_bytes(header[position : position + 4], "big")
    box = (8 + len(colour)).to_bytes(4, "big") + b"colr" + colour
    header = header[:position] + box + header[position + length :]
    more = b"".join((8 + len(c)).to_bytes(4, "big") + kind + c for kind, c in boxes)
    block = (8 + len(header)).to_bytes(4, "big") + b"jp2h" + header
    return jp2[:start] + block + more + jp2[end:]


@pytest.mark.parametrize("bits", [8, 9, 10, 12, 16])
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_jpeg_2000_keeps_its_depth_and_alpha(
    tmp_path: Path, read_picture: ReadPicture, channels: int, bits: int
) -> None:
    stored: NDArray[Any] = (RAMP >> (16 - bits)).astype(np.uint8 if bits == 8 else np.uint16)
    pixels = stored if channels == 1 else np.repeat(stored[..., None], channels, 2)
    path = tmp_path / "in.jp2"
    path.write_bytes(
        imagecodecs.jpeg2k_encode(pixels, codecformat="jp2", bitspersample=bits, reversible=True)
    )
    picture = read_picture(path)
    assert picture.depth == (8 if bits == 8 else 16)
    assert (picture.alpha is not None) is (channels in (2, 4))
    full = 255 if bits == 8 else 65535
    assert np.abs(picture.luma / full - stored / (2**bits - 1)).max() < 0.001


@pytest.mark.parametrize("sample_type", [np.uint8, np.uint16])
def test_jpeg_2000_keeps_profile_and_metadata(
    tmp_path: Path, read_picture: ReadPicture, sample_type: type[np.uint8 | np.uint16]
) -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    pixels = np.repeat((RAMP >> 8).astype(sample_type)[..., None], 3, 2)
    boxes = [(b"uuid", XMP_UUID + b"<x/>"), (b"uuid", IPTC_UUID + b"\x1c\x02\x78\0\x01A")]
    jp2 = imagecodecs.jpeg2k_encode(pixels, codecformat="jp2", reversible=True)
    path = tmp_path / "in.jp2"
    path.write_bytes(add_boxes(jp2, b"\2\0\0" + profile, *boxes))
    Image.open(io.BytesIO(path.read_bytes())).load()
    metadata = read_picture(path).metadata
    assert metadata.icc == profile
    assert metadata.xmp == b"<x/>"
    assert metadata.iptc == b"\x1c\x02\x78\0\x01A"


@pytest.mark.parametrize("bits", [10, 12])
@pytest.mark.parametrize("channels", [3, 4])
def test_avif_of_more_than_8_bits_becomes_16_bits(
    tmp_path: Path, read_picture: ReadPicture, channels: int, bits: int
) -> None:
    stored = RAMP >> (16 - bits)
    pixels = np.repeat(stored[..., None], channels, 2)
    path = tmp_path / "in.avif"
    path.write_bytes(imagecodecs.avif_encode(pixels, level=100, bitspersample=bits))
    picture = read_picture(path)
    assert picture.depth == 16
    assert (picture.alpha is not None) is (channels == 4)
    assert np.abs(picture.luma.astype(int) - RAMP).mean() < 300


def test_heic_of_10_bits_becomes_16_bits_upright(tmp_path: Path, read_picture: ReadPicture) -> None:
    pillow_heif = pytest.importorskip("pillow_heif", reason="needs the extra heif")
    exif = Image.Exif()
    exif[0x0112] = 6
    pixels = np.repeat(RAMP[..., None], 3, 2)
    path = tmp_path / "in.heic"
    file = pillow_heif.from_bytes("RGB;16", (96, 64), pixels.tobytes())
    file.save(path, quality=98, chroma="444", exif=exif.tobytes())
    picture = read_picture(path)
    assert picture.depth == 16
    assert picture.luma.shape == (96, 64)
    assert np.abs(np.rot90(picture.luma).astype(int) - RAMP).mean() < 300
