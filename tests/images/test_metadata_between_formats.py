"""Every kind of metadata, from every format to every format.

Sources are built byte by byte. One test reads the results with parsers of its own, one compares
the complete listings of ExifTool.
"""

from __future__ import annotations

import hashlib
import io
import json
import random
import shutil
import struct
import subprocess
import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from batchcolor.images.decode import decode
from batchcolor.images.encode import encode
from batchcolor.images.formats import AVIF, BMP, FORMATS, JPEG, PNG, TIFF, WEBP
from batchcolor.images.join import join
from batchcolor.images.metadata.iptc import move_to_xmp
from batchcolor.images.metadata.maker_note import move_maker_note
from batchcolor.images.metadata.read import read_blocks
from batchcolor.images.metadata.upright import mark_as_upright
from batchcolor.images.picture import Picture
from batchcolor.images.scan import scan

WIDTH, HEIGHT = 64, 40
"""Pixels as stored; the orientation is 6, so results are HEIGHT pixels wide."""
ASCII, SHORT, LONG, RATIONAL, UNDEFINED = 2, 3, 4, 5, 7
ORIENTATION, EXIF, GPS, MAKER_NOTE, INTEROPERABILITY = 0x0112, 0x8769, 0x8825, 0x927C, 0xA005
CAMERA = b"Canon EOS 5D Mark II\0"
"""Lies outside the directory of the MakerNote, so reading it needs a right offset."""
DESCRIPTION, STORY = "Großmutter Łódź, 1943", "a long story"
XMP = """<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
<rdf:Description rdf:about="" xmlns:tiff="http://ns.adobe.com/tiff/1.0/" tiff:Orientation="6"/>
<rdf:Description rdf:about="" xmlns:dc="http://purl.org/dc/elements/1.1/"><dc:subject><rdf:Bag>
<rdf:li>Köln</rdf:li><rdf:li>Rhein</rdf:li></rdf:Bag></dc:subject></rdf:Description>%s
</rdf:RDF></x:xmpmeta>
<?xpacket end="w"?>"""
REFERENCE = """<rdf:Description rdf:about="" xmlns:xmpNote="http://ns.adobe.com/xmp/note/"
 xmpNote:HasExtendedXMP="%s"/>"""
EXTENDED = f"""<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF
 xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description rdf:about=""
 xmlns:photoshop="http://ns.adobe.com/photoshop/1.0/"
 photoshop:Instructions="{STORY}"/></rdf:RDF></x:xmpmeta>""".encode()
IPTC = b"".join(
    b"\x1c" + bytes(record) + struct.pack(">H", len(value)) + value
    for record, value in (
        ((1, 90), b"\x1b%G"),
        ((2, 0), b"\0\4"),
        ((2, 25), b"Rhein"),
        ((2, 90), "Köln".encode()),
    )
)
URL = b"8BIM\x04\x0b\0\0\0\0\0\x12http://example.org"

Tag = tuple[int, int, int, bytes]


def text(tag: int, value: str) -> Tag:
    data = value.encode() + b"\0"
    return tag, ASCII, len(data), data


def number(tag: int, value: int, kind: int = SHORT) -> Tag:
    return tag, kind, 1, struct.pack("<H" if kind == SHORT else "<I", value)


def append_directory(data: bytearray, tags: list[Tag], following: int = 0) -> int:
    """Appends a directory, with longer values after it, and returns its offset."""
    offset, values = len(data), b""
    start = offset + 2 + 12 * len(tags) + 4
    head = struct.pack("<H", len(tags))
    for tag, kind, count, value in sorted(tags):
        if len(value) > 4:
            value, values = struct.pack("<I", start + len(values)), values + value
            values += b"\0" * (len(values) % 2)
        head += struct.pack("<HHI", tag, kind, count) + value.ljust(4, b"\0")
    data += head + struct.pack("<I", following) + values
    return offset


