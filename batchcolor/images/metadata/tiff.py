"""Reads the metadata of a TIFF file, and writes it into an encoded one (TIFF 6.0)."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from dataclasses import replace

from batchcolor.images.metadata.exif import X_RESOLUTION, Y_RESOLUTION
from batchcolor.images.metadata.exif_block import build_block
from batchcolor.images.metadata.ifd import (
    HEADER_SIZE,
    LONG,
    UNDEFINED,
    Data,
    Directory,
    Entry,
    build_directory,
    build_header,
    change_byte_order,
    integer_entry,
    read_directory,
    read_layout,
)
from batchcolor.images.metadata.model import Metadata, is_plausible_resolution
from batchcolor.images.metadata.photoshop import IPTC_RESOURCE, read_resources, remove_resources

XMP, IPTC, PHOTOSHOP, ICC, PHOTOSHOP_LAYERS = 0x02BC, 0x83BB, 0x8649, 0x8773, 0x935C
DNG_PRIVATE_DATA = 0xC634
"""The MakerNote, in a form of the converter that wrote the DNG."""
STRIP_OFFSETS, TILE_OFFSETS = 0x0111, 0x0144
RESOLUTION_UNIT = 0x0128
RESOLUTION_TAGS = frozenset({X_RESOLUTION, Y_RESOLUTION, RESOLUTION_UNIT})
STRUCTURE_TAGS = frozenset(
    {
        *range(0x00FE, 0x010B),  # NewSubfileType to FillOrder
        *(STRIP_OFFSETS, *range(0x0115, 0x011A), 0x011C),  # StripOffsets to PlanarConfiguration
        *(0x0120, 0x0121, 0x0122, 0x0123, 0x0124, 0x0125),  # free bytes, response curve, fax
        *(0x012D, 0x013D, 0x013E, 0x013F, 0x0140, 0x0141),  # transfer, predictor, colour
        *range(0x0142, 0x0149),  # tiles and fax
        *(0x014A, 0x014C, 0x014D, 0x014E, 0x0150, 0x0151, 0x0152, 0x0153, 0x0154, 0x0155, 0x0156),
        *(0x0157, 0x0158, 0x0159, 0x015A, 0x015B, *range(0x0190, 0x01B2)),  # JPEG tables, TIFF/FX
        *range(0x0200, 0x0215),  # JPEG of TIFF 6.0, YCbCr
        *(0x022F, 0x80E3, 0x80E4, 0x80E5, 0x80E6, 0x828D, 0x828E, 0xC5F2),  # SGI, mosaics, LERC
        *range(0xC612, 0xC7F0),  # DNG: colour matrices, levels and previews of raw samples
        *range(0xCD2D, 0xCD50),
    }
) - frozenset({0xC614, 0xC62F, 0xC630, 0xC68B})  # DNG: camera, serial number, lens, file name
"""Tags that describe how the samples of the source are stored, and not the picture."""


def read_tiff(data: Data, notes: list[str], offset: int | None = None) -> Metadata:
    """Returns the metadata of the directory at an offset, or of the first one.

    Raises DamagedDirectoryError where it cannot be read.
    """
    layout = read_layout(data)
    main = read_directory(data, layout, layout.first if offset is None else offset)
    if PHOTOSHOP_LAYERS in main.entries:
        notes.append("Photoshop layers dropped: they are not coloured")
    if DNG_PRIVATE_DATA in main.entries:
        notes.append("private data of DNG dropped: only converters of camera raw read it")
    blocks = {tag: _value_of(main, tag) for tag in (XMP, IPTC, PHOTOSHOP, ICC)}
    own = {*blocks, *STRUCTURE_TAGS, PHOTOSHOP_LAYERS}
    described = {tag: entry for tag, entry in main.entries.items() if tag not in own}
    has_exif = bool(described.keys() - RESOLUTION_TAGS)  # a resolution alone is in `dpi`
    exif = build_block(data, layout, described, notes) if has_exif else b""
    return Metadata(
        exif=exif,
        icc=blocks[ICC],
        xmp=blocks[XMP].rstrip(b"\0"),
        photoshop=blocks[PHOTOSHOP],
        iptc=blocks[IPTC],
        dpi=read_resolution(main.entries, layout.order),
    )


def write_tiff(encoded: bytes, metadata: Metadata) -> bytes:
    """Returns an encoded TIFF with all metadata in it.

    The EXIF block is the beginning of the new file, unchanged, so offsets in it stay valid. The
    encoded file follows it; a new directory at the end refers to both.
    """
    described = [*_own_entries(metadata)]
    if not metadata.exif and not described:
        return encoded
    source = read_layout(encoded)
    pixels = read_directory(encoded, source, source.first)
    if source.is_big:
        raise ValueError("no metadata can be written to a TIFF of more than 4 GiB")
    if metadata.exif:
        layout = read_layout(metadata.exif)
        start = metadata.exif + b"\0" * (len(metadata.exif) % 2)
        main = read_directory(metadata.exif, layout, layout.first)
    else:
        layout, start, main = source, build_header(source.order, 0), Directory(0)
    entries = {
        tag: _move_to(entry, tag, len(start), source.order, layout.order)
        for tag, entry in pixels.entries.items()
    }
    not_copied = STRUCTURE_TAGS | {ICC}  # the profile is that of the new pixels
    entries.update({tag: e for tag, e in main.entries.items() if tag not in not_copied})
    entries.update({entry.tag: entry for entry in described})
    end = len(start) + len(encoded) + len(encoded) % 2
    directory = build_directory(entries.values(), layout.order, end)
    head = build_header(layout.order, end) + start[HEADER_SIZE:]
    return b"".join((head, encoded, b"\0" * (len(encoded) % 2), directory))


def is_big_endian(metadata: Metadata) -> bool:
    """Whether samples of a TIFF with this metadata begin with the high byte, as its EXIF does."""
    return metadata.exif.startswith(b"MM")


def _own_entries(metadata: Metadata) -> Iterable[Entry]:
    """Returns the entries of XMP, IPTC and Photoshop resources."""
    photoshop, iptc = metadata.photoshop, metadata.iptc
    if not iptc and photoshop:  # few programs look for IPTC among the resources of a TIFF
        iptc = read_resources(photoshop).get(IPTC_RESOURCE, b"")
        photoshop = remove_resources(photoshop, {IPTC_RESOURCE}) if iptc else photoshop
    for tag, value in ((XMP, metadata.xmp), (IPTC, iptc), (PHOTOSHOP, photoshop)):
        if value:
            yield Entry(tag, UNDEFINED, len(value), value)


def _move_to(entry: Entry, tag: int, distance: int, old_order: str, order: str) -> Entry:
    """Returns an entry of the encoded file for its place `distance` bytes further."""
    if tag in (STRIP_OFFSETS, TILE_OFFSETS):
        numbers = [number + distance for number in entry.integers(old_order)]
        return integer_entry(tag, LONG, numbers, order)
    return replace(change_byte_order(entry) if old_order != order else entry, offset=0)


def _value_of(directory: Directory, tag: int) -> bytes:
    entry = directory.entries.get(tag)
    return entry.value if entry else b""


def read_resolution(entries: dict[int, Entry], order: str) -> tuple[float, float] | None:
    """Returns horizontal and vertical pixels an inch, or None where the unit is undefined."""
    main = Directory(0, entries)
    factor = {2: 1.0, 3: 2.54}.get(main.first_integer(RESOLUTION_UNIT, order) or 2)
    values = []
    for tag in (X_RESOLUTION, Y_RESOLUTION):
        value = _value_of(main, tag)
        numerator, denominator = struct.unpack(f"{order}II", value) if len(value) == 8 else (0, 0)
        values.append(numerator / denominator if denominator else 0.0)
    if factor is None:
        return None
    x, y = (value * factor for value in values)
    return (x, y) if is_plausible_resolution(x, y) else None
