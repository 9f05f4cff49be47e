"""Reads and writes the metadata chunks of PNG (PNG, third edition, section 11)."""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Iterator

from batchcolor.images.metadata.model import Block, Metadata, arrange
from batchcolor.images.metadata.photoshop import IPTC_RESOURCE, add_resource, read_resources
from batchcolor.images.metadata.png_text import (
    XMP_KEYWORD,
    Text,
    TextTooLargeError,
    build_profile,
    build_text,
    decompress,
    parse_profile,
    parse_text,
)
from batchcolor.images.metadata.xmp import to_utf8

SIGNATURE_SIZE, HEADER_SIZE = 8, 33
"""Bytes of the signature, and of the signature and the IHDR chunk; metadata follows them."""
METRES_PER_INCH = 0.0254
PIXEL_CHUNKS = frozenset(
    {
        *("IHDR", "PLTE", "IDAT", "IEND", "tRNS", "sBIT", "bKGD", "hIST", "sPLT"),
        *("acTL", "fcTL", "fdAT", "gAMA", "cHRM", "iCCP", "cICP", "mDCV", "mDCv", "cLLI", "cLLi"),
    }
)
"""Chunks that describe samples of the source: their type, palette, frames and colour space."""
SAFE_TO_COPY = re.compile("[a-z][A-Za-z][A-Z][a-z]")
"""Types of ancillary chunks that do not depend on the pixels (section 5.4 of the standard)."""
COLOR_SIZES = {"sRGB": 1, "gAMA": 4, "cHRM": 32}
FIXED_SIZES = {"pHYs": 9, "tIME": 7}
"""Bytes of chunks that readers refuse, with the whole file, where they have another size."""
TEXT_CHUNKS = ("tEXt", "zTXt", "iTXt")
SRGB_CHUNKS = ("sRGB", "gAMA", "cHRM")
"""Chunks that agree with an sRGB result, if the source has the first one."""


def read_png(data: bytes, notes: list[str]) -> Metadata:
    """Returns the metadata of the chunks before and after the pixels."""
    exif = icc = xmp = photoshop = b""
    blocks: list[Block] = []
    srgb: list[Block] = []
    damaged: list[Block] = []
    order: list[str] = []
    dpi = None
    for kind, content in _walk(data):
        order.append(kind)
        if kind == "eXIf":
            exif = content
        elif kind == "iCCP":
            icc = _read_profile(content, notes)
        elif kind in TEXT_CHUNKS:
            text = _read_text(kind, content, notes)
            if text is None:
                continue
            profile, found = parse_profile(text)
            if text.keyword == XMP_KEYWORD:
                order[-1] = "XMP"
                xmp = xmp or text.text.encode()
            elif profile in ("exif", "app1") and found[:4] in (b"II*\0", b"MM\0*"):
                exif = exif or found
            elif profile in ("xmp", "app1"):
                xmp = xmp or found
            elif profile in ("iptc", "8bim"):
                order[-1] = "Photoshop"
                photoshop = photoshop or found
            elif profile in ("icc", "icm"):
                icc = icc or found
            else:
                blocks.append(Block("png", kind, content))
        elif len(content) != FIXED_SIZES.get(kind, len(content)):
            notes.append(f"damaged {kind} chunk dropped")
        elif kind == "pHYs":
            dpi = _read_density(content)
            blocks.append(Block("png", kind, content))
        elif kind in ("caBX", "dSIG"):
            notes.append("content credentials dropped: they sign the pixels of the source")
        elif kind in SRGB_CHUNKS:
            is_intact = len(content) == COLOR_SIZES[kind]
            (srgb if is_intact else damaged).append(Block("png", kind, content))
        elif kind not in PIXEL_CHUNKS and (kind == "tIME" or SAFE_TO_COPY.fullmatch(kind)):
            blocks.append(Block("png", kind, content))
    if SRGB_CHUNKS[0] in order:  # else they are not kept, which is noted where colours are read
        notes += [f"damaged {block.kind} chunk dropped" for block in damaged]
    return Metadata(
        exif=exif,
        icc=icc,
        xmp=xmp,
        photoshop=photoshop if photoshop.startswith(b"8BIM") else b"",
        iptc=b"" if photoshop.startswith(b"8BIM") else photoshop,
        dpi=dpi,
        blocks=(*(srgb if SRGB_CHUNKS[0] in order else ()), *blocks),
        order=tuple(dict.fromkeys(order)),
    )


