"""Copies of decoded frames, and frames in another size, pixel format or range."""

from __future__ import annotations

from av.video.frame import VideoFrame
from av.video.reformatter import Colorspace

from batchcolor.color import BT709
from batchcolor.errors import ProcessingError
from batchcolor.video.ffmpeg import DECODE_ERRORS, format_av_error
from batchcolor.video.fields import copy_field_order
from batchcolor.video.frame_format import FULL_RANGE, LIMITED_RANGE, FrameFormat
from batchcolor.video.planes import view_plane

ALIGNMENT = 64
"""Bytes to which encoders expect rows to be aligned; cropped frames may not be."""


def copy_frame(frame: VideoFrame) -> VideoFrame:
    """Returns a copy of a frame with the same samples and timestamps."""
    copy = VideoFrame(frame.width, frame.height, frame.format.name)
    for index in range(len(frame.planes)):
        view_plane(copy, index)[...] = view_plane(frame, index)
    copy.pts, copy.time_base, copy.duration = frame.pts, frame.time_base, frame.duration
    return copy_field_order(frame, copy)


def fit_frame(
    frame: VideoFrame, frame_format: FrameFormat, *, is_rgb: bool, is_full_range: bool
) -> VideoFrame:
    """Converts a frame to a size, pixel format and range; returns it if it has them.

    Timestamps are kept. `is_rgb`: whether decoded frames are RGB, at full range; `is_full_range`:
    whether decoded YUV is. Raises ProcessingError.
    """
    size = (frame_format.width, frame_format.height)
    is_range_kept = is_rgb or is_full_range == frame_format.is_full_range
    is_format_kept = frame.format.name == frame_format.pixel_format and is_range_kept
    if is_format_kept and (frame.width, frame.height) == size:
        is_aligned = all(plane.buffer_ptr % ALIGNMENT == 0 for plane in frame.planes)
        return frame if is_aligned else copy_frame(frame)
    span = FULL_RANGE if frame_format.is_full_range else LIMITED_RANGE
    colorspace = Colorspace.ITU709 if is_rgb and frame_format.matrix == BT709 else None
    try:
        converted = frame.reformat(
            width=frame_format.width,
            height=frame_format.height,
            format=frame_format.pixel_format,
            dst_colorspace=colorspace,
            src_color_range=FULL_RANGE if is_rgb or is_full_range else LIMITED_RANGE,
            dst_color_range=span,
        )
    except DECODE_ERRORS as error:
        raise ProcessingError("decode", format_av_error(error)) from error
    converted.pts, converted.time_base = frame.pts, frame.time_base
    converted.duration = frame.duration
    return converted