def append_exif(data: bytearray, more: list[Tag], thumbnail: bytes = b"") -> int:
    """Appends the directories of a photograph, and returns the offset of the first one."""
    interoperability = append_directory(data, [text(1, "R98")])
    position = [text(1, "N"), (2, RATIONAL, 3, struct.pack("<6I", 51, 1, 30, 1, 0, 1))]
    gps = append_directory(data, position)
    exif: list[Tag] = [
        (0x9000, UNDEFINED, 4, b"0232"),
        text(0x9003, "1943:05:06 07:08:09"),
        (0x9286, UNDEFINED, 16, b"UNICODE\0" + "ünïc".encode("utf-16-le")),
        number(0xA002, WIDTH),
        number(0xA003, HEIGHT),
        number(INTEROPERABILITY, interoperability, LONG),
        text(0xA434, "Zeiß Tessar"),
    ]
    # the MakerNote is the first long value but one: after the directory and DateTimeOriginal
    note = len(data) + 2 + 12 * (len(exif) + 1) + 4 + 20
    camera = struct.pack("<HHHII", 1, 6, ASCII, len(CAMERA), note + 18) + bytes(4) + CAMERA + b"\0"
    exif_offset = append_directory(data, [*exif, (MAKER_NOTE, UNDEFINED, len(camera), camera)])
    following = 0
    if thumbnail:
        place = len(data) + 2 + 12 * 3 + 4
        tags = [number(0x0103, 6), number(0x0201, place, LONG)]
        following = append_directory(data, [*tags, number(0x0202, len(thumbnail), LONG)])
        data += thumbnail + b"\0" * (len(thumbnail) % 2)
    title = "Tante Ida".encode("utf-16-le") + b"\0\0"
    tags = [
        text(0x010E, DESCRIPTION),
        text(0x010F, "Canon"),
        number(ORIENTATION, 6),
        (0x011A, RATIONAL, 1, struct.pack("<II", 300, 1)),
        (0x011B, RATIONAL, 1, struct.pack("<II", 200, 1)),
        number(0x0128, 2),
        text(0x0131, "Scanner 1.0"),
        text(0x013B, "Änne"),
        (0x9C9B, 1, len(title), title),
        text(0xFDE8, "a private tag"),
        number(EXIF, exif_offset, LONG),
        number(GPS, gps, LONG),
        *more,
    ]
    return append_directory(data, tags, following)


def build_block(thumbnail: bytes = b"") -> bytes:
    """Returns an EXIF block."""
    block = bytearray(8)
    offset = append_exif(block, [], thumbnail)
    block[:8] = b"II*\0" + struct.pack("<I", offset)
    return bytes(block)


def grey() -> np.ndarray:
    return np.tile(np.linspace(20, 230, WIDTH).astype(np.uint8), (HEIGHT, 1))


def save(kind: str, width: int = WIDTH, **options: object) -> bytes:
    file = io.BytesIO()
    Image.fromarray(grey()[:, :width]).save(file, kind, **options)
    return file.getvalue()


def segment(marker: int, content: bytes) -> bytes:
    return bytes((0xFF, marker)) + struct.pack(">H", len(content) + 2) + content


def chunk(kind: bytes, content: bytes) -> bytes:
    check = struct.pack(">I", zlib.crc32(kind + content))
    return struct.pack(">I", len(content)) + kind + content + check


def build_jpeg() -> bytes:
    guid = hashlib.md5(EXTENDED).hexdigest().upper()
    extended = guid.encode() + struct.pack(">II", len(EXTENDED), 0) + EXTENDED
    resource = b"8BIM\x04\x04\0\0" + struct.pack(">I", len(IPTC)) + IPTC + b"\0" * (len(IPTC) % 2)
    pixels = save("JPEG", dpi=(300, 200))
    return b"".join(
        (
            pixels[:20],
            segment(0xE1, b"Exif\0\0" + build_block(save("JPEG", width=32))),
            segment(0xED, b"Photoshop 3.0\0" + resource + URL),
            segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0" + (XMP % (REFERENCE % guid)).encode()),
            segment(0xE1, b"http://ns.adobe.com/xmp/extension/\0" + extended),
            segment(0xEC, b"Ducky\0\1\0\4\0\0\0\x50\0\0"),
            segment(0xFE, "box 7, Köln".encode()),
            pixels[20:],
        )
    )


