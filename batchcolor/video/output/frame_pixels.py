"""Converts the frames of a film to the pixels of upright pictures."""

from __future__ import annotations

from typing import Any

import numpy as np
from av.video.frame import VideoFrame
from numpy.typing import NDArray

from batchcolor.video.color_conversion import to_deep_rgb, to_rgb
from batchcolor.video.frame_format import FrameFormat


def render_pixels(frame: VideoFrame, frame_format: FrameFormat) -> NDArray[Any]:
    """Returns a frame as RGB or RGBA `(height, width, channels)`, turned upright.

    The samples have 16 bits where those of the frame have more than 8.
    """
    if frame_format.bits > 8:
        pixels: NDArray[Any] = to_deep_rgb(frame, frame_format)
    else:
        rgb = "rgba" if frame_format.has_alpha else "rgb24"
        pixels = to_rgb(frame, frame_format, rgb).to_ndarray()
    return np.ascontiguousarray(np.rot90(pixels, frame_format.rotation // 90))
