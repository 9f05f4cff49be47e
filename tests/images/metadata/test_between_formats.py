"""Every kind of metadata, from every format to every format."""

from __future__ import annotations

import io
import struct

import numpy as np
import pytest
from PIL import Image

from batchcolor.images.formats import BMP, FORMATS, JPEG, JPEG_2000, PNG, TIFF, WEBP

SOURCES = (JPEG, PNG, WEBP, TIFF)
PAIRS = [(source, target) for source in SOURCES for target in FORMATS]


@pytest.mark.parametrize(("source", "target"), PAIRS, ids=lambda kind: kind.name)
def test_metadata_is_kept_between_formats(tmp_path, source, target, kit):
    data, notes = kit.colour(kit.BUILDERS[source](), source, target, tmp_path)
    if target == BMP:
        assert any("BMP cannot hold it: EXIF, XMP" in note for note in notes)
        return
    block = kit.find_block(data, target)
    main = kit.read_directory(block, struct.unpack_from("<I", block, 4)[0])
    assert main[0x010E] == kit.DESCRIPTION.encode() + b"\0"
    assert main[0x013B] == "Änne\0".encode()
    assert main[0xFDE8] == b"a private tag\0"
    assert main[kit.ORIENTATION] == 1
    assert main[0x011A] == struct.pack("<II", 200, 1)  # exchanged: pixels are turned by 90 degrees
    assert main[0x011B] == struct.pack("<II", 300, 1)
    exif = kit.read_directory(block, main[kit.EXIF])
    assert exif[0xA434] == "Zeiß Tessar\0".encode()
    assert (exif[0xA002], exif[0xA003]) == (kit.HEIGHT, kit.WIDTH)
    assert kit.read_directory(block, exif[kit.INTEROPERABILITY])[1] == b"R98\0"
    assert kit.read_directory(block, main[kit.GPS])[2] == struct.pack("<6I", 51, 1, 30, 1, 0, 1)
    camera = exif[kit.MAKER_NOTE]
    offset = struct.unpack_from("<I", camera, 10)[0]
    assert block[offset : offset + len(kit.CAMERA)] == kit.CAMERA
    assert "Köln".encode() in data.replace(b"\xf6", "ö".encode())
    assert b'tiff:Orientation="1"' in data
    if source != WEBP:
        assert (kit.IPTC in data or kit.IPTC.hex().encode() in kit.inflate_texts(data)) == (
            target != WEBP
        )
        assert not any("IPTC" in note for note in notes)  # WebP has it in XMP
        assert target != WEBP or b"<photoshop:City>K\xc3\xb6ln</photoshop:City>" in data


def test_jpeg_keeps_its_segments_byte_for_byte(tmp_path, kit):
    source = kit.build_jpeg()
    data, notes = kit.colour(source, JPEG, JPEG, tmp_path)
    for header in (b"http://ns.adobe.com/xmp/extension/", b"Photoshop 3.0", b"Ducky", b"box 7"):
        start = source.index(header) - 4
        length = struct.unpack_from(">H", source, start + 2)[0] + 2
        assert source[start : start + length] in data
    assert not notes


def test_png_keeps_its_chunks_byte_for_byte(tmp_path, kit):
    source = kit.build_png()
    data, notes = kit.colour(source, PNG, PNG, tmp_path)
    for kind in (b"Title\0", b"Warning\0", b"tIME"):
        start = source.index(kind) - (4 if kind == b"tIME" else 8)
        assert source[start : start + 12 + struct.unpack_from(">I", source, start)[0]] in data
    assert not notes


def test_png_keeps_the_chunks_that_state_srgb(tmp_path, kit):
    png = kit.save("PNG")
    chunks = kit.chunk(b"sRGB", b"\0") + kit.chunk(b"gAMA", struct.pack(">I", 45455))
    data, _ = kit.colour(png[:33] + chunks + png[33:], PNG, PNG, tmp_path)
    assert chunks in data


def test_webp_keeps_chunks_that_are_not_known(tmp_path, kit):
    data, _ = kit.colour(kit.build_webp(), WEBP, WEBP, tmp_path)
    assert b"ABCD\4\0\0\0kept" in data
    assert Image.open(io.BytesIO(data)).size == (kit.HEIGHT, kit.WIDTH)


@pytest.mark.parametrize(("target", "size"), [(JPEG, (40, 25)), (WEBP, (25, 40))])
def test_thumbnail_is_coloured_and_turned_as_the_pixels_are(tmp_path, target, size, kit):
    data, _ = kit.colour(kit.build_jpeg(), JPEG, target, tmp_path)
    block = kit.find_block(data, target)
    main = struct.unpack_from("<I", block, 4)[0]
    following = struct.unpack_from("<I", block, main + 2 + 12 * block[main])[0]
    tags = kit.read_directory(block, following)
    thumbnail = Image.open(io.BytesIO(block[tags[0x0201] : tags[0x0201] + tags[0x0202]]))
    assert thumbnail.size == size
    rgb = np.asarray(thumbnail.convert("RGB"), int)
    assert np.abs(rgb[..., 0] - rgb[..., 1]).mean() > 10


def test_bytes_after_the_end_of_a_jpeg_are_reported(tmp_path, kit):
    data, notes = kit.colour(kit.build_jpeg() + b"AXS!" * 5, JPEG, WEBP, tmp_path)
    assert b"AXS!" not in data
    assert any("20 bytes after the end" in note for note in notes)


def test_bytes_after_the_end_of_a_grey_jpeg_are_copied(tmp_path, kit):
    data, notes = kit.colour(kit.build_jpeg() + b"AXS!" * 5, JPEG, JPEG, tmp_path)
    assert data.endswith(b"AXS!" * 5)
    assert not any("after the end" in note for note in notes)


def test_xmp_of_a_webp_whose_chunk_name_ends_with_zero_is_read(tmp_path, kit):
    source = kit.build_webp().replace(b"XMP ", b"XMP\0")
    data, notes = kit.colour(source, WEBP, PNG, tmp_path)
    assert "<rdf:li>Köln</rdf:li>".encode() in data
    assert not any("XMP" in note for note in notes)


def test_boxes_that_only_jpeg_2000_has_are_reported(tmp_path, kit):
    file = io.BytesIO()
    Image.fromarray(kit.grey()).save(file, "JPEG2000")
    plain = file.getvalue()
    boxes = b""
    for kind, content in (
        (b"xml ", b"<map/>"),
        (b"uuid", bytes.fromhex("b14bf8bd083d4b43a5ae8cd7d5a6ce03") + b"II*\0"),
        (b"uuid", b"JpgTiffExif->JP2" + kit.build_block()),
    ):
        boxes += struct.pack(">I4s", len(content) + 8, kind) + content
    place = plain.index(b"jp2c") - 4
    _, without = kit.colour(plain, JPEG_2000, PNG, tmp_path)
    _, notes = kit.colour(plain[:place] + boxes + plain[place:], JPEG_2000, PNG, tmp_path)
    assert not without
    assert notes == ["not kept, only JPEG 2000 holds it: GeoTIFF, XML"]
