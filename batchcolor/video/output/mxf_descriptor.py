"""Corrects the picture descriptor of a finished MXF: field order and aspect ratio.

FFmpeg's muxer states ProRes as progressive, DNxHD always as top field first, and derives the
aspect ratio of DNxHR from the frame size. Sources: SMPTE ST 336 (keys, lengths, local sets) and
ST 377-1, annex G.2.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from batchcolor.video.frame_format import FieldOrder

HEADER_BYTES = 1 << 20
"""Bytes at the start of a file in which the header metadata must end."""
KEY_BYTES = 16
FILL_KEY = bytes.fromhex("060e2b34010101020301021001000000")
SET_PREFIX = bytes.fromhex("060e2b340253")
"""First bytes of the keys of local sets with tags and lengths of two bytes."""
FRAME_LAYOUT, FIELD_DOMINANCE, ASPECT_RATIO = b"\x32\x0c", b"\x32\x12", b"\x32\x0e"
FULL_FRAME, SEPARATE_FIELDS = 0, 1
"""Frame layouts: with the second one, heights are those of a field."""
HEIGHTS = (b"\x32\x02", b"\x32\x04", b"\x32\x08")
"""Stored, sampled and displayed height."""
LINE_MAP, LINES = b"\x32\x0d", {1080: (21, 584), 576: (23, 336)}
"""First active line of each field, by the height of a frame; an array of two numbers."""
DOMINANCES = {FieldOrder.TOP_FIRST: 1, FieldOrder.BOTTOM_FIRST: 2}
ITEM_HEAD = 4
"""Bytes of the tag and the length of an item."""


@dataclass(frozen=True)
class _Element:
    """A key with its value, by the offsets of its start, its value and its end."""

    key: bytes
    start: int
    content: int
    end: int


def correct_descriptor(path: Path, order: FieldOrder, display_ratio: Fraction | None) -> bool:
    """Makes the picture descriptor state a field order and the ratio of the displayed frame.

    A progressive `order` and a ratio of None leave what is stated. Returns False if there is no
    such descriptor, or no room to state the order.
    """
    with path.open("r+b") as file:
        header = bytearray(file.read(HEADER_BYTES))
        elements = list(_iterate_elements(header))
        for place, element in enumerate(elements):
            items = _read_items(header, element)
            if not {FRAME_LAYOUT, ASPECT_RATIO, *HEIGHTS} <= items.keys():
                continue
            if display_ratio is not None:
                numbers = (display_ratio.numerator, display_ratio.denominator)
                at = items[ASPECT_RATIO]
                header[at : at + 8] = b"".join(number.to_bytes(4) for number in numbers)
            is_stated = True
            if order is not FieldOrder.PROGRESSIVE:
                if header[items[FRAME_LAYOUT]] == FULL_FRAME:
                    _state_fields(header, items)
                fill = next((it for it in elements[place:] if it.key == FILL_KEY), None)
                is_stated = _set_dominance(header, element, items, fill, order)
            file.seek(0)
            file.write(header)
            return is_stated
    return False


def _state_fields(header: bytearray, items: dict[bytes, int]) -> None:
    """Changes the layout from frames to fields."""
    header[items[FRAME_LAYOUT]] = SEPARATE_FIELDS
    height = 0
    for tag in HEIGHTS:
        at = items[tag]
        height = int.from_bytes(header[at : at + 4])
        header[at : at + 4] = (height // 2).to_bytes(4)
    if height in LINES and LINE_MAP in items:
        at = items[LINE_MAP] + 8
        header[at : at + 8] = b"".join(line.to_bytes(4) for line in LINES[height])


def _set_dominance(
    header: bytearray,
    element: _Element,
    items: dict[bytes, int],
    fill: _Element | None,
    order: FieldOrder,
) -> bool:
    """Sets which field is first; an item that is missing is inserted, at the cost of the filler."""
    if FIELD_DOMINANCE in items:
        header[items[FIELD_DOMINANCE]] = DOMINANCES[order]
        return True
    if order is FieldOrder.TOP_FIRST:
        return True  # the default
    item = FIELD_DOMINANCE + b"\0\1" + bytes([DOMINANCES[order]])
    if fill is None or fill.end - fill.content < len(item):
        return False
    _write_length(header, fill, fill.end - fill.content - len(item))
    del header[fill.end - len(item) : fill.end]
    _write_length(header, element, element.end - element.content + len(item))
    header[element.end : element.end] = item
    return True


def _iterate_elements(header: bytearray) -> Iterator[_Element]:
    """Yields the elements that end within the header, from the first one on."""
    start = 0
    while start + KEY_BYTES < len(header):
        first = start + KEY_BYTES
        size = header[first] & 0x7F if header[first] & 0x80 else 0
        content = first + 1 + size
        length = int.from_bytes(header[first + 1 : content]) if size else header[first]
        if content + length > len(header):
            return
        yield _Element(bytes(header[start:first]), start, content, content + length)
        start = content + length


def _read_items(header: bytearray, element: _Element) -> dict[bytes, int]:
    """Returns the offsets of the values of a local set by their tags; empty for other elements."""
    items: dict[bytes, int] = {}
    if not element.key.startswith(SET_PREFIX):
        return items
    place = element.content
    while place + ITEM_HEAD <= element.end:
        items[bytes(header[place : place + 2])] = place + ITEM_HEAD
        place += ITEM_HEAD + int.from_bytes(header[place + 2 : place + ITEM_HEAD])
    return items


def _write_length(header: bytearray, element: _Element, length: int) -> None:
    """Replaces the length of an element by one in as many bytes."""
    first = element.start + KEY_BYTES
    size = element.content - first
    header[first : element.content] = (
        bytes([length]) if size == 1 else bytes([0x80 | size - 1]) + length.to_bytes(size - 1)
    )
