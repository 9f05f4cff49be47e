"""A frame as what is shown of it: RGB, or the planes of a JPEG, by its film's matrix and range."""

from __future__ import annotations

from av.video.frame import VideoFrame

from batchcolor.color import BT709, BT2020
from batchcolor.video.source_info import FULL_RANGE, LIMITED_RANGE, SourceInfo

SPACES = {BT709.name: 1, BT2020.name: 9}
"""AVColorSpace of the matrices that are not BT.601."""
BT601_SPACE = 5


def to_rgb(frame: VideoFrame, film: SourceInfo, kind: str) -> VideoFrame:
    """The frame in an RGB pixel format."""
    return _converted(frame, film, kind)


def to_jpeg_planes(frame: VideoFrame, film: SourceInfo) -> VideoFrame:
    """The frame as a JPEG has it: 4:2:0, BT.601, full range (ITU-T T.871)."""
    return _converted(frame, film, "yuvj420p")


def _converted(frame: VideoFrame, film: SourceInfo, kind: str) -> VideoFrame:
    made = frame.reformat(
        format=kind,
        src_colorspace=SPACES.get(film.matrix.name, BT601_SPACE),
        dst_colorspace=BT601_SPACE,
        src_color_range=FULL_RANGE if film.full_range else LIMITED_RANGE,
        dst_color_range=FULL_RANGE,
    )
    made.pts, made.time_base, made.duration = frame.pts, frame.time_base, frame.duration
    return made
