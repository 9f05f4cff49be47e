"""States in a result how its grey source is put together from the bytes of the result.

The record is JSON, compressed, in a JUMBF box (ISO/IEC 19566-5) before the first table: size and
sha256 of the source, and its pieces in order. A piece is either bytes, or a range of the result.
Ranges count from the beginning of the file, or, of what follows the record, from its end: so
metadata that is changed later does not move the picture data.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from batchcolor.errors import ProcessingError
from batchcolor.images.iso_boxes import build_box
from batchcolor.images.jpeg_stream.grey_jpeg import APP11, JUMBF
from batchcolor.images.jpeg_stream.jpeg_frame import SOS
from batchcolor.images.jpeg_stream.jpeg_structure import JpegStructureError, Segment, read_segments
from batchcolor.images.metadata.jpeg import build_segment

RECORD_UUID = bytes.fromhex("6d0c2f0b5a3e4f6f9a7d0c1e8b52d4a1")
UUID_CONTENT = bytes.fromhex("7575696400110010800000aa00389b71")
"""Content type of a box whose meaning its own UUID defines (ISO/IEC 19566-5, annex B)."""
LABEL = b"grey-source\0"
REQUESTABLE_WITH_LABEL = b"\3"
INSTANCE = JUMBF + b"\xbc\x01"
"""Begins the segments of the record, and of no other box in the file."""
BOX_HEADER_SIZE = 8
PART_SIZE = 65000
MAX_SIZE = 255 * PART_SIZE
MIN_RUN = 16
"""Equal bytes from which a range is shorter than the bytes themselves."""
HEAD, TAIL = "head", "tail"
MAX_DOCUMENT = 64 * 2**20
"""Bytes of a record from which it is taken for damaged: compressed data may claim any size."""
DAMAGED_RECORD = "the record of its source is damaged"


@dataclass(frozen=True)
class Piece:
    """A part of the result, and the part of the source in its place; either may be empty."""

    content: bytes | memoryview
    source: bytes | memoryview = b""

    @classmethod
    def copy(cls, content: bytes | memoryview) -> Piece:
        """A part that is the same in both."""
        return cls(content, content)


def assemble(pieces: Sequence[Piece], record_index: int, size: int, sha256: str) -> bytes:
    """Returns the result, with the record before the piece `record_index`.

    `size` and `sha256` are those of the source.
    """
    ranges: list[list[Any]] = []
    for base, part in ((HEAD, pieces[:record_index]), (TAIL, pieces[record_index:])):
        position = 0
        for piece in part:
            ranges += _describe_piece(piece, base, position)
            position += len(piece.content)
    document = {
        "head": sum(len(piece.content) for piece in pieces[:record_index]),
        "size": size,
        "sha256": sha256,
        "pieces": list(_merge(ranges)),
    }
    packed = zlib.compress(json.dumps(document, separators=(",", ":")).encode(), 6)
    head = [piece.content for piece in pieces[:record_index]]
    tail = [piece.content for piece in pieces[record_index:]]
    return b"".join([*head, *_build_record(packed), *tail])


def _build_record(packed: bytes) -> Iterator[bytes]:
    """Yields the segments of the box; each repeats its header (ISO/IEC 19566-5, annex D)."""
    if len(packed) > MAX_SIZE:
        raise ValueError("the record of the source is too large")
    description = build_box(b"jumd", UUID_CONTENT + REQUESTABLE_WITH_LABEL + LABEL)
    box = build_box(b"jumb", description + build_box(b"uuid", RECORD_UUID + packed))
    head, content = box[:BOX_HEADER_SIZE], box[BOX_HEADER_SIZE:]
    for number, start in enumerate(range(0, len(content), PART_SIZE), 1):
        part = content[start : start + PART_SIZE]
        yield build_segment(APP11, INSTANCE + number.to_bytes(4, "big") + head + part)


def _describe_piece(piece: Piece, base: str, position: int) -> Iterator[list[Any]]:
    """Yields the parts of the source of one piece: `[base, start, bytes]` or `[bytes]`."""
    old, new = piece.source, piece.content
    if old is new:
        yield [base, position, old]
        return
    size = min(len(old), len(new))
    if not size:
        yield [old]
        return
    equal = np.frombuffer(old, np.uint8)[:size] == np.frombuffer(new, np.uint8)[:size]
    edges = [0, *(np.flatnonzero(np.diff(equal)) + 1).tolist(), size, len(old)]
    for start, end in pairwise(edges):
        if end == start:
            continue
        if start < size and equal[start] and end - start >= MIN_RUN:
            yield [base, position + start, old[start:end]]
        else:
            yield [old[start:end]]


def _merge(ranges: Iterable[list[Any]]) -> Iterator[list[Any]]:
    """Yields ranges `[base, start, length, crc32]` and bytes `[base64]`, neighbours joined.

    Ranges before the record are not joined: programs that edit metadata move each segment.
    """
    merged: list[list[Any]] = []
    for found in ranges:
        *place, content = found
        last = merged[-1] if merged else []
        is_next = len(last) == len(found) and (
            not place or (last[0] == place[0] == TAIL and last[1] + last[2] == place[1])
        )
        if not is_next:
            merged.append([*place, 0, 0] if place else [b""])
            last = merged[-1]
        if place:
            last[2:] = [last[2] + len(content), zlib.crc32(content, last[3])]
        else:
            last[0] += bytes(content)
    for found in merged:
        yield found if len(found) > 1 else [base64.b64encode(found[0]).decode()]


def restore_source(result: bytes) -> bytes:
    """Returns the source of a result, byte for byte.

    Raises ProcessingError for a file without a record, and, with the ranges of bytes, where the
    file was changed since.
    """
    result = _remove_credentials(result)
    document, start, end = _read_record(result)
    parts, missing, position = [], [], 0
    try:
        growth = start - document["head"]
        for piece in document["pieces"]:
            content, length = _read_piece(result, piece, growth, end)
            if content is None:
                missing.append(f"{position} to {position + length - 1}")
            else:
                parts.append(content)
            position += length
        size, digest = int(document["size"]), str(document["sha256"])
    except (KeyError, TypeError, ValueError) as error:
        raise ProcessingError("restore", DAMAGED_RECORD) from error
    if missing:
        raise ProcessingError(
            "restore",
            f"bytes {', '.join(missing)} of the source's {size} cannot be had back: the result was "
            "changed after batchcolor wrote it",
        )
    source = b"".join(parts)
    if hashlib.sha256(source).hexdigest() != digest:
        raise ProcessingError("restore", DAMAGED_RECORD)
    return source


def _read_piece(result: bytes, piece: list[Any], growth: int, end: int) -> tuple[bytes | None, int]:
    """Returns content and length of a piece; None as content where the result was changed.

    What lies before the record has its old place, or has moved by the `growth` of that part.
    """
    if len(piece) == 1:
        content = base64.b64decode(piece[0])
        return content, len(content)
    base, start, length, checksum = piece
    for place in (start + end,) if base == TAIL else (start, start + growth):
        content = result[max(0, place) : max(0, place + length)]
        if len(content) == length and zlib.crc32(content) == checksum:
            return content, length
    return None, length


def _remove_credentials(result: bytes) -> bytes:
    """Returns the result without content credentials, which sign it and are never in its source."""
    parts, position = [], 0
    for segment in _read_boxes(result):
        if not result.startswith(INSTANCE, segment.payload):
            parts.append(result[position : segment.start])
            position = segment.end
    return b"".join([*parts, result[position:]]) if parts else result


def _read_boxes(result: bytes) -> Iterator[Segment]:
    """Yields the JUMBF segments before the first scan."""
    with contextlib.suppress(JpegStructureError):  # a file without them has no record
        for segment in read_segments(result):
            if segment.marker == SOS:
                return
            if segment.marker == APP11 and result.startswith(JUMBF, segment.payload):
                yield segment


def _read_record(result: bytes) -> tuple[dict[str, Any], int, int]:
    """Returns the document of the record, and where it begins and ends. Raises ProcessingError."""
    segments = [s for s in _read_boxes(result) if result.startswith(INSTANCE, s.payload)]
    skipped = len(INSTANCE) + 4 + BOX_HEADER_SIZE
    content = b"".join(result[s.payload + skipped : s.end] for s in segments)
    _, is_record, packed = content.partition(b"uuid" + RECORD_UUID)
    if not is_record:
        raise ProcessingError(
            "restore",
            "has no record of its source: only a grey JPEG that became a JPEG can be restored",
        )
    try:
        content = zlib.decompressobj().decompress(packed, MAX_DOCUMENT)
        return json.loads(content), segments[0].start, segments[-1].end
    except (ValueError, zlib.error) as error:
        raise ProcessingError("restore", DAMAGED_RECORD) from error
