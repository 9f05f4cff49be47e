"""AVIF and HEIC: depth, colour space, metadata and further pictures of the source."""

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
from PIL import Image

from batchcolor.images.color_profiles.rgb_profiles import build_output_profile
from batchcolor.images.decode import decode
from batchcolor.images.encode import encode
from batchcolor.images.formats import AVIF, HEIF, TIFF, Format, describe_missing_encoder
from batchcolor.images.heif_items import describe_further_images, parse_items, read_code_points
from batchcolor.images.join import join
from batchcolor.images.metadata.model import Metadata
from batchcolor.images.picture import Picture
from batchcolor.images.readers.heif_depth import read_heif_bits
from batchcolor.images.scan import ScannedFile

ReadPicture = Callable[[Path], Picture]
NEUTRAL = np.zeros((2, 1, 1), np.float32)
RAMP = np.tile(np.linspace(2000, 60000, 96).astype(np.uint16), (64, 1))
XMP = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"></x:xmpmeta>'


@pytest.fixture(params=[AVIF, HEIF], ids=lambda kind: kind.name)
def kind(request: pytest.FixtureRequest) -> Format:
    """Returns each format whose encoder is installed."""
    chosen: Format = request.param
    if missing := describe_missing_encoder(chosen):
        pytest.skip(missing)
    return chosen


def write_source(path: Path, kind: Format, bits: int, **options: int) -> None:
    """Writes the ramp in RGB with `bits` per sample."""
    pixels = np.repeat(RAMP[..., None], 3, 2)
    if kind == AVIF:
        stored = pixels >> (16 - bits)
        points = {"primaries": options.get("primaries", 1), "transfer": options.get("transfer", 13)}
        encoded = imagecodecs.avif_encode(
            stored, level=100, speed=9, bitspersample=bits, matrix=6, **points
        )
        path.write_bytes(encoded)
        return
    import pillow_heif

    file = pillow_heif.from_bytes("RGB;16", (96, 64), pixels.tobytes())
    more = {"color_primaries": options["primaries"]} if "primaries" in options else {}
    more |= {"transfer_characteristics": options["transfer"]} if "transfer" in options else {}
    file.save(path, quality=100, bit_depth=bits, **more)


def color(picture: Picture, kind: Format, metadata: Metadata | None = None) -> bytes:
    """Returns the encoded result of a picture without chroma; notes go to the picture."""
    image = join(picture, NEUTRAL, 1.0, kind)
    return encode(image, metadata or picture.metadata, None, picture.notes)


def is_dropped(notes: list[str]) -> bool:
    return any("reduced" in note for note in notes)


@pytest.mark.parametrize("bits", [10, 12])
def test_result_has_the_depth_of_its_source(
    tmp_path: Path, read_picture: ReadPicture, kind: Format, bits: int
) -> None:
    source, target = (tmp_path / f"{name}{kind.suffixes[0]}" for name in ("in", "out"))
    write_source(source, kind, bits)
    picture = read_picture(source)
    target.write_bytes(color(picture, kind))
    assert read_heif_bits(target.read_bytes(), kind) == bits
    result = read_picture(target)
    assert np.abs(result.luma.astype(int) - picture.luma).mean() < 120
    assert not is_dropped(picture.notes)


def test_16_bits_become_those_that_the_format_holds_with_a_note(
    tmp_path: Path, read_picture: ReadPicture, kind: Format
) -> None:
    path = tmp_path / f"out{kind.suffixes[0]}"
    picture = Picture(Path("in"), RAMP, np.full_like(RAMP, 40000), TIFF)
    path.write_bytes(color(picture, kind))
    bits = 12 if kind == AVIF else 10
    assert read_heif_bits(path.read_bytes(), kind) == bits
    assert any(f"16 bits reduced to {bits}" in note for note in picture.notes)
    result = read_picture(path)
    assert np.abs(result.luma.astype(int) - RAMP).mean() < 150
    assert result.alpha is not None
    assert np.abs(result.alpha.astype(int) - 40000).max() < 200


def test_deep_result_has_metadata_and_profile(
    tmp_path: Path, read_picture: ReadPicture, kind: Format
) -> None:
    exif = Image.Exif()
    exif[0x010E] = "Aunt Ida, 1931"
    profile = build_output_profile("display-p3")
    block = exif.tobytes().removeprefix(b"Exif\0\0")
    path = tmp_path / f"out{kind.suffixes[0]}"
    picture = Picture(Path("in"), RAMP, None, TIFF)
    path.write_bytes(color(picture, kind, Metadata(exif=block, xmp=XMP, icc=profile)))
    metadata = read_picture(path).metadata
    assert (metadata.icc, metadata.xmp) == (profile, XMP)
    read = Image.Exif()
    read.load(metadata.exif)
    assert read[0x010E] == "Aunt Ida, 1931"
    if kind == AVIF:
        with Image.open(path) as image:
            image.load()
            assert image.info["icc_profile"] == profile


def test_code_points_of_hdr_and_wide_gamut_are_kept(
    tmp_path: Path, read_picture: ReadPicture, kind: Format
) -> None:
    source, target = (tmp_path / f"{name}{kind.suffixes[0]}" for name in ("in", "out"))
    for points in ((9, 16), (12, 13)):
        write_source(source, kind, 10, primaries=points[0], transfer=points[1])
        assert read_code_points(source.read_bytes()) == points
        picture = read_picture(source)
        assert np.abs(picture.luma.astype(int) - RAMP).mean() < 150
        target.write_bytes(color(picture, kind))
        assert read_code_points(target.read_bytes()) == points
        assert len(picture.metadata.icc) > 400  # for results in other formats
    write_source(source, kind, 10, primaries=1, transfer=1)
    assert read_picture(source).metadata.icc == b""


