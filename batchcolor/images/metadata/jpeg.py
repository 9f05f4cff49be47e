"""Reads and writes the metadata segments of JPEG (ITU-T T.81, JFIF 1.02, CIPA DC-008)."""

from __future__ import annotations

import struct
from collections import defaultdict
from collections.abc import Iterator

from batchcolor.images.metadata.model import Block, Metadata, arrange
from batchcolor.images.metadata.photoshop import (
    IPTC_RESOURCE,
    add_resource,
    drop_truncated,
    read_resources,
)
from batchcolor.images.metadata.xmp import find_extended_guid, merge_extended, split_packet

MAX_PAYLOAD = 65533
"""Bytes of payload of the largest segment."""
ICC_HEADER_SIZE = 14
"""Identifier, part number and number of parts before each part of an ICC profile."""
MAX_ICC_PARTS = 255
"""Segments of one profile: their number has one byte (ICC.1:2022, annex B.4)."""
APP0, APP1, APP2, APP11, APP13, APP14, COMMENT = 0xE0, 0xE1, 0xE2, 0xEB, 0xED, 0xEE, 0xFE
START_OF_SCAN, END_OF_IMAGE = 0xDA, 0xD9
WITHOUT_LENGTH = frozenset({0x01, *range(0xD0, 0xD9)})
EXIF_HEADER, JFIF, JFXX = b"Exif\0\0", b"JFIF\0", b"JFXX\0"
XMP_HEADER, EXTENDED_HEADER = (
    b"http://ns.adobe.com/xap/1.0/\0",
    b"http://ns.adobe.com/xmp/extension/\0",
)
EXTENDED_HEADER_SIZE = len(EXTENDED_HEADER) + 32 + 8
ICC_HEADER, MPF, PHOTOSHOP_HEADER = b"ICC_PROFILE\0", b"MPF\0", b"Photoshop 3.0\0"
NAMES = {
    **{EXIF_HEADER: "EXIF", XMP_HEADER: "XMP", EXTENDED_HEADER: "XMP", ICC_HEADER: "ICC"},
    PHOTOSHOP_HEADER: "Photoshop",
}
"""Names of segments in `Metadata.order`; others have the name of their marker."""
MAX_EXIF = MAX_PAYLOAD - len(EXIF_HEADER)
"""Bytes of an EXIF block in one segment."""
TRAILER_DROPPED = "bytes after the end of the picture dropped"
JFIF_SIZE = 14
"""Bytes of JFIF without its thumbnail."""


def read_jpeg(data: bytes, notes: list[str]) -> Metadata:
    """Returns the metadata of the segments before the first scan."""
    parts: dict[bytes, list[bytes]] = defaultdict(list)
    comments: list[bytes] = []
    blocks: list[Block] = []
    order: list[str] = []
    for marker, payload in _walk(data):
        header = _find_header(marker, payload)
        order.append(NAMES.get(header) or name_marker(marker))
        if header == JFIF and len(payload) < JFIF_SIZE:
            notes.append("damaged JFIF segment dropped")
        elif header == JFIF:
            blocks.append(Block("jpeg", "APP0", _without_thumbnail(payload, notes)))
        elif header:
            parts[header].append(payload)
        elif marker == COMMENT:
            comments.append(payload)
        elif 0xE0 <= marker <= 0xEF and marker not in (APP0, APP14):
            blocks.append(Block("jpeg", name_marker(marker), payload))
    if parts[JFXX]:
        notes.append("JFXX thumbnail dropped: it is not coloured")
    trailer = _measure_trailer(data)
    if parts[MPF]:
        notes.append("further pictures of the file dropped (multi-picture format)")
    elif trailer:
        notes.append(f"{trailer:,} {TRAILER_DROPPED}")
    if parts[b"JP"]:
        notes.append("content credentials (C2PA) dropped: they sign the pixels of the source")
    xmp = next((part[len(XMP_HEADER) :] for part in parts[XMP_HEADER]), b"")
    photoshop = b"".join(part[len(PHOTOSHOP_HEADER) :] for part in parts[PHOTOSHOP_HEADER])
    return Metadata(
        exif=_join_exif(parts[EXIF_HEADER], notes),
        icc=_join_icc(parts[ICC_HEADER], notes),
        xmp=xmp.rstrip(b"\0"),
        extended_xmp=_join_extended_xmp(parts[EXTENDED_HEADER], find_extended_guid(xmp), notes),
        photoshop=drop_truncated(photoshop, notes),
        comments=tuple(comments),
        dpi=next((_read_density(block.content) for block in blocks if block.kind == "APP0"), None),
        blocks=tuple(blocks),
        order=tuple(dict.fromkeys(order)),
    )


