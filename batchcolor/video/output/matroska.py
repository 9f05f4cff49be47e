"""The shape of samples, put into a finished Matroska file: PyAV cannot give it to its muxer.

Codecs such as FFV1 say nothing of it themselves. The track is written with a name that is longer
than its own; that room, and not a byte more, becomes the size at which the picture is displayed,
so no other element moves (RFC 9559; EBML is RFC 8794).
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

NAME_PADDING = "~shape-of-samples~"
"""What the name of the picture's track ends with until `patch_display_size` takes it away."""
SEGMENT, TRACKS, TRACK = b"\x18\x53\x80\x67", b"\x16\x54\xae\x6b", b"\xae"
NAME, VIDEO, CRC, VOID = b"\x53\x6e", b"\xe0", b"\xbf", b"\xec"
DISPLAY_WIDTH, DISPLAY_HEIGHT, DISPLAY_UNIT = b"\x54\xb0", b"\x54\xba", b"\x54\xb2"
HEADER_BYTES = 1 << 20
"""Bytes of a file in which its tracks are described; a font may be attached after them."""


@dataclass(frozen=True)
class Element:
    """An element of EBML: its name, and where it, its content and its end lie."""

    name: bytes
    start: int
    content: int
    end: int


def patch_display_size(path: Path, width: int, height: int, aspect: Fraction) -> bool:
    """Give the track with `NAME_PADDING` in its name a display size for samples of that shape.

    False, and nothing changed, where the file is not as expected.
    """
    with path.open("r+b") as file:
        head = bytearray(file.read(HEADER_BYTES))
        segment = _find_element(head, 0, len(head), SEGMENT)
        tracks = segment and _find_element(head, segment.content, len(head), TRACKS)
        if not tracks or tracks.end > len(head):
            return False
        size = (round(width * aspect), height)
        if not any(
            track.name == TRACK and _rewrite_track(head, track, size)
            for track in _elements(head, tracks.content, tracks.end)
        ):
            return False
        _update_crc(head, tracks)
        file.seek(tracks.start)
        file.write(head[tracks.start : tracks.end])
    return True


def _rewrite_track(head: bytearray, track: Element, size: tuple[int, int]) -> bool:
    """The track's elements anew, in as many bytes."""
    made = b""
    for element in _elements(head, track.content, track.end):
        whole = bytes(head[element.start : element.end])
        content = bytes(head[element.content : element.end])
        if element.name == NAME and content.endswith(NAME_PADDING.encode()):
            own = content.removesuffix(NAME_PADDING.encode())
            whole = _build_element(NAME, own) if own else b""
        elif element.name == VIDEO:
            whole = _build_element(VIDEO, _with_display_size(head, element, size))
        made += whole
    freed = track.end - track.content - len(made)
    if freed < 2 or NAME_PADDING.encode() in made:
        return False
    head[track.content : track.end] = made + VOID + bytes([0x80 | freed - 2]) + bytes(freed - 2)
    return True


def _with_display_size(head: bytearray, video: Element, size: tuple[int, int]) -> bytes:
    """What the track says of its picture, with that display size in pixels instead of none."""
    kept = b"".join(
        bytes(head[it.start : it.end])
        for it in _elements(head, video.content, video.end)
        if it.name not in (DISPLAY_WIDTH, DISPLAY_HEIGHT, DISPLAY_UNIT)
    )
    sides = zip((DISPLAY_WIDTH, DISPLAY_HEIGHT), size, strict=True)
    return kept + b"".join(_build_element(name, side.to_bytes(4)) for name, side in sides)


def _update_crc(head: bytearray, tracks: Element) -> None:
    """The check sum of the tracks, where they have one: over all that follows it."""
    first = next(_elements(head, tracks.content, tracks.end))
    if first.name == CRC:
        total = zlib.crc32(head[first.end : tracks.end])
        head[first.content : first.end] = total.to_bytes(4, "little")


def _find_element(head: bytearray, start: int, end: int, name: bytes) -> Element | None:
    return next((it for it in _elements(head, start, end) if it.name == name), None)


def _elements(head: bytearray, start: int, end: int) -> Iterator[Element]:
    """Elements one after the other, as far as their headers lie before `end`."""
    while start + 2 <= end:
        name_end = start + vint_length(head[start])
        if name_end >= end:
            return
        content = name_end + vint_length(head[name_end])
        end_of_it = content + vint_value(head[name_end:content])
        yield Element(bytes(head[start:name_end]), start, content, end_of_it)
        start = end_of_it


def vint_length(first: int) -> int:
    """Bytes of a name or a size, by the zeros that its first byte begins with."""
    return 9 - first.bit_length() if first else 9


def vint_value(data: bytes | bytearray) -> int:
    """The size that these bytes tell, without the bits that tell how many they are."""
    return int.from_bytes(data) & (1 << 7 * len(data)) - 1


def _build_element(name: bytes, content: bytes) -> bytes:
    """An element whose size takes as few bytes as it can."""
    size = len(content)
    bytes_ = next(n for n in range(1, 9) if size < (1 << 7 * n) - 1)
    return name + (size | 1 << 7 * bytes_).to_bytes(bytes_) + content