def build_png() -> bytes:
    pixels = save("PNG", dpi=(300, 200))
    resource = b"8BIM\x04\x04\0\0" + struct.pack(">I", len(IPTC)) + IPTC + b"\0" * (len(IPTC) % 2)
    profile = f"\niptc\n{len(resource + URL):8}\n{(resource + URL).hex()}\n".encode()
    return b"".join(
        (
            pixels[:33],
            chunk(b"tEXt", b"Title\0" + "Köln".encode("latin-1")),
            chunk(b"zTXt", b"Warning\0\0" + zlib.compress(b"fragile")),
            chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + (XMP % "").encode()),
            chunk(b"zTXt", b"Raw profile type iptc\0\0" + zlib.compress(profile)),
            chunk(b"tIME", b"\x07\xd1\2\3\4\5\6"),
            chunk(b"eXIf", build_block()),
            pixels[33:],
        )
    )


def build_webp() -> bytes:
    data = save("WEBP", exif=build_block(), xmp=(XMP % "").encode())
    body = data[12:] + b"ABCD\4\0\0\0kept"
    return b"RIFF" + struct.pack("<I", len(body) + 4) + b"WEBP" + body


def build_tiff() -> bytes:
    data = bytearray(8) + grey().tobytes()
    xmp = (XMP % "").encode()
    more = [
        *(number(0x0100, WIDTH), number(0x0101, HEIGHT), number(0x0102, 8), number(0x0103, 1)),
        *(number(0x0106, 1), number(0x0111, 8, LONG), number(0x0117, WIDTH * HEIGHT, LONG)),
        text(0x010D, "box 7"),
        (0x02BC, 1, len(xmp), xmp),
        (0x83BB, UNDEFINED, len(IPTC), IPTC),
        (0x8649, UNDEFINED, len(URL), URL),
    ]
    offset = append_exif(data, more)
    data[:8] = b"II*\0" + struct.pack("<I", offset)
    return bytes(data)


BUILDERS = {JPEG: build_jpeg, PNG: build_png, WEBP: build_webp, TIFF: build_tiff}
PAIRS = [(source, target) for source in BUILDERS for target in FORMATS]


def colour(data: bytes, source, target, folder: Path) -> tuple[bytes, list[str]]:
    """Returns the result of a source, and the notes of that picture."""
    path = folder / f"in{source.suffixes[0]}"
    path.write_bytes(data)
    picture = decode(next(iter(scan(path))), 10**9)
    image = join(picture, np.full((2, 3, 3), 0.1, np.float32), 1.0, target)
    return encode(image, picture.metadata, None, picture.notes), picture.notes


def read_directory(data: bytes, offset: int) -> dict[int, bytes | int]:
    """Returns values of a little-endian directory: bytes, or the number of one integer."""
    found: dict[int, bytes | int] = {}
    sizes = {1: 1, ASCII: 1, SHORT: 2, LONG: 4, RATIONAL: 8, UNDEFINED: 1}
    for place in range(offset + 2, offset + 2 + 12 * data[offset], 12):
        tag, kind, count = struct.unpack_from("<HHI", data, place)
        size = sizes[kind] * count
        start = place + 8 if size <= 4 else struct.unpack_from("<I", data, place + 8)[0]
        value = data[start : start + size]
        is_number = kind in (SHORT, LONG) and count == 1
        found[tag] = int.from_bytes(value, "little") if is_number else value
    return found


def find_block(data: bytes, target) -> bytes:
    """Returns the EXIF block of a result; a TIFF is one."""
    if target == TIFF:
        return data
    block = Image.open(io.BytesIO(data)).info["exif"]
    return block.removeprefix(b"Exif\0\0")