def _walk(data: bytes) -> Iterator[tuple[str, bytes]]:
    """Yields type and content of each chunk; the content of IDAT is not copied."""
    position = SIGNATURE_SIZE
    while position + 12 <= len(data):
        length, name = struct.unpack_from(">I4s", data, position)
        kind = name.decode("latin-1")
        if kind == "IEND" or position + 12 + length > len(data):
            return
        if kind not in ("IDAT", "fdAT"):
            yield kind, data[position + 8 : position + 8 + length]
        position += 12 + length


def _read_text(kind: str, content: bytes, notes: list[str]) -> Text | None:
    try:
        text = parse_text(kind, content)
    except TextTooLargeError as error:
        notes.append(f"{kind} chunk dropped: it is {error}")
        return None
    if text is None:
        notes.append(f"damaged {kind} chunk dropped")
    return text


def _read_profile(content: bytes, notes: list[str]) -> bytes:
    name_end = content.find(b"\0")
    try:
        return decompress(content[name_end + 2 :])
    except TextTooLargeError as error:
        notes.append(f"ICC profile dropped: it is {error}")
        return b""
    except zlib.error as error:
        notes.append(f"damaged ICC profile dropped ({error})")
        return b""


def _read_density(content: bytes) -> tuple[float, float] | None:
    x, y, unit = struct.unpack(">IIB", content)
    return (x * METRES_PER_INCH, y * METRES_PER_INCH) if unit == 1 and x and y else None


def write_png(encoded: bytes, metadata: Metadata) -> bytes:
    """Returns an encoded PNG with all metadata between its header and its pixels."""
    parts = arrange(_list_chunks(metadata), metadata.order)
    chunks = b"".join(_build_chunk(kind, content) for _, (kind, content) in parts)
    if not chunks:
        return encoded
    view = memoryview(encoded)
    return b"".join((view[:HEADER_SIZE], chunks, view[HEADER_SIZE:]))


def _list_chunks(metadata: Metadata) -> Iterator[tuple[str, tuple[str, bytes]]]:
    """Yields name, type and content of the chunks, in the order in which Pillow writes them."""
    own = [block for block in metadata.blocks if block.format == "png"]
    if metadata.icc:
        yield "iCCP", ("iCCP", b"ICC Profile\0\0" + zlib.compress(metadata.icc))
    if metadata.xmp:
        yield "XMP", build_text(Text(XMP_KEYWORD, to_utf8(metadata.xmp).decode("utf-8", "replace")))
    for comment in metadata.comments:
        yield "iTXt", build_text(Text("Comment", decode_comment(comment)))
    photoshop = metadata.photoshop
    if metadata.iptc and IPTC_RESOURCE not in read_resources(photoshop):
        photoshop = add_resource(photoshop, IPTC_RESOURCE, metadata.iptc)
    if photoshop:  # PNG has no chunk for it; ImageMagick, ExifTool and exiv2 read this text
        yield "Photoshop", build_profile("iptc", photoshop)
    if metadata.dpi and not any(block.kind == "pHYs" for block in own):
        x, y = (round(value / METRES_PER_INCH) for value in metadata.dpi)
        yield "pHYs", ("pHYs", struct.pack(">IIB", x, y, 1))
    for block in own:
        if not (metadata.icc and block.kind in SRGB_CHUNKS):
            yield block.kind, (block.kind, block.content)
    if metadata.exif:
        yield "eXIf", ("eXIf", metadata.exif)


def decode_comment(comment: bytes) -> str:
    """Returns a comment as text: UTF-8 if it is valid, else Latin-1."""
    try:
        return comment.rstrip(b"\0").decode()
    except UnicodeDecodeError:
        return comment.rstrip(b"\0").decode("latin-1")


def _build_chunk(kind: str, content: bytes) -> bytes:
    name = kind.encode("latin-1")
    checksum = zlib.crc32(name + content).to_bytes(4, "big")
    return len(content).to_bytes(4, "big") + name + content + checksum
