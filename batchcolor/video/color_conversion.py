"""Converts frames for display: RGB or JPEG planes, by the film's matrix and range."""

from __future__ import annotations

import numpy as np
from av.video.frame import VideoFrame
from numpy.typing import NDArray

from batchcolor.color import BT709, BT2020
from batchcolor.video.source_info import FULL_RANGE, LIMITED_RANGE, SourceInfo

COLOR_SPACES = {BT709.name: 1, BT2020.name: 9}
"""AVColorSpace of each matrix other than BT.601."""
BT601_SPACE = 5


def to_rgb(frame: VideoFrame, film: SourceInfo, pixel_format: str) -> VideoFrame:
    """Convert a frame to an RGB pixel format."""
    return _convert(frame, film, pixel_format)


def to_jpeg_planes(frame: VideoFrame, film: SourceInfo) -> VideoFrame:
    """Convert a frame to the planes of a JPEG: 4:2:0, BT.601, full range (ITU-T T.871)."""
    return _convert(frame, film, "yuvj420p")


def to_upright_rgb(frame: VideoFrame, film: SourceInfo, width: int) -> NDArray[np.uint8]:
    """A small upright picture of a frame, RGB `(height, width, 3)`.

    Uses the film's matrix and range, also where the stream is untagged, and applies its rotation
    and sample aspect ratio. `width` is the width after rotation.
    """
    aspect = float(film.sample_aspect_ratio or 1)
    shown_width, shown_height = frame.width * aspect, float(frame.height)
    if film.rotation % 180:
        height = max(2, round(shown_width * width / shown_height))
        size = (height, width)
    else:
        height = max(2, round(shown_height * width / shown_width))
        size = (width, height)
    small = _convert(frame, film, "rgb24", size).to_ndarray()
    return np.ascontiguousarray(np.rot90(small, film.rotation // 90)).astype(np.uint8, copy=False)


def _convert(
    frame: VideoFrame, film: SourceInfo, pixel_format: str, size: tuple[int, int] | None = None
) -> VideoFrame:
    width, height = size or (frame.width, frame.height)
    converted = frame.reformat(
        width=width,
        height=height,
        format=pixel_format,
        src_colorspace=COLOR_SPACES.get(film.matrix.name, BT601_SPACE),
        dst_colorspace=BT601_SPACE,
        src_color_range=FULL_RANGE if film.full_range else LIMITED_RANGE,
        dst_color_range=FULL_RANGE,
    )
    converted.pts, converted.time_base = frame.pts, frame.time_base
    converted.duration = frame.duration
    return converted
