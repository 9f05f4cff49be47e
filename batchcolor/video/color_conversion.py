"""Converts frames for display: RGB or JPEG planes, by their matrix and range."""

from __future__ import annotations

import numpy as np
from av.video.frame import VideoFrame
from numpy.typing import NDArray

from batchcolor.color import BT709, BT2020
from batchcolor.video.frame_format import FULL_RANGE, LIMITED_RANGE, FrameFormat
from batchcolor.video.planes import view_plane

COLOR_SPACES = {BT709.name: 1, BT2020.name: 9}
"""AVColorSpace of each matrix other than BT.601."""
BT601_SPACE = 5
STRIP_ROWS = 64
"""Rows that are converted at once."""


def to_rgb(frame: VideoFrame, frame_format: FrameFormat, pixel_format: str) -> VideoFrame:
    """Converts a frame to an RGB pixel format."""
    return _convert(frame, frame_format, pixel_format)


def to_deep_rgb(frame: VideoFrame, frame_format: FrameFormat) -> NDArray[np.uint16]:
    """Converts a frame of 4:4:4 with more than 8 bits to RGB `(height, width, 3)` of 16 bits.

    FFmpeg's conversion is not exact at 16 bits; here grey levels keep their values.
    """
    bits = frame_format.bits
    black, span, chroma_span = 0, (1 << bits) - 1, (1 << bits) - 1
    if not frame_format.is_full_range:
        black, span, chroma_span = (level << (bits - 8) for level in (16, 219, 224))
    y, cb, cr = (view_plane(frame, index) for index in range(3))
    rgb = np.empty((*y.shape, 3), np.uint16)
    for start in range(0, len(y), STRIP_ROWS):
        rows = slice(start, start + STRIP_ROWS)
        luma = (y[rows].astype(np.float64) - black) * (65535 / span)
        blue, red = (
            (plane[rows].astype(np.float64) - (128 << (bits - 8))) * (65535 / chroma_span)
            for plane in (cb, cr)
        )
        for channel, (from_cb, from_cr) in enumerate(frame_format.matrix.chroma_factors):
            values = luma + from_cb * blue + from_cr * red
            rgb[rows, :, channel] = np.clip(np.rint(values), 0, 65535)
    return rgb


def to_jpeg_planes(frame: VideoFrame, frame_format: FrameFormat) -> VideoFrame:
    """Converts a frame to the planes of a JPEG: 4:2:0, BT.601, full range (ITU-T T.871)."""
    return _convert(frame, frame_format, "yuvj420p")


def to_upright_rgb(frame: VideoFrame, frame_format: FrameFormat, width: int) -> NDArray[np.uint8]:
    """Returns a small upright picture of a frame, RGB `(height, width, 3)`.

    Applies the matrix and range of `frame_format`, which an untagged stream has as well, its
    rotation and its sample aspect ratio. High dynamic range is tone-mapped. `width` is the width
    after rotation.
    """
    aspect = float(frame_format.sample_aspect_ratio or 1)
    shown_width, shown_height = frame.width * aspect, float(frame.height)
    if frame_format.rotation % 180:
        height = max(2, round(shown_width * width / shown_height))
        size = (height, width)
    else:
        height = max(2, round(shown_height * width / shown_width))
        size = (width, height)
    high_range = frame_format.dynamic_range
    if high_range is None:
        small = _convert(frame, frame_format, "rgb24", size).to_ndarray()
    else:
        signals = _convert(frame, frame_format, "rgb48le", size).to_ndarray() / 65535
        small = np.rint(high_range.show(signals) * 255)
    return np.ascontiguousarray(np.rot90(small, frame_format.rotation // 90)).astype(
        np.uint8, copy=False
    )


def _convert(
    frame: VideoFrame,
    frame_format: FrameFormat,
    pixel_format: str,
    size: tuple[int, int] | None = None,
) -> VideoFrame:
    width, height = size or (frame.width, frame.height)
    converted = frame.reformat(
        width=width,
        height=height,
        format=pixel_format,
        src_colorspace=COLOR_SPACES.get(frame_format.matrix.name, BT601_SPACE),
        dst_colorspace=BT601_SPACE,
        src_color_range=FULL_RANGE if frame_format.is_full_range else LIMITED_RANGE,
        dst_color_range=FULL_RANGE,
    )
    converted.pts, converted.time_base = frame.pts, frame.time_base
    converted.duration = frame.duration
    return converted