@pytest.mark.parametrize(("source", "target"), PAIRS, ids=lambda kind: kind.name)
def test_metadata_is_kept_between_formats(tmp_path, source, target):
    data, notes = colour(BUILDERS[source](), source, target, tmp_path)
    if target == BMP:
        assert any("BMP cannot hold it: EXIF, XMP" in note for note in notes)
        return
    block = find_block(data, target)
    main = read_directory(block, struct.unpack_from("<I", block, 4)[0])
    assert main[0x010E] == DESCRIPTION.encode() + b"\0"
    assert main[0x013B] == "Änne\0".encode()
    assert main[0xFDE8] == b"a private tag\0"
    assert main[ORIENTATION] == 1
    assert main[0x011A] == struct.pack("<II", 200, 1)  # exchanged: pixels are turned by 90 degrees
    assert main[0x011B] == struct.pack("<II", 300, 1)
    exif = read_directory(block, main[EXIF])
    assert exif[0xA434] == "Zeiß Tessar\0".encode()
    assert (exif[0xA002], exif[0xA003]) == (HEIGHT, WIDTH)
    assert read_directory(block, exif[INTEROPERABILITY])[1] == b"R98\0"
    assert read_directory(block, main[GPS])[2] == struct.pack("<6I", 51, 1, 30, 1, 0, 1)
    camera = exif[MAKER_NOTE]
    offset = struct.unpack_from("<I", camera, 10)[0]
    assert block[offset : offset + len(CAMERA)] == CAMERA
    assert "Köln".encode() in data.replace(b"\xf6", "ö".encode())
    assert b'tiff:Orientation="1"' in data
    if source != WEBP:
        assert (IPTC in data or IPTC.hex().encode() in inflate_texts(data)) == (target != WEBP)
        assert not any("IPTC" in note for note in notes)  # WebP has it in XMP
        assert target != WEBP or b"<photoshop:City>K\xc3\xb6ln</photoshop:City>" in data


def inflate_texts(data: bytes) -> bytes:
    """Returns the text of the zTXt chunks of a PNG, without line ends."""
    texts, start = b"", data.find(b"zTXt")
    while start > 0:
        length = struct.unpack_from(">I", data, start - 4)[0]
        texts += zlib.decompress(data[start + 4 : start + 4 + length].split(b"\0\0", 1)[1])
        start = data.find(b"zTXt", start + length)
    return texts.replace(b"\n", b"")


def test_jpeg_keeps_its_segments_byte_for_byte(tmp_path):
    source = build_jpeg()
    data, notes = colour(source, JPEG, JPEG, tmp_path)
    for header in (b"http://ns.adobe.com/xmp/extension/", b"Photoshop 3.0", b"Ducky", b"box 7"):
        start = source.index(header) - 4
        length = struct.unpack_from(">H", source, start + 2)[0] + 2
        assert source[start : start + length] in data
    assert not notes


def test_png_keeps_its_chunks_byte_for_byte(tmp_path):
    source = build_png()
    data, notes = colour(source, PNG, PNG, tmp_path)
    for kind in (b"Title\0", b"Warning\0", b"tIME"):
        start = source.index(kind) - (4 if kind == b"tIME" else 8)
        assert source[start : start + 12 + struct.unpack_from(">I", source, start)[0]] in data
    assert not notes


def test_webp_keeps_chunks_that_are_not_known(tmp_path):
    data, _ = colour(build_webp(), WEBP, WEBP, tmp_path)
    assert b"ABCD\4\0\0\0kept" in data
    assert Image.open(io.BytesIO(data)).size == (HEIGHT, WIDTH)


@pytest.mark.parametrize("target", [PNG, WEBP, TIFF], ids=lambda kind: kind.name)
def test_extended_xmp_becomes_part_of_the_packet(tmp_path, target):
    data, _ = colour(build_jpeg(), JPEG, target, tmp_path)
    assert STORY.encode() in data
    assert b"HasExtendedXMP" not in data


