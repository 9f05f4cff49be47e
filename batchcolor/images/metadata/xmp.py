"""Changes XMP packets as text (ISO 16684-1), so that the rest of a packet stays as it was."""

from __future__ import annotations

import codecs
import hashlib
import re
from dataclasses import dataclass, field
from xml.parsers import expat

NAMESPACES = b'xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"'
NOTE_NAMESPACE = b'xmlns:xmpNote="http://ns.adobe.com/xmp/note/"'
EXTENDED_GUID = re.compile(rb"""(<?)xmpNote:HasExtendedXMP(?:>|\s*=\s*["'])([0-9A-Fa-f]{32})""")
EXTENDED_REFERENCE = re.compile(
    rb"""\s*xmpNote:HasExtendedXMP\s*=\s*(["'])[0-9A-Fa-f]{32}\1"""
    rb"|\s*<xmpNote:HasExtendedXMP>[0-9A-Fa-f]{32}</xmpNote:HasExtendedXMP>"
)
RDF_CONTENT = re.compile(rb"<rdf:RDF[^>]*>(.*)</rdf:RDF\s*>", re.DOTALL)
BYTE_ORDER_MARKS = {
    **{codecs.BOM_UTF32_BE: "utf-32-be", codecs.BOM_UTF32_LE: "utf-32-le"},
    **{codecs.BOM_UTF16_BE: "utf-16-be", codecs.BOM_UTF16_LE: "utf-16-le"},
}
XML_DECLARATION = re.compile(r"^<\?xml\s[^>]*\?>\s*")
"""States the encoding; without it, XML is UTF-8."""
PADDING = re.compile(rb"\s+(?=<\?xpacket end)")
SIZES = (
    (b"tiff:ImageWidth", b"tiff:ImageLength"),
    (b"exif:PixelXDimension", b"exif:PixelYDimension"),
)
"""Properties that change places where a picture is turned by 90 degrees."""


def mark_packet_as_upright(xmp: bytes, *, is_turned: bool) -> bytes:
    """Returns the packet with orientation 1 and, where width and height changed, with both."""
    xmp = _pattern(b"tiff:Orientation").sub(rb"\g<1>1", xmp)
    if is_turned:
        for width, height in SIZES:
            wide, high = _pattern(width).search(xmp), _pattern(height).search(xmp)
            if wide and high:
                xmp = _pattern(width).sub(rb"\g<1>" + high[2], xmp)
                xmp = _pattern(height).sub(rb"\g<1>" + wide[2], xmp)
    return xmp


def read_orientation(xmp: bytes) -> int:
    """Returns the orientation, 1 to 8; 1 where there is none or another value."""
    match = _pattern(b"tiff:Orientation").search(xmp)
    return int(match[2]) if match and 1 <= int(match[2]) <= 8 else 1


def _pattern(name: bytes) -> re.Pattern[bytes]:
    """Returns a pattern of a number that is written as an attribute or as an element."""
    return re.compile(rb"(" + name + rb"""(?:\s*=\s*["']|>))(\d+)""")


def to_utf8(xmp: bytes) -> bytes:
    """Returns a packet in UTF-8; packets of UTF-16 and UTF-32 are allowed in files, too."""
    for mark, encoding in BYTE_ORDER_MARKS.items():
        if xmp.startswith((mark, "<".encode(encoding))):
            xmp += b"\0" * (-len(xmp) % len(mark))  # readers remove zeros at the end
            text = xmp.decode(encoding, "replace").removeprefix("\ufeff").rstrip("\0")
            return XML_DECLARATION.sub("", text).encode()
    return xmp


def find_extended_guid(xmp: bytes) -> bytes:
    """Returns the digest of the extended packet that a packet refers to, or nothing."""
    match = EXTENDED_GUID.search(xmp)
    return match[2].upper() if match else b""


def merge_extended(xmp: bytes, extended: bytes) -> bytes:
    """Returns one packet with the properties of both. Raises ValueError where they do not fit."""
    added = RDF_CONTENT.search(extended)
    end = xmp.rfind(b"</rdf:RDF")
    if added is None or end < 0:
        raise ValueError("the extended XMP has no rdf:RDF")
    merged = EXTENDED_REFERENCE.sub(b"", xmp[:end]) + added[1] + xmp[end:]
    _Properties.read(merged)
    return merged


