"""Repairs what is damaged in a JPEG besides its pixels, so that decoders accept it.

libjpeg reports only the last of its warnings. So a file is changed step by step until it decodes
without one: then its pixels are complete. Source: ITU-T T.81, annex B; libjpeg-turbo, jerror.h.
"""

from __future__ import annotations

import io
import re
from collections import defaultdict
from collections.abc import Iterator

import simplejpeg

from batchcolor.errors import ProcessingError
from batchcolor.images.jpeg_stream.jpeg_frame import (
    EOI,
    FRAME_MARKERS,
    RESTARTS,
    SOI,
    SOS,
    TEM,
    JpegFrame,
    parse_frame_header,
)

END_OF_IMAGE = bytes((0xFF, EOI))
EXTRANEOUS = re.compile(r"(\d+) extraneous bytes before marker 0x([0-9a-f]{2})")
NEXT_MARKER = re.compile(rb"\xff+[^\xff\0]")
MARKER_AFTER_SCAN = re.compile(rb"\xff[\xc0-\xcf\xd8-\xfe]")
"""A marker in the data of scans, without restart markers."""
WITHOUT_LENGTH = frozenset({0, TEM, SOI, EOI, *RESTARTS})
APP0, APP15, COMMENT = 0xE0, 0xEF, 0xFE
ADOBE_SEGMENT = re.compile(rb"\xff\xee\0\x0eAdobe.{7}", re.DOTALL)
"""The segment APP14 of Adobe, whose last byte is the colour transform (Technical Note 5116)."""
MAX_STEPS = 12
MAX_PLACES = 8
"""Markers before which extraneous bytes are looked for, from the end."""


def repair_jpeg(data: bytes, notes: list[str]) -> bytes | None:
    """Returns a JPEG that decodes to the same complete pixels without a warning, or None.

    Appends to `notes` what was damaged.
    """
    for repair in (repair_segments, remove_bytes_between_segments):
        found: list[str] = []
        changed = _complete_end(repair(data, found), found)
        repaired = _repair_warnings(changed, found)
        if repaired is not None:
            notes += dict.fromkeys(found)
            return repaired
    return None


def _repair_warnings(data: bytes, found: list[str]) -> bytes | None:
    """Returns a JPEG that decodes without a warning, or None. Appends what was damaged."""
    try:
        frame = parse_frame_header(io.BytesIO(data))
    except ProcessingError:
        return None
    if not frame.is_8_bit_dct:
        return None
    for _ in range(MAX_STEPS):
        message = _find_warning(data)
        if not message:
            return data
        changed = _remove_extraneous_bytes(data, message) or _correct_headers(data, message)
        if changed is None:
            return None
        data, note = changed
        found.append(note)
    return None


def repair_segments(data: bytes, notes: list[str]) -> bytes:
    """Returns the JPEG without segments whose length does not lead to the next marker."""
    kept, position = bytearray(data[:2]), 2
    while position + 4 <= len(data):
        marker = data[position + 1]
        if data[position] == 0xFF and marker == 0xFF:
            position += 1  # a fill byte
            continue
        if data[position] == 0xFF and marker == SOS:
            break
        end = _find_segment_end(data, position)
        if end is not None:
            kept += data[position:end]
            position = end
            continue
        resumed = _find_segments(data, position + 1)
        if resumed is None:
            break
        notes.append(f"damaged {_name_marker(marker)} segment dropped")
        position = resumed
    return bytes(kept) + data[position:] if notes else data


def remove_bytes_between_segments(data: bytes, notes: list[str]) -> bytes:
    """Returns the JPEG without the bytes that libjpeg skips before markers, up to the first scan.

    Other programs wrote them, or a transfer inserted them. The lengths of segments are trusted.
    """
    kept, position, skipped = bytearray(data[:2]), 2, 0
    while (found := NEXT_MARKER.search(data, position)) is not None:
        start = found.end() - 2
        skipped += found.start() - position
        marker = data[start + 1]
        if marker == SOS:
            if not skipped:
                return data
            notes.append("bytes between its segments ignored")
            return bytes(kept) + data[start:]
        position = start + 2
        if marker not in WITHOUT_LENGTH:
            position += int.from_bytes(data[start + 2 : start + 4], "big")
            kept += data[start:position]
    return data


