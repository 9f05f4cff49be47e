"""Bytes of a file that FFmpeg's readers of Matroska, WebM and AVI step over in silence.

Where the head of a block is damaged they look for the next one that is whole and go on there, and
nobody is told that frames are lost. So the elements between two packets of a film are walked as
the standards lay them, one after the other: a walk that does not come out at the next packet has
met a hole (EBML is RFC 8794, Matroska RFC 9559, AVI Microsoft's RIFF).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from batchcolor.video.output.matroska import length_of, size_of

MASTERS = {b"\x18\x53\x80\x67", b"\x1f\x43\xb6\x75", b"\xa0"}
"""Elements of Matroska whose content is walked: segment, cluster, group of a block."""
BLOCKS = (b"\xa3", b"\xa1")
"""Those that hold a packet: a simple block, and a block of a group."""
LISTS = (b"RIFF", b"LIST")
NEAR = 64
"""Bytes between two packets among which there is no room for a lost one."""
HEAD = 12
"""Bytes of the longest head of an element or a chunk that is met here."""

Step = Callable[[BinaryIO, int], tuple[int, int] | None]
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
    """Follows the packets of one stream in the order of the file; see `before`."""

    def __init__(self, file: BinaryIO, *, in_avi: bool) -> None:
        self._file, self._in_avi = file, in_avi
        self._step: Step = _avi_step if in_avi else _matroska_step
        self._end = -1
        """Where the last packet ends, and the next element begins."""

    def before(self, position: int | None, size: int) -> bool:
        """Whether there is a hole between the last packet and this one, `size` bytes long."""
        if position is None or position < 0:
            return False
        end = self._end_of(position, size)
        hole = 0 <= self._end < position - NEAR and not self._leads_to(position)
        self._end = max(end, self._end)
        return hole

    def _leads_to(self, position: int) -> bool:
        """Whether elements follow each other from the last packet's end to this one."""
        at = self._end
        while at < position:
            step = self._step(self._file, at)
            if step is None:
                return False
            content, at = step
            if content == position:
                return True
        return False

    def _end_of(self, position: int, size: int) -> int:
        """Where the block or chunk ends that this packet lies in; -1 where its head is not found.

        Its length is read from the file, as a packet may have been unpacked or cut into parts.
        """
        if self._in_avi:
            step = _avi_step(self._file, position - 8)
            return step[1] if step else position + size
        self._file.seek(max(0, position - HEAD))
        head = self._file.read(min(HEAD, position))
        told = [
            size_of(head[-length:])
            for length in range(1, 9)
            if head[-length - 1 : -length] in BLOCKS and length_of(head[-length]) == length
        ]  # bytes of a long size may look like a head of their own
        return position + min(told, key=lambda length: abs(length - size)) if told else -1


def _matroska_step(file: BinaryIO, at: int) -> tuple[int, int] | None:
    file.seek(at)
    head = file.read(HEAD)
    name = length_of(head[0]) if head else 9
    if name > 4 or len(head) <= name:
        return None
    size = length_of(head[name])
    if size > 8:
        return None
    content = at + name + size
    if head[:name] in MASTERS:
        return content, content
    return content, content + size_of(head[name : name + size])


def _avi_step(file: BinaryIO, at: int) -> tuple[int, int] | None:
    file.seek(at)
    head = file.read(8)
    if len(head) < 8 or not head[:4].strip().isalnum():  # some names end in a space
        return None
    if head[:4] in LISTS:
        return at + HEAD, at + HEAD
    size = int.from_bytes(head[4:], "little")
    return at + 8, at + 8 + size + size % 2


def ends_early(path: Path) -> bool:
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