def split_packet(xmp: bytes, limit: int) -> tuple[bytes, bytes]:
    """Returns a packet of at most `limit` bytes, and the extended packet with the other properties.

    The largest properties are moved (XMP specification, part 3, section 1.1.3.1). Raises
    ValueError for a packet that cannot be divided.
    """
    xmp = PADDING.sub(b"\n", xmp)
    if len(xmp) <= limit:
        return xmp, b""
    reference = b'<rdf:Description rdf:about="" %b xmpNote:HasExtendedXMP="%b"/>'
    excess = len(xmp) - limit + len(reference) + len(NOTE_NAMESPACE) + 32
    moved = []
    for found in sorted(_Properties.read(xmp), key=lambda p: p.start - p.end):
        if excess > 0:
            moved.append(found)
            excess -= found.end - found.start
    main, content = xmp, b""
    for found in sorted(moved, key=lambda p: -p.start):
        text = xmp[found.start : found.end]
        names = b" ".join(b'%b="%b"' % pair for pair in sorted(found.namespaces.items()))
        content = b'<rdf:Description rdf:about="" %b>%b</rdf:Description>' % (names, text) + content
        main = main[: found.start] + main[found.end :]
    end = main.rfind(b"</rdf:RDF")
    if excess > 0 or end < 0:
        raise ValueError("it has no properties that can be moved")
    extended = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF %b>%b</rdf:RDF></x:xmpmeta>'
    extended = extended % (NAMESPACES, content)
    guid = hashlib.md5(extended, usedforsecurity=False).hexdigest().upper().encode()
    return main[:end] + reference % (NOTE_NAMESPACE, guid) + main[end:], extended


@dataclass
class _Property:
    """The place of one property element, and the namespaces that are declared around it."""

    start: int
    end: int
    namespaces: dict[bytes, bytes]


@dataclass
class _Properties:
    """Finds the elements below rdf:Description, by their byte positions."""

    open: list[tuple[str, dict[bytes, bytes]]] = field(default_factory=list)
    found: list[_Property] = field(default_factory=list)
    is_ending: bool = False

    @classmethod
    def read(cls, xmp: bytes) -> list[_Property]:
        """Returns the properties of a packet. Raises ValueError where it is not well-formed."""
        reader, parser = cls(), expat.ParserCreate()

        def start(name: str, attributes: dict[str, str]) -> None:
            reader.start(name, attributes, parser.CurrentByteIndex)

        def end(_name: str) -> None:
            reader.end(parser.CurrentByteIndex)

        def other(_text: str) -> None:
            reader.finish(parser.CurrentByteIndex)

        parser.StartElementHandler, parser.EndElementHandler = start, end
        parser.DefaultHandler = other  # texts, comments, processing instructions
        try:
            parser.Parse(xmp.rstrip(b"\0"), True)
        except expat.ExpatError as error:
            raise ValueError(f"it is not well-formed ({error})") from error
        return reader.found

    def start(self, name: str, attributes: dict[str, str], place: int) -> None:
        self.finish(place)
        names = dict(self.open[-1][1]) if self.open else {}
        declared = {k: v for k, v in attributes.items() if k.startswith("xmlns:")}
        names.update({key.encode(): _escape(value) for key, value in declared.items()})
        if self._is_in_description():
            self.found.append(_Property(place, 0, self.open[-1][1]))
        self.open.append((name, names))

    def end(self, place: int) -> None:
        self.finish(place)
        self.open.pop()
        self.is_ending = self._is_in_description()

    def finish(self, place: int) -> None:
        """Ends a property whose end tag was the last event: expat states where events begin."""
        if self.is_ending:
            self.found[-1].end, self.is_ending = place, False

    def _is_in_description(self) -> bool:
        return len(self.open) == 3 and self.open[-1][0] == "rdf:Description"


def _escape(value: str) -> bytes:
    return value.replace("&", "&amp;").replace('"', "&quot;").encode()
