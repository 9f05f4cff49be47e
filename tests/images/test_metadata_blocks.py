"""Blocks of metadata that are changed in place stay readable, whatever their size and content."""

import io
from xml.dom import minidom

import numpy as np
import pytest
from PIL import Image

from batchcolor.images.metadata import exif
from batchcolor.images.metadata.ifd import (
    ASCII,
    LONG,
    SHORT,
    Entry,
    build_directory,
    build_header,
    integer_entry,
)
from batchcolor.images.metadata.xmp import merge_extended, split_packet

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