def find_adobe_segment(data: bytes, frame: JpegFrame) -> re.Match[bytes] | None:
    """Returns the segment APP14 of Adobe, the last one before the frame: thumbnails have it too."""
    return next(reversed(list(ADOBE_SEGMENT.finditer(data, 0, frame.offset))), None)


def add_end(data: bytes) -> bytes:
    """Returns the JPEG with an end marker, where it has none after its first scan."""
    first, last = (find(bytes((0xFF, SOS))) for find in (data.find, data.rfind))
    if data.rfind(END_OF_IMAGE) > first:
        return data
    if first < last and last + 2 + int.from_bytes(data[last + 2 : last + 4], "big") > len(data):
        data = data[:last]  # its header is not complete
    return data.rstrip(b"\0") + END_OF_IMAGE


def _complete_end(data: bytes, notes: list[str]) -> bytes:
    """Returns the JPEG with an end marker, if its scans are those of a complete picture."""
    completed = add_end(data)
    if completed is data or not has_all_scans(data):
        return data
    notes.append("its end marker is missing, but its pixels are complete")
    return completed


def _find_segment_end(data: bytes, position: int) -> int | None:
    """Returns the offset after a segment, or None where no marker follows it."""
    if position + 4 > len(data) or data[position] != 0xFF:
        return None
    marker = data[position + 1]
    length = int.from_bytes(data[position + 2 : position + 4], "big")
    end = position + 2 + length
    if marker in WITHOUT_LENGTH or marker < 0xC0 or length < 2 or end + 2 > len(data):
        return None
    following = data[end + 1]
    is_marker = data[end] == 0xFF and following >= 0xC0 and following not in WITHOUT_LENGTH
    return end if is_marker else None


def _find_segments(data: bytes, position: int) -> int | None:
    """Returns where segments begin that lead to a scan: those of the largest frame.

    A thumbnail in a damaged segment is a JPEG too.
    """
    best, best_area = None, 0
    limit = data.rfind(bytes((0xFF, SOS)))
    while 0 <= (position := data.find(b"\xff", position)) < limit:
        area = _measure_frame(data, position)
        if area > best_area:
            best, best_area = position, area
        position += 1
    return best


def _measure_frame(data: bytes, position: int) -> int:
    """Returns the pixels of the frame in segments that lead to a scan; 0 where there is none."""
    area = 0
    while data[position + 1 : position + 2] != bytes((SOS,)):
        end = _find_segment_end(data, position)
        if end is None:
            return 0
        if data[position + 1] in FRAME_MARKERS:
            height, width = data[position + 5 : position + 7], data[position + 7 : position + 9]
            area = int.from_bytes(height, "big") * int.from_bytes(width, "big")
        position = end
    return area


def _find_warning(data: bytes) -> str:
    """Returns the error or the last warning of libjpeg; empty for a file without one."""
    try:
        *_, color_space, _ = simplejpeg.decode_jpeg_header(data, strict=False)
        is_cmyk = color_space in ("CMYK", "YCCK")
        simplejpeg.decode_jpeg(data, "CMYK" if is_cmyk else "GRAY", strict=True)
    except (ValueError, KeyError) as error:  # KeyError: it has no name for the subsampling
        return str(error) or "damaged"
    return ""


