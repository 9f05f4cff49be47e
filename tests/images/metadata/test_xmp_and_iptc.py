"""XMP of any size and encoding, and IPTC that becomes XMP."""

from __future__ import annotations

import pytest

from batchcolor.images.formats import JPEG, PNG, TIFF, WEBP
from batchcolor.images.metadata.iptc import move_to_xmp


@pytest.mark.parametrize("target", [PNG, WEBP, TIFF], ids=lambda kind: kind.name)
def test_extended_xmp_becomes_part_of_the_packet(tmp_path, target, kit):
    data, _ = kit.colour(kit.build_jpeg(), JPEG, target, tmp_path)
    assert kit.STORY.encode() in data
    assert b"HasExtendedXMP" not in data


def test_xmp_that_exceeds_a_jpeg_segment_is_divided_and_joined_again(tmp_path, kit):
    text_of_100_kb = "Köln " * 20000
    element = f"""<rdf:Description rdf:about="" xmlns:dc="http://purl.org/dc/elements/1.1/">
<dc:source>{text_of_100_kb}</dc:source></rdf:Description>"""
    png = kit.save("PNG")
    packet = kit.chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + (kit.XMP % element).encode())
    jpeg, notes = kit.colour(png[:33] + packet + png[33:], PNG, JPEG, tmp_path)
    assert b"HasExtendedXMP" in jpeg
    assert jpeg.count(b"http://ns.adobe.com/xmp/extension/\0") == 2
    again, more = kit.colour(jpeg, JPEG, PNG, tmp_path)
    assert f"<dc:source>{text_of_100_kb}</dc:source>".encode() in again
    assert b"<rdf:li>Rhein</rdf:li>" in again
    assert not notes + more


@pytest.mark.parametrize("codec", ["utf-16-le", "utf-16-be", "utf-32-le"])
def test_xmp_of_other_encodings_becomes_utf_8_in_png(tmp_path, codec, kit):
    packet = (kit.XMP % "").encode(codec)
    jpeg = kit.save("JPEG")
    header = kit.segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0" + packet)
    data, _ = kit.colour(jpeg[:20] + header + jpeg[20:], JPEG, PNG, tmp_path)
    assert "<rdf:li>Köln</rdf:li>".encode() in data


def test_iptc_that_xmp_contradicts_or_does_not_know_is_reported(kit):
    dropped: list[str] = []
    other = b"\x1c\2\x83\0\1P" + b"\x1c\2\x37\0\x0819430506" + b"\x1c\2\x3c\0\x06070809"
    element = """<rdf:Description rdf:about="" xmlns:photoshop="http://ns.adobe.com/photoshop/1.0/"
 photoshop:City="Bonn"/>"""
    packet = move_to_xmp(kit.IPTC + other, (kit.XMP % element).encode(), dropped)
    assert dropped == ["IPTC 2:131", "IPTC 2:90 (XMP has another photoshop:City)"]
    assert b"<photoshop:DateCreated>1943-05-06T07:08:09</photoshop:DateCreated>" in packet
    assert packet.count(b"Rhein") == 1
