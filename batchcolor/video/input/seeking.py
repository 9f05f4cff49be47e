"""Finds the place from which a film is decoded so that a time in it is shown intact."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TypeAlias

from av.container import InputContainer
from av.packet import Packet
from av.video.stream import VideoStream

from batchcolor.video.ffmpeg import DECODE_ERRORS, open_container

MARGINS = (0, 2, 10, 60)
"""Seconds before the wanted time. Formats without an index (MPEG) are searched by time: the packet
found is often behind the key frame that is needed."""
INDEXED = ("mov", "matroska", "avi")
"""Formats of FFmpeg that store the time of each packet."""
MAX_PACKETS = 600
"""Packets read from one place to find a key frame: 24 s of most films."""

KeyFrame: TypeAlias = tuple[int, int]
"""Timestamp in ticks, and size in bytes."""


def find_key_frame(path: Path, stream: int, tick: int) -> int | None:
    """Returns the tick to seek to, so that a key frame at or before `tick` follows.

    The key frame is decoded to check this. None where the film must be decoded from its beginning:
    seeking fails, or there is no usable key frame. Raises ProcessingError.
    """
    for margin in MARGINS:
        with open_container(path) as container:
            found = container.streams[stream]
            assert isinstance(found, VideoStream)
            assert found.time_base is not None
            place = tick - round(margin / found.time_base)
            try:
                container.seek(place, stream=found)
                key_frame = _find_intact_key_frame(container, found, tick)
                if key_frame is None:
                    continue
                if _has_index(container) or _is_demuxed(path, stream, key_frame):
                    return place
            except DECODE_ERRORS:
                continue
    return None


def skip_to_key_frame(packets: Iterator[Packet[VideoStream]]) -> Iterator[Packet[VideoStream]]:
    """Drops packets up to the first key frame, which cannot be decoded without earlier ones."""
    has_key_frame = False
    for packet in packets:
        has_key_frame |= packet.is_keyframe
        if has_key_frame or not packet.size:
            yield packet


def _find_intact_key_frame(
    container: InputContainer, stream: VideoStream, tick: int
) -> KeyFrame | None:
    """Returns the next key frame if it is not after `tick` and its frame is intact."""
    key_frame: KeyFrame | None = None
    for number, packet in enumerate(skip_to_key_frame(container.demux(stream))):
        if key_frame is None:
            if packet.pts is None or packet.pts > tick:
                return None
            key_frame = packet.pts, packet.size
        for frame in packet.decode():
            is_intact = frame.pts is not None and frame.pts <= tick and not frame.is_corrupt
            return key_frame if is_intact else None
        if number == MAX_PACKETS:
            return None
    return None


def _has_index(container: InputContainer) -> bool:
    return any(name in INDEXED for name in container.format.name.split(","))


def _is_demuxed(path: Path, stream: int, key_frame: KeyFrame) -> bool:
    """Whether the key frame has the same time if the file is demuxed from its beginning.

    FFmpeg estimates times of MPEG frames that have none, differently after seeking.
    """
    with open_container(path) as container:
        for packet in container.demux(container.streams[stream]):
            if (packet.pts, packet.size) == key_frame:
                return True
            if packet.dts is not None and packet.dts > key_frame[0]:
                return False
    return False
