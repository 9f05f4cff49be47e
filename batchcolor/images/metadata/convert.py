"""Moves metadata to the blocks that the format of the result has, and names what it cannot hold."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from dataclasses import replace

from batchcolor.images.dpx_header import BLOCK_FORMAT
from batchcolor.images.metadata.exif import (
    X_RESOLUTION,
    Y_RESOLUTION,
    has_thumbnail,
    read_tags,
    remove_thumbnail,
    set_entries,
    set_text,
)
from batchcolor.images.metadata.exif_block import shrink_block
from batchcolor.images.metadata.ifd import SHORT, Entry, integer_entry, read_layout
from batchcolor.images.metadata.iptc import move_to_xmp
from batchcolor.images.metadata.jpeg import MAX_EXIF
from batchcolor.images.metadata.model import Block, Metadata
from batchcolor.images.metadata.photoshop import DERIVED_RESOURCES, IPTC_RESOURCE, read_resources
from batchcolor.images.metadata.png import SRGB_CHUNKS, TEXT_CHUNKS, decode_comment
from batchcolor.images.metadata.png_text import Text, parse_text
from batchcolor.images.metadata.tiff import RESOLUTION_UNIT, read_resolution
from batchcolor.images.metadata.xmp import merge_extended

IMAGE_DESCRIPTION, DATE_TIME = 0x010E, 0x0132
RATIONAL = 5
TEXT_TAGS = {
    "Title": IMAGE_DESCRIPTION,
    "Description": IMAGE_DESCRIPTION,
    "Author": 0x013B,
    "Copyright": 0x8298,
    "Software": 0x0131,
}
"""EXIF tags with the meaning of the keywords of PNG (PNG, third edition, section 11.3.3.1)."""
WITH_COMMENTS, WITH_IPTC = ("jpeg", "png"), ("jpeg", "png", "tiff")
WITHOUT_RESOLUTION = ("webp", "avif", "heif", "jxl")
"""Formats with no field for the resolution but those of EXIF."""
WITHOUT_LOSS = ("", "APP0", "pHYs", *SRGB_CHUNKS)
"""Blocks whose content is in `dpi`, or describes the colour space of every result, and headers of
DPX that state nothing."""
BLOCK_NAMES = {"tIME": "PNG modification time (tIME)"}


def convert(metadata: Metadata, format_name: str, notes: list[str]) -> Metadata:
    """Returns the metadata in the blocks of a format.

    Appends to `notes` what the format cannot hold. Blocks that it holds stay byte for byte.
    """
    if metadata.source_format != format_name:
        metadata = replace(metadata, order=(), dpi=metadata.dpi or _read_exif_resolution(metadata))
    if format_name == "bmp":
        _note_dropped(_list_all(metadata), "BMP", notes)
        return Metadata(dpi=metadata.dpi)
    dropped: list[str] = []
    if metadata.extended_xmp and format_name != "jpeg":
        metadata = _merge_xmp(metadata, notes)
    foreign = [block for block in metadata.blocks if block.format != format_name]
    if foreign:
        metadata = _move_texts(metadata, foreign, format_name, dropped)
    if metadata.comments and format_name not in WITH_COMMENTS:
        metadata = _move_comments(metadata, dropped)
    if format_name not in WITH_IPTC and (metadata.photoshop or metadata.iptc):
        metadata = _move_iptc(metadata, dropped)
    if format_name in WITHOUT_RESOLUTION:
        metadata = _move_resolution(metadata)
    if format_name == "jpeg" and len(metadata.exif) > MAX_EXIF:
        metadata = replace(metadata, exif=shrink_block(metadata.exif, MAX_EXIF, notes))
    if format_name == "tiff" and metadata.exif and has_thumbnail(metadata.exif):
        dropped.append("EXIF thumbnail")
        metadata = replace(metadata, exif=remove_thumbnail(metadata.exif))
    _note_dropped(dropped, format_name.upper(), notes)
    return metadata


def _note_dropped(dropped: list[str], name: str, notes: list[str]) -> None:
    if dropped:
        notes.append(f"not kept, {name} cannot hold it: {', '.join(dict.fromkeys(dropped))}")


def _list_all(metadata: Metadata) -> list[str]:
    """Returns the names of all metadata but the resolution."""
    blocks = {
        "EXIF": metadata.exif,
        "ICC profile": metadata.icc,
        "XMP": metadata.xmp,
        "IPTC and Photoshop resources": metadata.photoshop or metadata.iptc,
        "comment": b"".join(metadata.comments),
    }
    names = [name for name, content in blocks.items() if content]
    return names + [_name_block(block) for block in metadata.blocks if _is_lost(block)]


def _name_block(block: Block) -> str:
    if block.format == "png" and block.kind in TEXT_CHUNKS:
        text = parse_text(block.kind, block.content)
        return f"PNG text {text.keyword!r}" if text else f"damaged {block.kind} chunk"
    if block.format == "jpeg":
        return f"JPEG segment {block.kind}"
    if block.format == BLOCK_FORMAT:
        return f"DPX {block.kind}"
    return BLOCK_NAMES.get(block.kind, f"{block.format.upper()} chunk {block.kind!r}")


def _is_lost(block: Block) -> bool:
    return block.kind not in WITHOUT_LOSS


def _merge_xmp(metadata: Metadata, notes: list[str]) -> Metadata:
    try:
        merged = merge_extended(metadata.xmp, metadata.extended_xmp)
    except ValueError as error:
        notes.append(f"extended XMP dropped: {error}")
        merged = metadata.xmp
    return replace(metadata, xmp=merged, extended_xmp=b"")


def _move_texts(
    metadata: Metadata, foreign: list[Block], format_name: str, dropped: list[str]
) -> Metadata:
    """Moves texts of PNG to EXIF, where the tag is free, and else to comments of JPEG."""
    block, comments = metadata.exif, list(metadata.comments)
    for chunk in foreign:
        is_text = chunk.format == "png" and chunk.kind in TEXT_CHUNKS
        text = parse_text(chunk.kind, chunk.content) if is_text else None
        tag = TEXT_TAGS.get(text.keyword) if text else None
        if chunk.kind == "tIME" and len(chunk.content) == 7 and DATE_TIME not in read_tags(block):
            block = set_text(block, DATE_TIME, _format_time(chunk.content))
        elif text and tag and tag not in read_tags(block):
            block = set_text(block, tag, text.text)
        elif text and (format_name == "jpeg" or text.keyword == "Comment"):
            comments.append(_format_comment(text))
        elif _is_lost(chunk):
            dropped.append(_name_block(chunk))
    own = tuple(chunk for chunk in metadata.blocks if chunk not in foreign)
    return replace(metadata, exif=block, comments=tuple(comments), blocks=own)


def _format_time(content: bytes) -> str:
    """Returns the time of a tIME chunk in the form of EXIF."""
    year, *rest = struct.unpack(">H5B", content)
    return "{:04}:{:02}:{:02} {:02}:{:02}:{:02}".format(year, *rest)


def _format_comment(text: Text) -> bytes:
    is_comment = text.keyword == "Comment"
    return (text.text if is_comment else f"{text.keyword}: {text.text}").encode()


def _move_comments(metadata: Metadata, dropped: list[str]) -> Metadata:
    """Moves the comment to ImageDescription, where that tag is free."""
    text = "\n".join(map(decode_comment, metadata.comments))
    if IMAGE_DESCRIPTION in read_tags(metadata.exif):
        dropped.append("comment")
        return replace(metadata, comments=())
    return replace(metadata, exif=set_text(metadata.exif, IMAGE_DESCRIPTION, text), comments=())


def _move_iptc(metadata: Metadata, dropped: list[str]) -> Metadata:
    """Moves IPTC to XMP; the other Photoshop resources are not kept."""
    resources = read_resources(metadata.photoshop)
    iptc = metadata.iptc or resources.get(IPTC_RESOURCE, b"")
    xmp = metadata.xmp
    try:
        xmp = move_to_xmp(iptc, xmp, dropped)
    except ValueError as error:
        dropped.append(f"IPTC (XMP cannot take it: {error})")
    if resources.keys() - DERIVED_RESOURCES:
        dropped.append("Photoshop resources")
    return replace(metadata, xmp=xmp, photoshop=b"", iptc=b"")


def _read_exif_resolution(metadata: Metadata) -> tuple[float, float] | None:
    tags = read_tags(metadata.exif)
    return read_resolution(tags, read_layout(metadata.exif).order) if tags else None


def _move_resolution(metadata: Metadata) -> Metadata:
    """Moves the resolution to EXIF, where it has none."""
    if not metadata.dpi or X_RESOLUTION in read_tags(metadata.exif):
        return metadata
    order = read_layout(metadata.exif).order if metadata.exif else "<"
    entries = _build_resolution(metadata.dpi, order)
    return replace(metadata, exif=set_entries(metadata.exif, entries), dpi=None)


def _build_resolution(dpi: tuple[float, float], order: str) -> Iterable[Entry]:
    for tag, value in zip((X_RESOLUTION, Y_RESOLUTION), dpi, strict=True):
        pair = integer_entry(tag, 4, (round(value * 1000), 1000), order)
        yield Entry(tag, RATIONAL, 1, pair.value)
    yield integer_entry(RESOLUTION_UNIT, SHORT, [2], order)