@pytest.mark.parametrize(("target", "size"), [(JPEG, (40, 25)), (WEBP, (25, 40))])
def test_thumbnail_is_coloured_and_turned_as_the_pixels_are(tmp_path, target, size):
    data, _ = colour(build_jpeg(), JPEG, target, tmp_path)
    block = find_block(data, target)
    main = struct.unpack_from("<I", block, 4)[0]
    following = struct.unpack_from("<I", block, main + 2 + 12 * block[main])[0]
    tags = read_directory(block, following)
    thumbnail = Image.open(io.BytesIO(block[tags[0x0201] : tags[0x0201] + tags[0x0202]]))
    assert thumbnail.size == size
    rgb = np.asarray(thumbnail.convert("RGB"), int)
    assert np.abs(rgb[..., 0] - rgb[..., 1]).mean() > 10


ALLOWED_GROUPS = {"System", "ExifTool", "File", "Composite", "JFIF", "RIFF", "PNG-pHYs"}
"""File system, encoding and size of the result; resolution, which IFD0 has too."""
ALLOWED_TAGS = {
    *("IFD0:Orientation", "XMP-tiff:Orientation"),  # 1: pixels are upright
    *("IFD0:XResolution", "IFD0:YResolution"),  # exchanged: pixels are turned
    *("ExifIFD:ExifImageWidth", "ExifIFD:ExifImageHeight"),
    *("IFD1:ThumbnailOffset", "IFD1:ThumbnailLength", "IFD1:ThumbnailImage"),  # coloured
    *("IFD0:ImageWidth", "IFD0:ImageHeight", "IFD0:BitsPerSample", "IFD0:Compression"),
    *("IFD0:PhotometricInterpretation", "IFD0:StripOffsets", "IFD0:StripByteCounts"),
    *("IFD0:SamplesPerPixel", "IFD0:RowsPerStrip", "IFD0:PlanarConfiguration"),
    *("PNG:ImageWidth", "PNG:ImageHeight", "PNG:BitDepth", "PNG:ColorType", "PNG:Compression"),
    *("PNG:Filter", "PNG:Interlace", "XMP-xmpNote:HasExtendedXMP"),
}
"""Tags that describe how pixels are stored, or change with their orientation."""
ALLOWED_LOSSES = {
    (JPEG, PNG): {"Ducky:Quality"},
    (JPEG, WEBP): {"Ducky:Quality", "IPTC", "Photoshop"},
    (JPEG, TIFF): {"Ducky:Quality", "IFD1:Compression"},
    (PNG, JPEG): {"PNG"},  # texts are comments, the time is ModifyDate
    (PNG, WEBP): {"PNG", "IPTC", "Photoshop"},
    (PNG, TIFF): {"PNG"},
    (TIFF, WEBP): {"IPTC", "Photoshop"},
    (WEBP, WEBP): set(),
}
"""Tags and groups that a format cannot hold: in the notes of the picture, or IPTC in XMP."""
ALLOWED_ADDITIONS = {(PNG, JPEG): {"IFD0:ModifyDate"}, (PNG, WEBP): {"IFD0:ModifyDate"}}
ALLOWED_ADDITIONS[JPEG, JPEG] = {
    "JUMBF:JUMDLabel",
    "JUMBF:JUMDType",
    "JUMBF:JUMDToggles",
}  # of restore
ALLOWED_ADDITIONS |= {(PNG, TIFF): {"IFD0:ModifyDate"}, (JPEG, PNG): {"PNG:Comment"}}
ALLOWED_ADDITIONS |= {(TIFF, WEBP): {"XMP-photoshop:City"}, (JPEG, WEBP): {"XMP-photoshop:City"}}
ALLOWED_ADDITIONS[PNG, WEBP] |= {"XMP-photoshop:City"}


