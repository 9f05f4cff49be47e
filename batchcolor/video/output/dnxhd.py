"""Profiles of DNxHD and DNxHR (SMPTE ST 2019-1) for a film.

DNxHR holds frames of any size, progressive only. Interlaced frames have the profiles of DNxHD for
1920 x 1080.
"""

from __future__ import annotations

from fractions import Fraction

from batchcolor.video.frame_format import FrameFormat

MIN_WIDTH, MIN_HEIGHT = 256, 120
"""Smallest frames of DNxHR."""
INTERLACED_SIZE = (1920, 1080)
PROFILES = {"yuv422p": "dnxhr_hq", "yuv422p10le": "dnxhr_hqx", "yuv444p10le": "dnxhr_444"}
"""Profiles of high quality, by pixel format."""
FAST_RATE = Fraction(29)
"""Frames per second from which the bit rate of interlaced DNxHD is the higher one."""


def can_encode_dnxhd(frame_format: FrameFormat, is_comparison: bool) -> bool:
    """Whether a profile holds frames of this size and field order."""
    width, height = frame_format.width, frame_format.height
    if frame_format.is_interlaced:
        return not is_comparison and (width, height) == INTERLACED_SIZE
    return width >= MIN_WIDTH and height >= MIN_HEIGHT


def is_interlaced_dnxhd(frame_format: FrameFormat, size: tuple[int, int]) -> bool:
    """Whether frames of `size` as written are encoded as interlaced DNxHD, else as DNxHR."""
    return frame_format.is_interlaced and size == INTERLACED_SIZE


def list_dnxhd_options(
    frame_format: FrameFormat, size: tuple[int, int], rate: Fraction
) -> dict[str, str]:
    """Returns the options of FFmpeg's encoder for a profile of high quality."""
    if is_interlaced_dnxhd(frame_format, size):
        return {"profile": "dnxhd", "b": "220M" if rate >= FAST_RATE else "185M"}
    return {"profile": PROFILES[frame_format.pixel_format]}
