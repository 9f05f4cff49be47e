"""Photographs with every kind of metadata, built byte by byte, and parsers of the results."""

from __future__ import annotations

import hashlib
import io
import struct
import zlib
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from batchcolor.images.decode import decode
from batchcolor.images.encode import encode
from batchcolor.images.formats import JPEG, PNG, TIFF, WEBP
from batchcolor.images.join import join
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


def inflate_texts(data: bytes) -> bytes:
    """Returns the text of the zTXt chunks of a PNG, without line ends."""
    texts, start = b"", data.find(b"zTXt")
    while start > 0:
        length = struct.unpack_from(">I", data, start - 4)[0]
        texts += zlib.decompress(data[start + 4 : start + 4 + length].split(b"\0\0", 1)[1])
        start = data.find(b"zTXt", start + length)
    return texts.replace(b"\n", b"")


@pytest.fixture
def kit() -> SimpleNamespace:
    """The constants and functions of this file."""
    names = {name: value for name, value in globals().items() if not name.startswith("_")}
    return SimpleNamespace(**names)


@pytest.fixture(scope="session")
def build_sources():
    """Returns the content of a source of each format in `BUILDERS`."""
    return lambda: {kind: build() for kind, build in BUILDERS.items()}


@pytest.fixture(scope="session")
def color_file():
    """Returns a result and its notes: `(data, source, target, folder)`."""
    return colour