def _remove_extraneous_bytes(data: bytes, message: str) -> tuple[bytes, str] | None:
    """Returns the JPEG without the bytes between a scan and a marker that a warning names.

    After a scan only zeros are padding: other bytes are mostly its own last ones, as a flipped bit
    in a scan makes its codes end early.
    """
    found = EXTRANEOUS.search(message)
    if found is None:
        return None
    count, marker = int(found[1]), int(found[2], 16)
    markers = list(_list_markers(data))
    places = [place for kind, place in markers if kind == marker]
    first_scan = next((place for kind, place in markers if kind == SOS), len(data))
    for place in places[: -MAX_PLACES - 1 : -1]:
        if place > first_scan and any(data[place - count : place]):
            continue
        shorter = data[: place - count] + data[place:]
        remaining = _find_warning(shorter)
        again = EXTRANEOUS.search(remaining)
        if not remaining or (again is not None and again[0] != found[0]):
            return shorter, "bytes after a scan ignored"
    return None


def _correct_headers(data: bytes, message: str) -> tuple[bytes, str] | None:
    """Returns the JPEG with the values that a warning objects to, and that change no pixel."""
    if "Invalid SOS parameters" in message:
        changed = bytearray(data)
        for kind, place in _list_markers(data):
            if kind == SOS:
                end = place + 2 + int.from_bytes(data[place + 2 : place + 4], "big")
                changed[end - 3 : end] = b"\x00\x3f\x00"
        return (bytes(changed), "scan header with wrong values") if changed != data else None
    frame = parse_frame_header(io.BytesIO(data))
    adobe = find_adobe_segment(data, frame)
    if "Unknown Adobe color transform" in message and adobe is not None:
        transform = 2 if frame.components == 4 else 1  # libjpeg assumes luma and chroma
        place = adobe.end() - 1
        changed_data = data[:place] + bytes((transform,)) + data[place + 1 :]
        return changed_data, "unknown colour transform in its Adobe marker"
    if "bad ICC marker" in message:
        return _drop_profile(data), "damaged ICC profile dropped"
    jfif = data.find(b"JFIF\0", 0, 1024)
    if "JFIF revision" in message and jfif >= 0:
        return data[: jfif + 5] + b"\1" + data[jfif + 6 :], "unknown version of JFIF"
    return None


def _drop_profile(data: bytes) -> bytes:
    """Returns the JPEG without its ICC profile."""
    kept, position = bytearray(data[:2]), 2
    while (end := _find_segment_end(data, position)) is not None and data[position + 1] != SOS:
        if data[position + 4 : position + 16] != b"ICC_PROFILE\0":
            kept += data[position:end]
        position = end
    return bytes(kept) + data[position:]


def _list_markers(data: bytes) -> Iterator[tuple[int, int]]:
    """Yields markers and their offsets from the first scan on, without restart markers."""
    position = 2
    while (end := _find_segment_end(data, position)) is not None and data[position + 1] != SOS:
        position = end
    for found in MARKER_AFTER_SCAN.finditer(data, position):
        yield data[found.start() + 1], found.start()


def has_all_scans(data: bytes) -> bool:
    """Whether the scans code every coefficient of every component with every bit."""
    bits: defaultdict[int, dict[int, int]] = defaultdict(dict)
    position, components = 2, frozenset[int]()
    while (end := _find_segment_end(data, position)) is not None and data[position + 1] != SOS:
        if data[position + 1] in FRAME_MARKERS:
            table = data[position + 10 : end]
            components = frozenset(table[: 3 * data[position + 9] : 3])
        position = end
    for marker, place in _list_markers(data):
        if marker != SOS:
            continue
        count = data[place + 4] if place + 4 < len(data) else 0
        parameters = data[place + 5 + 2 * count : place + 8 + 2 * count]
        if len(parameters) < 3:
            return False  # the file ends in the header of this scan
        start, stop, approximation = parameters
        for component in data[place + 5 : place + 5 + 2 * count : 2]:
            for index in range(start, min(stop, 63) + 1):
                bits[component][index] = approximation & 0x0F
    return bool(components) and all(
        len(bits[component]) == 64 and not any(bits[component].values()) for component in components
    )


def _name_marker(marker: int) -> str:
    if APP0 <= marker <= APP15:
        return f"APP{marker - APP0}"
    return "comment" if marker == COMMENT else f"0x{marker:02X}"
