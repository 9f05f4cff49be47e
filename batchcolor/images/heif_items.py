"""The items of HEIF and AVIF: lists further pictures, and adds metadata to a coded picture.

Source: ISO/IEC 23008-12 (HEIF), and ISO/IEC 14496-12 (boxes) sections 4 and 8.11.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field

from batchcolor.images.iso_boxes import build_box

FULL_BOX = 4
"""Bytes of version and flags before the content of some boxes."""
AUXILIARY, THUMBNAIL, DESCRIBES = b"auxl", b"thmb", b"cdsc"
GAIN_MAP_ITEM = b"tmap"
DEPTH_TYPES = ("urn:mpeg:hevc:2015:auxid:2", "urn:mpeg:mpegB:cicp:systems:auxiliary:depth")
ALPHA_TYPES = ("urn:mpeg:hevc:2015:auxid:1", "urn:mpeg:mpegB:cicp:systems:auxiliary:alpha")
LOCATION_LAYOUT = b"\0\0\0\0\x44\0"
"""Version 0, with 4 bytes for offset and size of an extent and none for a base offset."""
EXIF_OFFSET = bytes(4)
"""The offset of the TIFF structure behind this field."""


@dataclass
class HeifItems:
    """`references` are kind, source and targets; the other properties are by item."""

    primary: int = 0
    types: dict[int, bytes] = field(default_factory=dict)
    auxiliary_types: dict[int, str] = field(default_factory=dict)
    code_points: dict[int, tuple[int, int]] = field(default_factory=dict)
    """Primaries and transfer function (ITU-T H.273)."""
    references: list[tuple[bytes, int, tuple[int, ...]]] = field(default_factory=list)


def describe_further_images(data: bytes) -> list[str]:
    """Returns the names of pictures that belong to others: gain map, depth map, thumbnails.

    Alpha is none of them. Returns nothing for damaged boxes, on which the decoder decides.
    """
    try:
        items = parse_items(data)
    except (struct.error, ValueError, IndexError):
        return []
    names = []
    for kind, source, _ in items.references:
        if kind == THUMBNAIL:
            names.append("thumbnail")
        elif kind == AUXILIARY:
            name = _name_auxiliary(items.auxiliary_types.get(source, ""))
            names += [name] if name else []
    if GAIN_MAP_ITEM in items.types.values():
        names.append("gain map")
    return list(dict.fromkeys(names))


def read_code_points(data: bytes) -> tuple[int, int] | None:
    """Returns primaries and transfer function of the primary picture, if they are stated."""
    try:
        items = parse_items(data)
    except (struct.error, ValueError, IndexError):
        return None
    return items.code_points.get(items.primary)


def merge_associations(data: bytes) -> bytes:
    """Returns the file with one box `ipma` of those that have the same version and flags.

    Older programs wrote one for each item, which libavif refuses. A box `free` takes the place
    that remains, so that no offset changes. Other files, and damaged ones, are returned unchanged.
    """
    try:
        begin, end = _find_box(data, b"meta", 0, len(data))
        children = [(kind, data[a:b]) for kind, a, b in _iterate_boxes(data, begin, end)]
        index = [kind for kind, _ in children].index(b"iprp")
        properties = children[index][1]
        boxes = [(k, properties[a:b]) for k, a, b in _iterate_boxes(properties, 0, len(properties))]
    except (struct.error, ValueError, IndexError):
        return data
    merged: dict[bytes, list[bytes]] = {}
    for kind, content in boxes:
        if kind == b"ipma":
            merged.setdefault(content[:FULL_BOX], []).append(content[FULL_BOX:])
    if all(len(parts) == 1 for parts in merged.values()):
        return data
    result = b"".join(build_box(k, content) for k, content in boxes if k != b"ipma")
    for head, parts in merged.items():
        count = sum(int.from_bytes(part[:4], "big") for part in parts)
        entries = b"".join(part[4:] for part in parts)
        result += build_box(b"ipma", head + struct.pack(">I", count) + entries)
    removed = len(properties) - len(result)
    children[index] = (b"iprp", result)
    children.append((b"free", bytes(removed - 8)))
    meta = b"".join(build_box(kind, content) for kind, content in children)
    return data[:begin] + meta + data[end:] if len(meta) == end - begin else data


def _name_auxiliary(urn: str) -> str:
    if urn.startswith(ALPHA_TYPES):
        return ""
    if urn.startswith(DEPTH_TYPES):
        return "depth map"
    if "gainmap" in urn.lower():
        return "gain map"
    return f"auxiliary picture {urn}" if urn else "auxiliary picture"


def parse_items(data: bytes) -> HeifItems:
    """Returns the items of a file. Raises ValueError, IndexError and struct.error for damage."""
    items = HeifItems()
    properties: list[tuple[bytes, bytes]] = []
    for kind, start, end in _iterate_boxes(data, *_find_box(data, b"meta", 0, len(data))):
        if kind == b"pitm":
            is_long = data[start] > 0
            items.primary = struct.unpack_from(">I" if is_long else ">H", data, start + 4)[0]
        elif kind == b"iinf":
            first = start + (6 if data[start] == 0 else 8)
            items.types = dict(_iterate_item_types(data, first, end))
        elif kind == b"iref":
            items.references = list(_iterate_references(data, start, end))
        elif kind == b"iprp":
            for inner, begin, stop in _iterate_boxes(data, start, end):
                if inner == b"ipco":
                    boxes = _iterate_boxes(data, begin, stop)
                    properties = [(name, data[a:b]) for name, a, b in boxes]
                elif inner == b"ipma":
                    for item, indices in _iterate_associations(data, begin):
                        for index in indices:
                            _add_property(items, item, properties[index - 1])
    return items


def _add_property(items: HeifItems, item: int, box: tuple[bytes, bytes]) -> None:
    kind, content = box
    if kind == b"auxC":
        urn = content[FULL_BOX:].partition(b"\0")[0]
        items.auxiliary_types[item] = urn.decode("ascii", "replace")
    elif kind == b"colr" and content[:4] == b"nclx":
        primaries, transfer = struct.unpack_from(">HH", content, 4)
        items.code_points[item] = primaries, transfer


def _find_box(data: bytes, kind: bytes, start: int, end: int) -> tuple[int, int]:
    """Returns the place of the content of a box with version and flags, behind these."""
    for found, begin, stop in _iterate_boxes(data, start, end):
        if found == kind:
            return begin + FULL_BOX, stop
    raise ValueError(f"damaged: it has no box {kind.decode()}")


def _iterate_boxes(data: bytes, position: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """Yields type, and begin and end of the content, of each box."""
    while position + 8 <= end:
        size, kind = struct.unpack_from(">I4s", data, position)
        start = position + 8
        if size == 1:
            size, start = struct.unpack_from(">Q", data, start)[0], start + 8
        following = position + size if size else end
        if following < start:
            raise ValueError("damaged: a box has no size")
        yield kind, start, min(following, end)
        position = following


def _iterate_item_types(data: bytes, start: int, end: int) -> Iterator[tuple[int, bytes]]:
    for _, begin, _ in _iterate_boxes(data, start, end):
        if data[begin] == 2:
            yield struct.unpack_from(">HH4s", data, begin + FULL_BOX)[::2]
        elif data[begin] == 3:
            yield struct.unpack_from(">IH4s", data, begin + FULL_BOX)[::2]


def _iterate_references(
    data: bytes, start: int, end: int
) -> Iterator[tuple[bytes, int, tuple[int, ...]]]:
    number = ">I" if data[start] else ">H"
    for kind, begin, _ in _iterate_boxes(data, start + FULL_BOX, end):
        size = struct.calcsize(number)
        source, count = struct.unpack_from(number + "H", data, begin)
        targets = struct.unpack_from(f">{count}{number[1]}", data, begin + size + 2)
        yield kind, source, targets


def _iterate_associations(data: bytes, start: int) -> Iterator[tuple[int, list[int]]]:
    """Yields each item with the numbers of its properties, from 1."""
    version, is_wide = data[start], data[start + 3] & 1
    (count,) = struct.unpack_from(">I", data, start + FULL_BOX)
    position = start + FULL_BOX + 4
    for _ in range(count):
        (item,) = struct.unpack_from(">I" if version else ">H", data, position)
        position += 4 if version else 2
        entries = data[position]
        position += 1
        kind, mask = ("H", 0x7FFF) if is_wide else ("B", 0x7F)
        indices = struct.unpack_from(f">{entries}{kind}", data, position)
        position += entries * struct.calcsize(kind)
        yield item, [index & mask for index in indices if index & mask]


def add_metadata(data: bytes, exif: bytes, xmp: bytes, icc: bytes) -> bytes:
    """Returns an AVIF with metadata: `exif` a TIFF structure, each empty where there is none.

    Reads files as libavif writes them: 16-bit numbers of items, 32-bit offsets. Raises ValueError
    for others.
    """
    begin, end = _find_box(data, b"meta", 0, len(data))
    children = {kind: data[a:b] for kind, a, b in _iterate_boxes(data, begin, end)}
    is_known = children[b"iloc"][:6] == LOCATION_LAYOUT and children[b"iinf"][0] == 0
    if not is_known or data[end + 4 : end + 8] != b"mdat":
        raise ValueError("not an AVIF of this layout")
    blocks = [(b"Exif", b"Exif\0", EXIF_OFFSET + exif)] if exif else []
    blocks += [(b"mime", b"XMP\0application/rdf+xml\0", xmp)] if xmp else []
    primary = struct.unpack_from(">H", children[b"pitm"], 4)[0]
    first = 1 + max(parse_items(data).types)
    numbers = range(first, first + len(blocks))
    children[b"iinf"] = _append_types(children[b"iinf"], numbers, blocks)
    children[b"iref"] = children.get(b"iref", bytes(FULL_BOX)) + b"".join(
        build_box(DESCRIBES, struct.pack(">HHH", number, 1, primary)) for number in numbers
    )
    if icc:
        children[b"iprp"] = _append_profile(children[b"iprp"], primary, icc)
    sizes = [len(content) for _, _, content in blocks]
    added = len(blocks) * 14
    meta_size = 8 + FULL_BOX + sum(8 + len(content) for content in children.values()) + added
    shift = meta_size - (end - begin + 8 + FULL_BOX)
    children[b"iloc"] = _append_locations(
        children[b"iloc"], shift, numbers, sizes, len(data) + shift + 8
    )
    meta = build_box(
        b"meta", bytes(FULL_BOX) + b"".join(map(build_box, children, children.values()))
    )
    head = data[: begin - 8 - FULL_BOX]
    stored = build_box(b"mdat", b"".join(content for _, _, content in blocks)) if blocks else b""
    return head + meta + data[end:] + stored


def _append_types(iinf: bytes, numbers: range, blocks: list[tuple[bytes, bytes, bytes]]) -> bytes:
    count = struct.unpack_from(">H", iinf, FULL_BOX)[0] + len(blocks)
    entries = b"".join(
        build_box(b"infe", b"\2\0\0\0" + struct.pack(">HH", number, 0) + kind + name)
        for number, (kind, name, _) in zip(numbers, blocks, strict=True)
    )
    return iinf[:FULL_BOX] + struct.pack(">H", count) + iinf[FULL_BOX + 2 :] + entries


def _append_locations(
    iloc: bytes, shift: int, numbers: range, sizes: list[int], position: int
) -> bytes:
    """Returns the box with offsets moved by `shift`, and new items from `position` on."""
    count = struct.unpack_from(">H", iloc, 6)[0]
    result, place = iloc[:6] + struct.pack(">H", count + len(sizes)), 8
    for _ in range(count):
        item, reference, extents = struct.unpack_from(">HHH", iloc, place)
        result += struct.pack(">HHH", item, reference, extents)
        place += 6
        for _ in range(extents):
            offset, length = struct.unpack_from(">II", iloc, place)
            result += struct.pack(">II", offset + shift, length)
            place += 8
    for number, size in zip(numbers, sizes, strict=True):
        result += struct.pack(">HHHII", number, 0, 1, position, size)
        position += size
    return result


def _append_profile(iprp: bytes, primary: int, icc: bytes) -> bytes:
    """Returns the box with an ICC profile as one more property of the primary item."""
    (_, start, end), (_, begin, stop) = _iterate_boxes(iprp, 0, len(iprp))
    index = 1 + sum(1 for _ in _iterate_boxes(iprp, start, end))
    properties = iprp[start:end] + build_box(b"colr", b"prof" + icc)
    associations, position = iprp[begin : begin + 8], begin + 8
    while position < stop:
        item, count = struct.unpack_from(">HB", iprp, position)
        stored = iprp[position + 3 : position + 3 + count]
        position += 3 + count
        stored += bytes((index,)) if item == primary else b""
        associations += struct.pack(">HB", item, len(stored)) + stored
    return build_box(b"ipco", properties) + build_box(b"ipma", associations)
