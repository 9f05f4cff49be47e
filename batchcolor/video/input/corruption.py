"""Detects bytes that FFmpeg's demuxers of Matroska, WebM and AVI skip silently.

If the header of a block is damaged, these demuxers continue at the next intact block without an
error. Therefore the elements between two packets are parsed one after the other: if they do not
lead to the next packet, there is a gap (EBML: RFC 8794; Matroska: RFC 9559; AVI: Microsoft's RIFF).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from batchcolor.video.output.matroska import read_vint_length, read_vint_value

MASTER_ELEMENTS = {b"\x18\x53\x80\x67", b"\x1f\x43\xb6\x75", b"\xa0"}
"""Matroska elements whose children are parsed: Segment, Cluster, BlockGroup."""
BLOCK_IDS = (b"\xa3", b"\xa1")
"""Matroska elements that hold a packet: SimpleBlock, Block."""
LIST_IDS = (b"RIFF", b"LIST")
MIN_GAP = 64
"""Smaller gaps, in bytes, cannot hold a packet."""
MAX_HEADER = 12
"""Size in bytes of the longest header of an element or chunk."""

ParseElement = Callable[[BinaryIO, int], tuple[int, int] | None]
"""Maps the offset of an element to those of its content and the next element; None if invalid."""


@contextmanager
def detect_corruption(path: Path, container: str) -> Iterator[CorruptionDetector | None]:
    """Opens a detector for a container; None if FFmpeg's demuxer reports gaps itself."""
    if container != "avi" and "matroska" not in container:
        yield None
        return
    with path.open("rb") as file:
        yield CorruptionDetector(file, in_avi=container == "avi")


class CorruptionDetector:
    """Finds gaps before the packets of one stream, which are passed in file order."""

    def __init__(self, file: BinaryIO, *, in_avi: bool) -> None:
        self._file, self._in_avi = file, in_avi
        self._parse: ParseElement = _parse_avi_chunk if in_avi else _parse_matroska_element
        self._end = -1
        """Offset of the end of the last packet, where the next element starts."""

    def has_gap_before(self, position: int | None, size: int) -> bool:
        """Whether there is a gap between the last packet and this one, of `size` bytes."""
        if position is None or position < 0:
            return False
        end = self._find_packet_end(position, size)
        gap = 0 <= self._end < position - MIN_GAP and not self._elements_lead_to(position)
        self._end = max(end, self._end)
        return gap

    def _elements_lead_to(self, position: int) -> bool:
        """Whether consecutive elements lead from the end of the last packet to this one."""
        at = self._end
        while at < position:
            step = self._parse(self._file, at)
            if step is None:
                return False
            content, at = step
            if content == position:
                return True
        return False

    def _find_packet_end(self, position: int, size: int) -> int:
        """Returns the end of the block or chunk of a packet; -1 if its header is not found.

        The size is read from the file, because FFmpeg may decompress or split packets.
        """
        if self._in_avi:
            step = _parse_avi_chunk(self._file, position - 8)
            return step[1] if step else position + size
        self._file.seek(max(0, position - MAX_HEADER))
        header = self._file.read(min(MAX_HEADER, position))
        sizes = [
            read_vint_value(header[-length:])
            for length in range(1, 9)
            if header[-length - 1 : -length] in BLOCK_IDS
            and read_vint_length(header[-length]) == length
        ]  # bytes of a long size may look like another header
        return position + min(sizes, key=lambda length: abs(length - size)) if sizes else -1


def _parse_matroska_element(file: BinaryIO, at: int) -> tuple[int, int] | None:
    file.seek(at)
    header = file.read(MAX_HEADER)
    name = read_vint_length(header[0]) if header else 9
    if name > 4 or len(header) <= name:
        return None
    size = read_vint_length(header[name])
    if size > 8:
        return None
    content = at + name + size
    if header[:name] in MASTER_ELEMENTS:
        return content, content
    return content, content + read_vint_value(header[name : name + size])


def _parse_avi_chunk(file: BinaryIO, at: int) -> tuple[int, int] | None:
    file.seek(at)
    header = file.read(8)
    if len(header) < 8 or not header[:4].strip().isalnum():  # some names end in a space
        return None
    if header[:4] in LIST_IDS:
        return at + MAX_HEADER, at + MAX_HEADER
    size = int.from_bytes(header[4:], "little")
    return at + 8, at + 8 + size + size % 2


def is_truncated_avi(path: Path) -> bool:
    """Whether an AVI is shorter than its RIFF header states."""
    at, end = 0, path.stat().st_size
    with path.open("rb") as file:
        while at < end:
            file.seek(at)
            header = file.read(8)
            size = int.from_bytes(header[4:], "little")
            if header[:4] != b"RIFF" or not size:  # its size was never written
                return False
            at += 8 + size
    return at > end