def name_marker(marker: int) -> str:
    """Returns the name of the marker of an APP or COM segment."""
    return "COM" if marker == COMMENT else f"APP{marker - APP0}"


def _find_header(marker: int, payload: bytes) -> bytes:
    """Returns the identifier of a segment whose content is not kept as a block, or nothing."""
    known = {
        APP0: (JFIF, JFXX),
        APP1: (EXIF_HEADER, XMP_HEADER, EXTENDED_HEADER),
        APP2: (ICC_HEADER, MPF),
        APP13: (PHOTOSHOP_HEADER,),
    }
    if marker == APP11 and payload.startswith(b"JP") and b"c2pa" in payload:
        return b"JP"
    return next((h for h in known.get(marker, ()) if payload.startswith(h)), b"")


def _walk(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yields marker and payload of each segment before the first scan."""
    position = 2
    while position + 4 <= len(data) and data[position] == 0xFF:
        marker = data[position + 1]
        if marker == 0xFF or marker in WITHOUT_LENGTH:
            position += 1 if marker == 0xFF else 2
            continue
        if marker in (START_OF_SCAN, END_OF_IMAGE):
            return
        length = struct.unpack_from(">H", data, position + 2)[0]
        yield marker, data[position + 4 : position + 2 + length]
        position += 2 + length


def _measure_trailer(data: bytes) -> int:
    """Returns the bytes after the first end marker of the scans, without zeros at the end.

    A file that ends with an end marker is not searched: that would take as long as reading it.
    """
    if data[-64:].rstrip(b"\0").endswith(bytes((0xFF, END_OF_IMAGE))):
        return 0
    scan = data.find(bytes((0xFF, START_OF_SCAN)), sum(4 + len(p) for _, p in _walk(data)))
    end = data.find(bytes((0xFF, END_OF_IMAGE)), scan) + 2 if scan >= 0 else 0
    return len(data[end:].rstrip(b"\0")) if end > 1 else 0


def _without_thumbnail(jfif: bytes, notes: list[str]) -> bytes:
    if len(jfif) <= JFIF_SIZE or not any(jfif[JFIF_SIZE - 2 : JFIF_SIZE]):
        return jfif
    notes.append("JFIF thumbnail dropped: it is not coloured")
    return jfif[: JFIF_SIZE - 2] + b"\0\0"


def _read_density(jfif: bytes) -> tuple[float, float] | None:
    """Returns pixels an inch, where JFIF states them in inches (1) or centimetres (2)."""
    if len(jfif) < JFIF_SIZE - 2:
        return None
    unit, x, y = struct.unpack_from(">BHH", jfif, 7)
    factor = {1: 1.0, 2: 2.54}.get(unit)
    return (x * factor, y * factor) if factor and x and y else None


def _join_exif(parts: list[bytes], notes: list[str]) -> bytes:
    """Returns the EXIF block; its parts where it exceeds one segment, as ExifTool writes it."""
    contents = [part[len(EXIF_HEADER) :] for part in parts]
    block = b""
    for content in contents:
        if block and content[:4] in (b"II*\0", b"MM\0*"):
            notes.append("second EXIF block dropped")
            break
        block += content
    return block


def _join_icc(parts: list[bytes], notes: list[str]) -> bytes:
    """Returns the ICC profile, whose parts are numbered from 1."""
    numbered = {p[12]: p[ICC_HEADER_SIZE:] for p in parts if len(p) > ICC_HEADER_SIZE}
    total = max((p[13] for p in parts if len(p) > ICC_HEADER_SIZE), default=0)
    if sorted(numbered) != list(range(1, total + 1)):
        notes.append("ICC profile dropped: parts are missing")
        return b""
    return b"".join(numbered[number] for number in sorted(numbered))


def _join_extended_xmp(parts: list[bytes], guid: bytes, notes: list[str]) -> bytes:
    """Returns the extended packet with the digest `guid`."""
    start = len(EXTENDED_HEADER)
    own = [p for p in parts if p[start : start + 32].upper() == guid]
    if not own:
        if parts:
            notes.append("extended XMP dropped: the XMP packet does not refer to it")
        return b""
    total = struct.unpack_from(">I", own[0], start + 32)[0]
    by_offset = {struct.unpack_from(">I", p, start + 36)[0]: p[EXTENDED_HEADER_SIZE:] for p in own}
    packet = b"".join(by_offset[offset] for offset in sorted(by_offset))
    if len(packet) != total:
        notes.append("extended XMP dropped: parts are missing")
        return b""
    return packet


def write_jpeg(encoded: bytes, metadata: Metadata, notes: list[str]) -> bytes:
    """Returns an encoded JPEG with all metadata before its first table.

    Appends to `notes` what exceeds one segment and cannot be divided.
    """
    pixels = memoryview(encoded)[2:]
    jfif = b""
    if encoded[2:4] == b"\xff\xe0":
        length = 2 + int.from_bytes(encoded[4:6], "big")
        jfif, pixels = encoded[6 : 2 + length], pixels[length:]
    segments = arrange(build_segments(jfif, metadata, notes), metadata.order)
    return b"".join((encoded[:2], *(segment for _, segment in segments), pixels))


def build_segments(
    jfif: bytes, metadata: Metadata, notes: list[str]
) -> Iterator[tuple[str, bytes]]:
    """Yields name and content of the segments."""
    for segment in _build_jfif(jfif, metadata):
        yield "APP0", segment
    if len(metadata.exif) > MAX_EXIF:
        notes.append("EXIF dropped: it exceeds one JPEG segment")
    elif metadata.exif:
        yield "EXIF", build_segment(APP1, EXIF_HEADER + metadata.exif)
    for segment in _build_xmp(metadata, notes):
        yield "XMP", segment
    part_size = MAX_PAYLOAD - ICC_HEADER_SIZE
    parts = [metadata.icc[i : i + part_size] for i in range(0, len(metadata.icc), part_size)]
    if len(parts) > MAX_ICC_PARTS:
        notes.append(f"ICC profile dropped: its {len(metadata.icc):,} bytes exceed what JPEG holds")
        parts = []
    for number, part in enumerate(parts, 1):
        yield "ICC", build_segment(APP2, ICC_HEADER + bytes([number, len(parts)]) + part)
    photoshop = metadata.photoshop
    if metadata.iptc and IPTC_RESOURCE not in read_resources(photoshop):
        photoshop = add_resource(photoshop, IPTC_RESOURCE, metadata.iptc)
    part_size = MAX_PAYLOAD - len(PHOTOSHOP_HEADER)
    for start in range(0, len(photoshop), part_size):
        part = photoshop[start : start + part_size]
        yield "Photoshop", build_segment(APP13, PHOTOSHOP_HEADER + part)
    for block in metadata.blocks:
        if block.format == "jpeg" and block.kind != "APP0":
            yield block.kind, build_segment(APP0 + int(block.kind[3:]), block.content)
    for comment in metadata.comments:
        for start in range(0, max(len(comment), 1), MAX_PAYLOAD):
            yield "COM", build_segment(COMMENT, comment[start : start + MAX_PAYLOAD])


def _build_jfif(jfif: bytes, metadata: Metadata) -> Iterator[bytes]:
    """Yields the JFIF segment of the source, else that of the encoder with the resolution.

    A JPEG without JFIF stays one: with it, readers would report a resolution of 1 x 1.
    """
    own = [b.content for b in metadata.blocks if (b.format, b.kind) == ("jpeg", "APP0")]
    if own:
        yield build_segment(APP0, own[0])
    elif metadata.dpi and jfif:
        x, y = (min(65535, round(value)) for value in metadata.dpi)
        yield build_segment(APP0, jfif[:7] + struct.pack(">BHH", 1, x, y) + jfif[12:])
    elif jfif and metadata.source_format != "jpeg":
        yield build_segment(APP0, jfif)


def _build_xmp(metadata: Metadata, notes: list[str]) -> Iterator[bytes]:
    """Yields XMP in one segment, and extended XMP in as many as it needs."""
    xmp, extended = metadata.xmp, metadata.extended_xmp
    if not xmp:
        return
    if len(xmp) + len(XMP_HEADER) > MAX_PAYLOAD:
        try:
            xmp = merge_extended(xmp, extended) if extended else xmp
            xmp, extended = split_packet(xmp, MAX_PAYLOAD - len(XMP_HEADER))
        except ValueError as error:
            notes.append(f"XMP dropped: it exceeds one JPEG segment, and {error}")
            return
    yield build_segment(APP1, XMP_HEADER + xmp)
    guid = find_extended_guid(xmp)
    part_size = MAX_PAYLOAD - EXTENDED_HEADER_SIZE
    for start in range(0, len(extended), part_size):
        position = struct.pack(">II", len(extended), start)
        part = extended[start : start + part_size]
        yield build_segment(APP1, EXTENDED_HEADER + guid + position + part)


def build_segment(marker: int, payload: bytes) -> bytes:
    """Returns one marker segment."""
    return bytes([0xFF, marker]) + (len(payload) + 2).to_bytes(2, "big") + payload