@pytest.fixture(scope="module")
def listings(tmp_path_factory):
    """The listing of every source and every result, by their formats."""
    if not shutil.which("exiftool"):
        pytest.skip("needs ExifTool")
    folder = tmp_path_factory.mktemp("listings")
    for source, build in BUILDERS.items():
        (folder / f"{source.name}.source").write_bytes(build())
        for target in BUILDERS:
            data, _ = colour(build(), source, target, folder)
            (folder / f"{source.name}.{target.name}").write_bytes(data)
    names = [path.name for path in folder.iterdir() if not path.name.startswith("in.")]
    command = ["exiftool", "-a", "-G1", "-u", "-json", *names]
    listing = subprocess.run(command, cwd=folder, capture_output=True, check=True)
    return {entry["SourceFile"]: entry for entry in json.loads(listing.stdout)}


@pytest.mark.parametrize(
    ("source", "target"), [pair for pair in PAIRS if BMP not in pair], ids=lambda kind: kind.name
)
def test_listings_of_exiftool_are_equal(listings, source, target):
    before, after = listings[f"{source.name}.source"], listings[f"{source.name}.{target.name}"]
    assert not {"ExifTool:Warning", "ExifTool:Error"} & after.keys()
    losses = ALLOWED_LOSSES.get((source, target), set())
    allowed = ALLOWED_TAGS | losses | ALLOWED_ADDITIONS.get((source, target), set())
    different = {
        key: (before.get(key), after.get(key))
        for key in (before.keys() | after.keys()) - {"SourceFile"}
        if before.get(key) != after.get(key)
        and key not in allowed
        and key.split(":")[0] not in ALLOWED_GROUPS | losses
    }
    assert not different


def test_exif_that_exceeds_a_jpeg_segment_loses_its_largest_tag_alone(tmp_path):
    data = bytearray(build_tiff())
    large = bytes(range(256)) * 300
    main = struct.unpack_from("<I", data, 4)[0]
    count = data[main]
    directory = data[main + 2 : main + 2 + 12 * count]
    tag = struct.pack("<HHII", 0xFDE9, UNDEFINED, len(large), len(data))
    data += large
    data[4:8] = struct.pack("<I", len(data))
    data += struct.pack("<H", count + 1) + directory + tag + bytes(4)
    result, notes = colour(bytes(data), TIFF, JPEG, tmp_path)
    tags = Image.open(io.BytesIO(result)).getexif()
    assert tags.get_ifd(EXIF)[0x9003] == "1943:05:06 07:08:09"
    assert 0xFDE9 not in tags
    assert any("0xFDE9 (76,800 bytes)" in note for note in notes)


def test_xmp_that_exceeds_a_jpeg_segment_is_divided_and_joined_again(tmp_path):
    text_of_100_kb = "Köln " * 20000
    element = f"""<rdf:Description rdf:about="" xmlns:dc="http://purl.org/dc/elements/1.1/">
<dc:source>{text_of_100_kb}</dc:source></rdf:Description>"""
    png = save("PNG")
    packet = chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + (XMP % element).encode())
    jpeg, notes = colour(png[:33] + packet + png[33:], PNG, JPEG, tmp_path)
    assert b"HasExtendedXMP" in jpeg
    assert jpeg.count(b"http://ns.adobe.com/xmp/extension/\0") == 2
    again, more = colour(jpeg, JPEG, PNG, tmp_path)
    assert f"<dc:source>{text_of_100_kb}</dc:source>".encode() in again
    assert b"<rdf:li>Rhein</rdf:li>" in again
    assert not notes + more


@pytest.mark.parametrize("codec", ["utf-16-le", "utf-16-be", "utf-32-le"])
def test_xmp_of_other_encodings_becomes_utf_8_in_png(tmp_path, codec):
    packet = (XMP % "").encode(codec)
    jpeg = save("JPEG")
    header = segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0" + packet)
    data, _ = colour(jpeg[:20] + header + jpeg[20:], JPEG, PNG, tmp_path)
    assert "<rdf:li>Köln</rdf:li>".encode() in data


def test_bytes_after_the_end_of_a_jpeg_are_reported(tmp_path):
    data, notes = colour(build_jpeg() + b"AXS!" * 5, JPEG, WEBP, tmp_path)
    assert b"AXS!" not in data
    assert any("20 bytes after the end" in note for note in notes)