def test_first_frame_of_a_deep_animation_is_read_alone(
    tmp_path: Path, scan_file: Callable[[Path], ScannedFile]
) -> None:
    frames = np.stack([np.repeat((RAMP >> 6)[::step, :, None], 3, 2) for step in (1, -1)])
    encoded = imagecodecs.avif_encode(frames, level=100, speed=9, bitspersample=10)
    path = tmp_path / "in.avif"
    path.write_bytes(encoded)
    with Image.open(path) as image:
        assert getattr(image, "n_frames", 1) == 2
    picture = decode(scan_file(path), 10**6)
    assert picture.luma.shape == RAMP.shape
    assert np.abs(picture.luma.astype(int) - (RAMP >> 8)).mean() < 2
    assert "10 bits reduced to 8: it is an animation" in picture.notes


def box(kind: bytes, content: bytes, version: int | None = None) -> bytes:
    content = content if version is None else bytes((version, 0, 0, 0)) + content
    return struct.pack(">I", 8 + len(content)) + kind + content


def build_file(references: list[tuple[bytes, int]], properties: dict[int, str]) -> bytes:
    """Returns boxes of a file with items 1 (primary) to 4, and no pixels."""
    items = b"".join(box(b"infe", struct.pack(">HH", i, 0) + b"hvc1\0", 2) for i in range(1, 5))
    iinf = box(b"iinf", struct.pack(">H", 4) + items, 0)
    iref = box(
        b"iref",
        b"".join(box(name, struct.pack(">HHH", item, 1, 1)) for name, item in references),
        0,
    )
    urns = box(
        b"ipco", b"".join(box(b"auxC", urn.encode() + b"\0", 0) for urn in properties.values())
    )
    entries = b"".join(
        struct.pack(">HBB", item, 1, number) for number, item in enumerate(properties, 1)
    )
    ipma = box(b"ipma", struct.pack(">I", len(properties)) + entries, 0)
    children = box(b"pitm", struct.pack(">H", 1), 0) + iinf + iref + box(b"iprp", urns + ipma)
    return box(b"ftyp", b"heic\0\0\0\0heic") + box(b"meta", children, 0)


def test_gain_map_depth_map_and_thumbnail_are_named() -> None:
    properties = {
        2: "urn:com:apple:photo:2020:aux:hdrgainmap",
        3: "urn:mpeg:hevc:2015:auxid:2",
        4: "urn:mpeg:hevc:2015:auxid:1",
    }
    references = [(b"auxl", 2), (b"auxl", 3), (b"auxl", 4), (b"thmb", 4)]
    data = build_file(references, properties)
    assert parse_items(data).primary == 1
    assert describe_further_images(data) == ["gain map", "depth map", "thumbnail"]
    assert describe_further_images(data.replace(b"hvc1\0", b"tmap\0", 1)) != []
    for size in range(0, len(data), 7):
        describe_further_images(data[:size])  # damaged boxes raise nothing


def split_associations(avif: bytes) -> bytes:
    """Returns an AVIF of two items with a box of properties for each, as older programs write."""
    place = avif.index(b"ipma") - 4
    size = int.from_bytes(avif[place : place + 4], "big")
    entries, parts, position = avif[place + 16 : place + size], [], 0
    while position < len(entries):
        length = 3 + entries[position + 2]
        parts.append(struct.pack(">I", 1) + entries[position : position + length])
        position += length
    boxes = b"".join(box(b"ipma", part, 0) for part in parts)
    growth = len(boxes) - size
    result = bytearray(avif[:place] + boxes + avif[place + size :])
    for name in (b"meta", b"iprp"):
        start = result.index(name) - 4
        old = int.from_bytes(result[start : start + 4], "big")
        result[start : start + 4] = (old + growth).to_bytes(4, "big")
    start = result.index(b"iloc") + 4 + 8
    for _ in parts:
        offset = int.from_bytes(result[start + 6 : start + 10], "big")
        result[start + 6 : start + 10] = (offset + growth).to_bytes(4, "big")
        start += 14
    return bytes(result)


@pytest.mark.parametrize("bits", [8, 10])
def test_avif_with_a_box_of_properties_for_each_item_is_read(
    tmp_path: Path, read_picture: ReadPicture, bits: int
) -> None:
    stored = np.repeat((RAMP >> (16 - bits))[..., None], 4, 2)
    stored = stored.astype(np.uint8) if bits == 8 else stored
    whole = imagecodecs.avif_encode(stored, level=100, speed=9, bitspersample=bits)
    path = tmp_path / "in.avif"
    path.write_bytes(split_associations(bytes(whole)))
    with pytest.raises(imagecodecs.AvifError):
        imagecodecs.avif_decode(path.read_bytes())
    picture = read_picture(path)
    full = 255 if bits == 8 else 65535
    assert np.abs(picture.luma / full - RAMP / 65535).max() < 0.02
    assert picture.alpha is not None


def test_thumbnail_of_heic_is_dropped_with_a_note(
    tmp_path: Path, read_picture: ReadPicture
) -> None:
    pillow_heif = pytest.importorskip("pillow_heif", reason="needs the extra heif")
    path = tmp_path / "in.heic"
    grey: NDArray[Any] = (RAMP >> 8).astype(np.uint8).repeat(4, 0).repeat(4, 1)
    file = pillow_heif.from_pillow(Image.fromarray(grey).convert("RGB"))
    file.save(path, quality=50, thumbnails=[128])
    assert "thumbnail dropped" in read_picture(path).notes
    written = io.BytesIO()
    pillow_heif.from_pillow(Image.fromarray(grey).convert("RGB")).save(written, quality=50)
    path.write_bytes(written.getvalue())
    assert read_picture(path).notes == []
