"""Detection of bytes that FFmpeg's demuxers of Matroska, WebM and AVI skip silently.

Where the header of a block is damaged, they search for the next intact one and continue there, and
lost frames are not reported. So the elements between two packets of a film are walked one after the
other as the standards lay them out: a walk that does not end at the next packet has met a gap (EBML
is RFC 8794, Matroska RFC 9559, AVI Microsoft's RIFF).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from batchcolor.video.output.matroska import vint_length, vint_value

MASTER_ELEMENTS = {b"\x18\x53\x80\x67", b"\x1f\x43\xb6\x75", b"\xa0"}
"""Elements of Matroska whose content is walked: segment, cluster, group of a block."""
BLOCK_IDS = (b"\xa3", b"\xa1")
"""Those that hold a packet: a simple block, and a block of a group."""
LIST_IDS = (b"RIFF", b"LIST")
MIN_GAP = 64
"""Bytes between two packets that are too few for a lost one."""
MAX_HEADER = 12
"""Bytes of the longest head of an element or a chunk that is met here."""

ParseElement = Callable[[BinaryIO, int], tuple[int, int] | None]
"""From where an element begins to where its content and the next one do; None: it is none."""


@contextmanager
def detect_corruption(path: Path, container: str) -> Iterator[CorruptionDetector | None]:
    """What finds the holes of a file of that format; None where FFmpeg's reader tells of them."""
    if container != "avi" and "matroska" not in container:
        yield None
        return
    with path.open("rb") as file:
        yield CorruptionDetector(file, in_avi=container == "avi")


class CorruptionDetector:
    """Follows the packets of one stream in the order of the file; see `has_gap_before`."""

    def __init__(self, file: BinaryIO, *, in_avi: bool) -> None:
        self._file, self._in_avi = file, in_avi
        self._parse: ParseElement = _parse_avi_chunk if in_avi else _parse_matroska_element
        self._end = -1
        """Where the last packet ends, and the next element begins."""

    def has_gap_before(self, position: int | None, size: int) -> bool:
        """Whether there is a gap between the last packet and this one, `size` bytes long."""
        if position is None or position < 0:
            return False
        end = self._packet_end(position, size)
        gap = 0 <= self._end < position - MIN_GAP and not self._elements_lead_to(position)
        self._end = max(end, self._end)
        return gap

    def _elements_lead_to(self, position: int) -> bool:
        """Whether elements follow each other from the last packet's end to this one."""
        at = self._end
        while at < position:
            step = self._parse(self._file, at)
            if step is None:
                return False
            content, at = step
            if content == position:
                return True
        return False

    def _packet_end(self, position: int, size: int) -> int:
        """Where the block or chunk ends that this packet lies in; -1 where its head is not found.

        Its length is read from the file, as a packet may have been unpacked or cut into parts.
        """
        if self._in_avi:
            step = _parse_avi_chunk(self._file, position - 8)
            return step[1] if step else position + size
        self._file.seek(max(0, position - MAX_HEADER))
        head = self._file.read(min(MAX_HEADER, position))
        sizes = [
            vint_value(head[-length:])
            for length in range(1, 9)
            if head[-length - 1 : -length] in BLOCK_IDS and vint_length(head[-length]) == length
        ]  # bytes of a long size may look like a head of their own
        return position + min(sizes, key=lambda length: abs(length - size)) if sizes else -1


def _parse_matroska_element(file: BinaryIO, at: int) -> tuple[int, int] | None:
    file.seek(at)
    head = file.read(MAX_HEADER)
    name = vint_length(head[0]) if head else 9
    if name > 4 or len(head) <= name:
        return None
    size = vint_length(head[name])
    if size > 8:
        return None
    content = at + name + size
    if head[:name] in MASTER_ELEMENTS:
        return content, content
    return content, content + vint_value(head[name : name + size])


def _parse_avi_chunk(file: BinaryIO, at: int) -> tuple[int, int] | None:
    file.seek(at)
    head = file.read(8)
    if len(head) < 8 or not head[:4].strip().isalnum():  # some names end in a space
        return None
    if head[:4] in LIST_IDS:
        return at + MAX_HEADER, at + MAX_HEADER
    size = int.from_bytes(head[4:], "little")
    return at + 8, at + 8 + size + size % 2


def is_truncated_avi(path: Path) -> bool:
    """Whether an AVI is shorter than its own head says, as a copy that was cut off is."""
    at, end = 0, path.stat().st_size
    with path.open("rb") as file:
        while at < end:
            file.seek(at)
            head = file.read(8)
            size = int.from_bytes(head[4:], "little")
            if head[:4] != b"RIFF" or not size:  # what never got its size tells nothing
                return False
            at += 8 + size
    return at > end