def test_bytes_after_the_end_of_a_grey_jpeg_are_copied(tmp_path):
    data, notes = colour(build_jpeg() + b"AXS!" * 5, JPEG, JPEG, tmp_path)
    assert data.endswith(b"AXS!" * 5)
    assert not any("after the end" in note for note in notes)


@pytest.mark.parametrize("signature", [b"", b"SONY DSC \0\0\0", b"AOC\0\0\0", b"Nikon\0\2\x10\0\0"])
@pytest.mark.parametrize("order", "<>")
def test_offsets_in_a_moved_maker_note_count_from_their_old_origin(signature, order):
    start, old, new = len(signature), 1000, 480
    directory = struct.pack(f"{order}HHHII", 1, 6, ASCII, len(CAMERA), old + start + 18) + bytes(4)
    note = signature + directory + CAMERA
    moved = move_maker_note(note, old, new, order)
    offset = struct.unpack_from(f"{order}I", moved, start + 10)[0]
    is_self_contained = signature.startswith(b"Nikon")
    assert offset == (old if is_self_contained else new) + start + 18
    relative = note[: start + 10] + struct.pack(f"{order}I", start + 18) + note[start + 14 :]
    assert move_maker_note(relative, old, new, order) == relative


def test_iptc_that_xmp_contradicts_or_does_not_know_is_reported():
    dropped: list[str] = []
    other = b"\x1c\2\x83\0\1P" + b"\x1c\2\x37\0\x0819430506" + b"\x1c\2\x3c\0\x06070809"
    element = """<rdf:Description rdf:about="" xmlns:photoshop="http://ns.adobe.com/photoshop/1.0/"
 photoshop:City="Bonn"/>"""
    packet = move_to_xmp(IPTC + other, (XMP % element).encode(), dropped)
    assert dropped == ["IPTC 2:131", "IPTC 2:90 (XMP has another photoshop:City)"]
    assert b"<photoshop:DateCreated>1943-05-06T07:08:09</photoshop:DateCreated>" in packet
    assert packet.count(b"Rhein") == 1


@pytest.mark.parametrize("source", BUILDERS, ids=lambda kind: kind.name)
def test_damaged_metadata_never_prevents_a_result(source):
    numbers = random.Random(1)
    data = BUILDERS[source]()
    luma = np.full((8, 12), 100, np.uint8)
    for _ in range(60):
        damaged = bytearray(data)
        for _ in range(numbers.choice((1, 3, 20))):
            damaged[numbers.randrange(len(data))] = numbers.choice((0, 1, 127, 255))
        notes: list[str] = []
        metadata, _ = mark_as_upright(read_blocks(bytes(damaged), source.name, notes), notes)
        metadata = replace(metadata, icc=b"")
        for target in FORMATS:
            picture = Picture(Path("damaged"), luma, None, target, metadata, notes)
            image = join(picture, np.zeros((2, 2, 2), np.float32), 1.0, target)
            assert Image.open(io.BytesIO(encode(image, metadata, None, notes))).size == (12, 8)


@pytest.mark.parametrize("source", [JPEG, TIFF], ids=lambda kind: kind.name)
def test_maker_note_is_kept_in_avif(tmp_path, source):
    data, _ = colour(BUILDERS[source](), source, AVIF, tmp_path)
    start = data.index(b"II*\0")
    block = data[start:]
    main = read_directory(block, struct.unpack_from("<I", block, 4)[0])
    camera = read_directory(block, main[EXIF])[MAKER_NOTE]
    offset = struct.unpack_from("<I", camera, 10)[0]
    assert block[offset : offset + len(CAMERA)] == CAMERA
    assert b"<photoshop:City>K\xc3\xb6ln</photoshop:City>" in data


def test_png_keeps_the_chunks_that_state_srgb(tmp_path):
    png = save("PNG")
    chunks = chunk(b"sRGB", b"\0") + chunk(b"gAMA", struct.pack(">I", 45455))
    data, _ = colour(png[:33] + chunks + png[33:], PNG, PNG, tmp_path)
    assert chunks in data
