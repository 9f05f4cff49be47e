"""Writes the sample aspect ratio into a finished Matroska file, as PyAV's muxer cannot.

Codecs such as FFV1 do not store it. The track is muxed with padding at the end of its name; these
bytes are replaced by the display size, so that no other element moves (RFC 9559; EBML: RFC 8794).
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

NAME_PADDING = "~shape-of-samples~"
"""Suffix of the name of the video track until `patch_display_size` removes it."""
SEGMENT, TRACKS, TRACK = b"\x18\x53\x80\x67", b"\x16\x54\xae\x6b", b"\xae"
NAME, VIDEO, CRC, VOID = b"\x53\x6e", b"\xe0", b"\xbf", b"\xec"
DISPLAY_WIDTH, DISPLAY_HEIGHT, DISPLAY_UNIT = b"\x54\xb0", b"\x54\xba", b"\x54\xb2"
ASPECT_RATIO_UNIT = 3
"""DisplayUnit of a width and height that are a ratio; 0, the default, is pixels."""
HEADER_BYTES = 1 << 20
"""Bytes at the start of a file in which the Tracks element must end."""


@dataclass(frozen=True)
class Element:
    """An EBML element: its ID and the offsets of its start, content and end."""

    id: bytes
    start: int
    content: int
    end: int


def patch_display_size(path: Path, width: int, height: int, aspect: Fraction) -> bool:
    """Sets the display size of the track with `NAME_PADDING` for a sample aspect ratio.

    Returns False, and changes nothing, if the file is not as expected.
    """
    with path.open("r+b") as file:
        header = bytearray(file.read(HEADER_BYTES))
        segment = _find_element(header, 0, len(header), SEGMENT)
        tracks = segment and _find_element(header, segment.content, len(header), TRACKS)
        if not tracks or tracks.end > len(header):
            return False
        display = _choose_display(width, height, aspect)
        if not any(
            track.id == TRACK and _rewrite_track(header, track, display)
            for track in _iterate_elements(header, tracks.content, tracks.end)
        ):
            return False
        _update_crc(header, tracks)
        file.seek(tracks.start)
        file.write(header[tracks.start : tracks.end])
    return True


def _choose_display(width: int, height: int, aspect: Fraction) -> dict[bytes, int]:
    """Returns display width, height and unit: pixels, or a ratio where pixels would be rounded."""
    displayed = width * aspect
    if displayed.denominator == 1:
        return {DISPLAY_WIDTH: displayed.numerator, DISPLAY_HEIGHT: height}
    ratio = displayed / height
    return {
        DISPLAY_WIDTH: ratio.numerator,
        DISPLAY_HEIGHT: ratio.denominator,
        DISPLAY_UNIT: ASPECT_RATIO_UNIT,
    }


def _rewrite_track(header: bytearray, track: Element, display: dict[bytes, int]) -> bool:
    """Rewrites the elements of a track in the same number of bytes; False if not possible."""
    rewritten = b""
    for element in _iterate_elements(header, track.content, track.end):
        data = bytes(header[element.start : element.end])
        content = bytes(header[element.content : element.end])
        if element.id == NAME and content.endswith(NAME_PADDING.encode()):
            own = content.removesuffix(NAME_PADDING.encode())
            data = _build_element(NAME, own) if own else b""
        elif element.id == VIDEO:
            data = _build_element(VIDEO, _set_display_size(header, element, display))
        rewritten += data
    freed = track.end - track.content - len(rewritten)
    if freed < 2 or NAME_PADDING.encode() in rewritten:
        return False
    header[track.content : track.end] = (
        rewritten + VOID + bytes([0x80 | freed - 2]) + bytes(freed - 2)
    )
    return True


def _set_display_size(header: bytearray, video: Element, display: dict[bytes, int]) -> bytes:
    """Returns the content of the Video element with a display size."""
    kept = b"".join(
        bytes(header[it.start : it.end])
        for it in _iterate_elements(header, video.content, video.end)
        if it.id not in (DISPLAY_WIDTH, DISPLAY_HEIGHT, DISPLAY_UNIT)
    )
    return kept + b"".join(
        _build_element(id_, value.to_bytes(max(1, (value.bit_length() + 7) // 8)))
        for id_, value in display.items()
    )


def _update_crc(header: bytearray, tracks: Element) -> None:
    """Updates the CRC-32 of the Tracks element, if it has one; it covers all bytes after it."""
    first = next(_iterate_elements(header, tracks.content, tracks.end))
    if first.id == CRC:
        total = zlib.crc32(header[first.end : tracks.end])
        header[first.content : first.end] = total.to_bytes(4, "little")


def _find_element(header: bytearray, start: int, end: int, id_: bytes) -> Element | None:
    return next((it for it in _iterate_elements(header, start, end) if it.id == id_), None)


def _iterate_elements(header: bytearray, start: int, end: int) -> Iterator[Element]:
    """Yields consecutive elements whose headers lie before `end`."""
    while start + 2 <= end:
        id_end = start + read_vint_length(header[start])
        if id_end >= end:
            return
        content = id_end + read_vint_length(header[id_end])
        element_end = content + read_vint_value(header[id_end:content])
        yield Element(bytes(header[start:id_end]), start, content, element_end)
        start = element_end


def read_vint_length(first: int) -> int:
    """Returns the length of an ID or size, from the leading zeros of its first byte."""
    return 9 - first.bit_length() if first else 9


def read_vint_value(data: bytes | bytearray) -> int:
    """Returns the value of a size, without its length marker."""
    return int.from_bytes(data) & (1 << 7 * len(data)) - 1


def _build_element(id_: bytes, content: bytes) -> bytes:
    """Builds an element with the shortest possible size."""
    size = len(content)
    length = next(n for n in range(1, 9) if size < (1 << 7 * n) - 1)
    return id_ + (size | 1 << 7 * length).to_bytes(length) + content
