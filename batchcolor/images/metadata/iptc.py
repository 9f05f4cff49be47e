"""Moves IPTC-IIM records to XMP (IPTC Photo Metadata Standard 2023.1; IPTC-IIM 4.2).

For formats without a block for IPTC-IIM. The standard defines the same property for both.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from xml.sax.saxutils import escape

NAMESPACES = {
    "dc": "http://purl.org/dc/elements/1.1/",
    "photoshop": "http://ns.adobe.com/photoshop/1.0/",
    "Iptc4xmpCore": "http://iptc.org/std/Iptc4xmpCore/1.0/xmlns/",
}
RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
TEXT, ALTERNATIVE, BAG, SEQUENCE = "", "Alt", "Bag", "Seq"
PROPERTIES = {
    5: ("dc:title", ALTERNATIVE),
    10: ("photoshop:Urgency", TEXT),
    15: ("photoshop:Category", TEXT),
    20: ("photoshop:SupplementalCategories", BAG),
    25: ("dc:subject", BAG),
    40: ("photoshop:Instructions", TEXT),
    55: ("photoshop:DateCreated", TEXT),
    80: ("dc:creator", SEQUENCE),
    85: ("photoshop:AuthorsPosition", TEXT),
    90: ("photoshop:City", TEXT),
    92: ("Iptc4xmpCore:Location", TEXT),
    95: ("photoshop:State", TEXT),
    100: ("Iptc4xmpCore:CountryCode", TEXT),
    101: ("photoshop:Country", TEXT),
    103: ("photoshop:TransmissionReference", TEXT),
    105: ("photoshop:Headline", TEXT),
    110: ("photoshop:Credit", TEXT),
    115: ("photoshop:Source", TEXT),
    116: ("dc:rights", ALTERNATIVE),
    120: ("dc:description", ALTERNATIVE),
    122: ("photoshop:CaptionWriter", TEXT),
}
"""Name and form of the XMP property by data set of record 2."""
TIME_CREATED = 60
TECHNICAL = {(1, 0), (1, 90), (2, 0)}
"""Versions and the character set: they describe the records."""
UTF_8 = b"\x1b%G"
EMPTY = f"""<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="{RDF}"></rdf:RDF></x:xmpmeta>
<?xpacket end="w"?>""".encode()


@dataclass(frozen=True)
class Record:
    """One data set of IPTC-IIM, with its text."""

    record: int
    dataset: int
    text: str


def read_records(iptc: bytes) -> list[Record]:
    """Returns the records, of a damaged block those before the damage."""
    stored = list(_walk(iptc))
    is_utf_8 = any((r, d, value) == (1, 90, UTF_8) for r, d, value in stored)
    return [Record(r, d, _decode(value, is_utf_8)) for r, d, value in stored]


def _walk(iptc: bytes) -> Iterator[tuple[int, int, bytes]]:
    position = 0
    while position + 5 <= len(iptc) and iptc[position] == 0x1C:
        record, dataset, length = struct.unpack_from(">BBH", iptc, position + 1)
        position += 5
        if length & 0x8000:  # the size of a longer value follows, in so many bytes
            size = length & 0x7FFF
            length = int.from_bytes(iptc[position : position + size], "big")
            position += size
        if position + length > len(iptc):
            return
        yield record, dataset, iptc[position : position + length]
        position += length


def _decode(value: bytes, is_utf_8: bool) -> str:
    """Returns the text: UTF-8 if it is declared or valid, else Latin-1."""
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value.decode("utf-8" if is_utf_8 else "latin-1", "replace")


def move_to_xmp(iptc: bytes, xmp: bytes, dropped: list[str]) -> bytes:
    """Returns the packet with the records that XMP has a property for, where it is free.

    Names in `dropped` the records without a property, and those whose property has another
    value. Raises ValueError for a packet that is not well-formed.
    """
    records = read_records(iptc)
    present = _read_properties(xmp) if xmp else {}
    times = [r.text for r in records if (r.record, r.dataset) == (2, TIME_CREATED)]
    values: dict[int, list[str]] = {}
    for found in records:
        if found.record == 2 and found.dataset in PROPERTIES:
            values.setdefault(found.dataset, []).append(found.text)
        elif (found.record, found.dataset) not in TECHNICAL | {(2, TIME_CREATED)}:
            dropped.append(f"IPTC {found.record}:{found.dataset:02}")
    added = ""
    for dataset, texts in sorted(values.items()):
        name, form = PROPERTIES[dataset]
        if name == "photoshop:DateCreated":
            texts = [_format_date(texts[0], times[0] if times else "")]
        if name not in present:
            added += _build_property(name, form, texts)
        elif any(text.strip() not in present[name] for text in texts):
            dropped.append(f"IPTC 2:{dataset:02} (XMP has another {name})")
    if not added:
        return xmp
    names = " ".join(f'xmlns:{prefix}="{uri}"' for prefix, uri in NAMESPACES.items())
    description = (
        f'<rdf:Description xmlns:rdf="{RDF}" rdf:about="" {names}>{added}</rdf:Description>'
    )
    base = xmp or EMPTY
    end = base.rfind(b"</rdf:RDF")
    if end < 0:
        raise ValueError("its RDF has another prefix")
    return base[:end] + description.encode() + base[end:]


def _build_property(name: str, form: str, texts: list[str]) -> str:
    """Returns one property as an element."""
    language = ' xml:lang="x-default"' if form == ALTERNATIVE else ""
    items = [f"<rdf:li{language}>{_escape(text)}</rdf:li>" for text in texts]
    content = f"<rdf:{form}>{''.join(items)}</rdf:{form}>" if form else _escape(texts[0])
    return f"<{name}>{content}</{name}>"


def _escape(text: str) -> str:
    """Returns the text as XML, without the control characters that XML cannot hold."""
    return escape("".join(c for c in text if c >= " " or c in "\t\n\r"))


def _format_date(date: str, time: str) -> str:
    """Returns `19430506` and `070809+0100` in the form of XMP; another text as it is."""
    if len(date) != 8 or not date.isdigit():
        return date
    day = f"{date[:4]}-{date[4:6]}-{date[6:]}".removesuffix("-00").removesuffix("-00")
    if len(time) < 6 or not time[:6].isdigit() or len(day) < 10:
        return day
    zone = f"{time[6:9]}:{time[9:11]}" if len(time) == 11 else ""
    return f"{day}T{time[:2]}:{time[2:4]}:{time[4:6]}{zone}"


def _read_properties(xmp: bytes) -> dict[str, str]:
    """Returns the text of the properties of a packet that are in `PROPERTIES`."""
    from lxml import etree

    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False)
    try:
        root = etree.fromstring(xmp.strip(b"\0 \r\n\t"), parser)
    except (etree.XMLSyntaxError, ValueError) as error:
        raise ValueError(f"it is not well-formed ({error})") from error
    found: dict[str, str] = {}
    for description in root.iter(f"{{{RDF}}}Description"):
        for name, _ in PROPERTIES.values():
            prefix, local = name.split(":")
            tag = f"{{{NAMESPACES[prefix]}}}{local}"
            texts = [str(description.attrib[tag])] if tag in description.attrib else []
            texts += ["".join(element.itertext()) for element in description.findall(tag)]
            if texts:
                found[name] = " ".join(texts)
    return found
