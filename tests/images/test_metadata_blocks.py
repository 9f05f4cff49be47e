"""Blocks of metadata that are changed in place stay readable, whatever their size and content."""

import io
from xml.dom import minidom

import numpy as np
import pytest
from PIL import Image

from batchcolor.images.jpeg_stream.grey_jpeg import read_grey_jpeg
from batchcolor.images.metadata import exif
from batchcolor.images.metadata.exif_block import shrink_block
from batchcolor.images.metadata.ifd import (
    ASCII,
    LONG,
    SHORT,
    DamagedDirectoryError,
    Entry,
    Layout,
    build_directory,
    build_header,
    integer_entry,
    read_directory,
    read_layout,
)
from batchcolor.images.metadata.jpeg import write_jpeg
from batchcolor.images.metadata.model import Metadata
from batchcolor.images.metadata.upright import mark_as_upright
from batchcolor.images.metadata.xmp import merge_extended, split_packet
from batchcolor.images.tiff.tiff_pages import TiffPageWriter

XMP = (
    '<x:xmpmeta xmlns:x="adobe:ns:meta/">'
    '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    '<rdf:Description rdf:about="" xmlns:a="urn:a" xmlns:tiff="http://ns.adobe.com/tiff/1.0/">'
    "%s</rdf:Description></rdf:RDF></x:xmpmeta>"
)


def encode_jpeg(side):
    file = io.BytesIO()
    rng = np.random.default_rng(0)
    Image.fromarray(rng.integers(0, 256, (side, side), np.uint8)).save(file, "JPEG")
    return file.getvalue()


def build_block_with_thumbnail(thumbnail, after):
    """An EXIF block with a thumbnail, and other bytes after it."""
    main = [Entry(0x010F, ASCII, 6, b"Canon\0")]
    second = 8 + len(build_directory(main, "<", 8))
    start = second + 2 + 12 * 3 + 4
    entries = [
        integer_entry(exif.COMPRESSION, SHORT, [6], "<"),
        integer_entry(exif.THUMBNAIL_OFFSET, LONG, [start], "<"),
        integer_entry(exif.THUMBNAIL_LENGTH, LONG, [len(thumbnail)], "<"),
    ]
    directories = build_directory(main, "<", 8, second) + build_directory(entries, "<", second)
    return build_header("<", 8) + directories + thumbnail + after


@pytest.mark.parametrize("after", [b"", b"p", b"pa", b"pad"])
def test_larger_thumbnail_is_readable_after_a_block_of_any_length(after):
    small, large = encode_jpeg(8), encode_jpeg(64)
    changed = exif.replace_thumbnail(build_block_with_thumbnail(small, after), large)
    assert exif.read_thumbnail(changed) == large


@pytest.mark.parametrize(
    "first",
    [
        '<a:one a:x="p>q"/>',
        "<a:one a:x='/>'/>",
        '<a:one a:x="pq"/>',
        '<a:one a:x="p>q"/><!-- > --> text >',
        "<a:one><![CDATA[ > ]]></a:one >",
        "<a:one><a:x>1 > 0</a:x></a:one>",
    ],
)
@pytest.mark.parametrize("limit", [430, 560])
def test_xmp_is_divided_between_its_properties(first, limit):
    large = f'<a:three a:x="{"z" * 300}>"/><a:four a:y="{"y" * 200}>"/>'
    packet = (XMP % f"{first}<a:two>small</a:two>{large}").encode()
    main, extended = split_packet(packet, limit + len(first))
    assert len(main) <= limit + len(first)
    for part in (main, extended, merge_extended(main, extended)):
        minidom.parseString(part)
    assert first.encode() in main + extended
    merged = merge_extended(main, extended)
    for name in (b"<a:one", b"<a:two", b"<a:three", b"<a:four", b"small", b"z" * 300, b"y" * 200):
        assert merged.count(name) == 1


@pytest.mark.parametrize("codec", ["utf-8", "utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"])
@pytest.mark.parametrize("start", ["", "\ufeff", '<?xml version="1.0" encoding="UTF-16"?>\n'])
def test_orientation_is_read_in_xmp_of_every_encoding(codec, start):
    if codec == "utf-8" and start:
        start = "\ufeff"
    packet = XMP % "<tiff:Orientation>6</tiff:Orientation><a:name>Köln</a:name>"
    stored = (start + packet).encode(codec).rstrip(b"\0")  # as readers of segments do
    metadata, orientation = mark_as_upright(Metadata(xmp=stored), [])
    assert orientation == 6
    text = metadata.xmp.decode("utf-8-sig")
    assert text == packet.replace(">6<", ">1<")


