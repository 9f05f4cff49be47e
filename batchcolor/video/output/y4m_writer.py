"""Writes an uncompressed film (YUV4MPEG2) to a pipe, as FFmpeg, VapourSynth and mpv read it.

Source: the yuv4mpeg(5) manual of mjpegtools, and FFmpeg's tags for more than 8 bits.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import BinaryIO

import numpy as np
from av.video.frame import VideoFrame

from batchcolor.video.frame_format import FieldOrder, FrameFormat
from batchcolor.video.planes import view_plane

FIELD_TAGS = {FieldOrder.TOP_FIRST: "It", FieldOrder.BOTTOM_FIRST: "Ib"}
RANGES = {1: "LIMITED", 2: "FULL"}
COMPUTED = ("W", "H", "C")
"""Tags that are those of the result."""


class Y4mWriter:
    """Writes frames of one format to `file`. `tags` are those of a source that is a pipe too.

    Raises OSError, BrokenPipeError where the reader has ended.
    """

    def __init__(
        self,
        file: BinaryIO,
        frame_format: FrameFormat,
        size: tuple[int, int],
        rate: Fraction,
        tags: Sequence[str] = (),
    ) -> None:
        self._file = file
        header = format_header(frame_format, size, rate, tags)
        file.write(header.encode("ascii", "replace"))

    def write(self, frame: VideoFrame) -> None:
        """Writes one frame: its planes without padding."""
        self._file.write(b"FRAME\n")
        for index in range(len(frame.planes)):
            self._file.write(np.ascontiguousarray(view_plane(frame, index)).data)


def format_header(
    frame_format: FrameFormat, size: tuple[int, int], rate: Fraction, tags: Sequence[str] = ()
) -> str:
    """Returns the header line. `size` is that of the frames as written.

    Of `tags`, those that are not the result's are kept, and the position of chroma.
    """
    chroma = _choose_chroma_tag(frame_format, tags)
    first = [f"W{size[0]}", f"H{size[1]}"]
    if tags:
        kept = [tag for tag in tags if tag[0] not in COMPUTED and not tag.startswith("XYSCSS")]
    else:
        aspect = frame_format.sample_aspect_ratio or Fraction(0)
        kept = [
            f"F{rate.numerator}:{rate.denominator}",
            FIELD_TAGS.get(frame_format.fields.order, "Ip"),
            f"A{aspect.numerator}:{aspect.denominator if aspect else 0}",
        ]
        if name := RANGES.get(frame_format.tags.range):
            kept.append(f"XCOLORRANGE={name}")
    return " ".join(["YUV4MPEG2", *first, *kept, f"C{chroma}"]) + "\n"


def _choose_chroma_tag(frame_format: FrameFormat, tags: Sequence[str]) -> str:
    """Returns 420jpeg, 422p10 and the like; 8-bit 4:2:0 with the position that `tags` state."""
    if frame_format.bits > 8:
        return f"{frame_format.chroma}p{frame_format.bits}"
    if frame_format.chroma != "420":
        return frame_format.chroma
    stated = [tag[1:] for tag in tags if tag.startswith("C420") and not tag.startswith("C420p1")]
    return stated[0] if stated else "420jpeg"
