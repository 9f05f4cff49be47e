"""Finds the segments and scans of a JPEG without decoding it (ITU-T T.81, annex B)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from batchcolor.images.jpeg_stream.jpeg_frame import EOI, SOI, SOS

NEXT_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]", re.DOTALL)
"""Ends entropy-coded data: 0xFF that is neither stuffed, nor a restart marker, nor a fill byte."""
FIRST_MARKER_WITH_LENGTH = 0xC0
RESTART_OR_START = frozenset(range(0xD0, SOI + 1))


class JpegStructureError(ValueError):
    """The file is not a plain sequence of segments and scans; the message says where."""


@dataclass(frozen=True)
class Segment:
    """A marker segment, and after the header of a scan its entropy-coded data.

    All are offsets in the file. `start` is that of the first 0xFF, fill bytes included; `payload`
    is behind the length; `header_end` is the end of the segment, `end` that of its scan data.
    """

    marker: int
    start: int
    payload: int
    header_end: int
    end: int


def read_segments(data: bytes) -> Iterator[Segment]:
    """Yields the segments from the start marker to the end marker, both without them.

    The last segment has the marker EOI and no payload; bytes may follow it. Raises
    JpegStructureError for bytes between segments, misplaced markers and a missing end.
    """
    if data[:2] != b"\xff\xd8":
        raise JpegStructureError("no start marker")
    position = 2
    while True:
        segment = _read_segment(data, position)
        yield segment
        if segment.marker == EOI:
            return
        position = segment.end


def _read_segment(data: bytes, start: int) -> Segment:
    code = start + 1
    if data[start:code] != b"\xff":
        raise JpegStructureError(f"no marker at byte {start}")
    while data[code : code + 1] == b"\xff":
        code += 1
    marker = data[code] if code < len(data) else -1
    if marker == EOI:
        return Segment(EOI, start, code + 1, code + 1, code + 1)
    if marker < FIRST_MARKER_WITH_LENGTH or marker in RESTART_OR_START:
        raise JpegStructureError(f"no segment at byte {start}")
    length = int.from_bytes(data[code + 1 : code + 3], "big")
    header_end = code + 1 + length
    if length < 2 or header_end > len(data):
        raise JpegStructureError(f"the segment at byte {start} has a wrong length")
    end = _find_end_of_scan(data, header_end) if marker == SOS else header_end
    return Segment(marker, start, code + 3, header_end, end)


def _find_end_of_scan(data: bytes, position: int) -> int:
    match = NEXT_MARKER.search(data, position)
    if match is None:
        raise JpegStructureError("no end marker")
    return match.start()