def build_large_block(entries, below=()):
    """An EXIF block of more than a JPEG segment, with an EXIF directory in it."""
    offset = 8 + len(build_directory(entries, "<", 8)) + 18
    main = [*entries, integer_entry(exif.EXIF_IFD, LONG, [offset], "<")]
    directory = build_directory(main, "<", 8).ljust(offset - 8, b"\0")
    return build_header("<", 8) + directory + build_directory(below, "<", offset)


def text(tag, size):
    return Entry(tag, ASCII, size, b"a" * size)


@pytest.mark.parametrize("tag", sorted(exif.POINTERS))
@pytest.mark.parametrize("target", [10**7, 8])
def test_pointer_to_no_directory_does_not_prevent_a_smaller_block(tag, target):
    entries = [text(0x010E, 70000), text(0x010F, 10), integer_entry(tag, LONG, [target], "<")]
    notes = []
    block = build_header("<", 8) + build_directory(entries, "<", 8)
    shrunk = shrink_block(block, 65527, notes)
    assert len(shrunk) <= 65527
    assert exif.read_tags(shrunk)[0x010F].value == b"a" * 10
    assert any("0x010E" in note for note in notes)
    assert len(notes) == len(set(notes))


def test_large_value_is_dropped_from_its_own_directory_alone():
    block = build_large_block([text(0x9286, 30)], [text(0x9286, 70000), text(0x9003, 20)])
    notes = []
    shrunk = shrink_block(block, 65527, notes)
    main = exif.read_tags(shrunk)
    assert main[0x9286].value == b"a" * 30
    layout = read_layout(shrunk)
    below = read_directory(shrunk, layout, main[exif.EXIF_IFD].integers("<")[0]).entries
    assert below.keys() == {0x9003}
    assert notes == ["EXIF exceeds 65,527 bytes: dropped tag 0x9286 (70,000 bytes)"]


@pytest.mark.parametrize(("size", "is_kept"), [(255 * 65519, True), (255 * 65519 + 1, False)])
def test_profile_that_exceeds_the_segments_of_a_jpeg_is_reported(size, is_kept):
    notes = []
    data = write_jpeg(encode_jpeg(8), Metadata(icc=bytes(size)), notes)
    assert (b"ICC_PROFILE" in data) == is_kept
    assert [note[:19] for note in notes] == ["ICC profile dropped"] * (not is_kept)


@pytest.mark.parametrize("tag", sorted(exif.POINTERS))
@pytest.mark.parametrize("target", [10**7, 8, 48])
@pytest.mark.parametrize("is_copied", [False, True])
def test_page_with_a_pointer_to_no_directory_is_written(tmp_path, tag, target, is_copied):
    entries = [text(0x010F, 10), integer_entry(tag, LONG, [target], "<")]
    page = build_header("<", 8) + build_directory(entries, "<", 8)
    other = exif.GPS_IFD if tag == exif.EXIF_IFD else exif.EXIF_IFD
    assert len(page) == 48  # the second directory and a third one point to each other
    for one, position in ((other, 66), (tag, 48)):
        page += build_directory([integer_entry(one, LONG, [position], "<")], "<", len(page))
    source = tmp_path / "in.tif"
    source.write_bytes(page)
    file = io.BytesIO()
    writer = TiffPageWriter(file, "<", is_big=False)
    if is_copied:
        writer.copy(source, 8)
    else:
        writer.append(page)
    assert exif.read_tags(file.getvalue()).keys() - {tag} == {0x010F}


@pytest.mark.parametrize("target", [2**63, 2**64 - 1])
def test_directory_beyond_any_file_is_damaged(target):
    with pytest.raises(DamagedDirectoryError):
        read_directory(bytes(100), Layout("<", True, 0), target)


def test_grey_jpeg_with_xmp_of_utf_16_is_coloured_with_utf_8():
    packet = XMP % "<a:name>Köln</a:name>"
    data = write_jpeg(encode_jpeg(16), Metadata(xmp=packet.encode("utf-16-le")), [])
    source = read_grey_jpeg(data, 1)
    assert source is not None
    assert source.metadata.xmp == packet.encode()
