"""Marks by which a frame of a film is recognized when the film is decoded again."""

from __future__ import annotations

import zlib
from dataclasses import dataclass

from av.video.frame import VideoFrame

from batchcolor.video.planes import view_plane

ROW_STEP = 8
"""Every eighth row of luma is hashed: damage covers blocks of at least eight rows."""


@dataclass(frozen=True)
class FrameMark:
    """Timestamp and checksum of a decoded frame."""

    tick: int | None
    """In ticks of the stream's time base; None for a frame without a timestamp."""
    checksum: int
    """CRC-32 of rows of its luma."""


def mark_frame(frame: VideoFrame) -> FrameMark:
    """Returns the mark of a frame, which depends on its luma and its timestamp alone."""
    rows = view_plane(frame, 0)[::ROW_STEP]
    return FrameMark(frame.pts, zlib.crc32(rows.tobytes()))
