"""Field order of interlaced frames: read from decoded frames and set on frames to be encoded.

PyAV shows whether a frame is interlaced, but neither shows nor sets which field comes first.
FFmpeg's filters do, without touching the samples: `select` reads the flag, `setfield` writes it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from fractions import Fraction
from typing import Any

from av.error import FFmpegError
from av.filter import Graph
from av.video.frame import VideoFrame

from batchcolor.video.frame_format import FieldOrder, Fields

TICK = Fraction(1, 90000)
"""Time base of the filters. They do not read timestamps, but demand a time base."""


PROGRESSIVE_CODE = 1
"""AVFieldOrder: AV_FIELD_PROGRESSIVE."""
DISPLAY_ORDERS = {
    2: FieldOrder.TOP_FIRST,
    3: FieldOrder.BOTTOM_FIRST,
    4: FieldOrder.TOP_FIRST,
    5: FieldOrder.BOTTOM_FIRST,
}
"""AVFieldOrder: 2 and 3 store one field after the other, 4 and 5 line by line.

FFmpeg names 4 and 5 after another reading of QuickTime's 9 and 14, but its decoders, Apple's Core
Media ("spatial first line early" and "late") and Matroska (RFC 9559) agree with this one.
"""
FIELD_ORDER_CODES = {FieldOrder.TOP_FIRST: 2, FieldOrder.BOTTOM_FIRST: 3}
FIELD_ORDER_NAMES = {
    FieldOrder.TOP_FIRST: "top field first",
    FieldOrder.BOTTOM_FIRST: "bottom field first",
}
PROBE_FRAMES = 48
"""Frames whose field order is read before the film is coloured: pulldown repeats after five."""


def read_fields(stream_order: int, frames: Iterable[VideoFrame]) -> Fields:
    """Returns the field order of a film from its header (AVFieldOrder) and its first frames."""
    counts = Counter(map(read_field_order, frames))
    counts.pop(FieldOrder.PROGRESSIVE, None)
    if not counts:
        order = DISPLAY_ORDERS.get(stream_order, FieldOrder.PROGRESSIVE)
        return Fields(order, header_code=stream_order)
    order = counts.most_common(1)[0][0]
    # The header's own code is kept, unless the frames contradict it.
    agrees = DISPLAY_ORDERS.get(stream_order) is order
    code = stream_order if agrees else FIELD_ORDER_CODES[order]
    return Fields(order, is_flagged=True, is_mixed=len(counts) > 1, header_code=code)


def read_field_order(frame: VideoFrame) -> FieldOrder:
    """Returns the field order of a decoded frame, or of one that `set_field_order` returned."""
    if not frame.interlaced_frame:
        return FieldOrder.PROGRESSIVE
    is_top_first = _apply_filter(frame, "select", "eq(interlace_type,TOPFIRST)") is not None
    return FieldOrder.TOP_FIRST if is_top_first else FieldOrder.BOTTOM_FIRST


def set_field_order(frame: VideoFrame, order: FieldOrder) -> VideoFrame:
    """Returns a frame of that field order, with the same samples and timestamps, not copied."""
    marked = _apply_filter(frame, "setfield", order.value)
    assert marked is not None, "setfield returns one frame for each"
    marked.pts, marked.time_base, marked.duration = frame.pts, frame.time_base, frame.duration
    return marked


def copy_field_order(source: VideoFrame, target: VideoFrame) -> VideoFrame:
    """Returns `target` with the field order of `source`."""
    if not source.interlaced_frame:
        return target
    return set_field_order(target, read_field_order(source))


def _apply_filter(frame: VideoFrame, name: str, argument: str) -> VideoFrame | None:
    """Returns the frame after a filter, or None where the filter dropped it.

    The graph is made for each frame: it keeps nothing, and frames may change their size.
    """
    graph = Graph()
    source = graph.add_buffer(
        width=frame.width, height=frame.height, format=frame.format, time_base=TICK
    )
    step, sink = graph.add(name, argument), graph.add("buffersink")
    source.link_to(step)
    step.link_to(sink)
    graph.configure()
    source.push(frame)
    source.push(None)
    try:
        result: Any = sink.pull()
    except (FFmpegError, EOFError, BlockingIOError):
        return None
    assert isinstance(result, VideoFrame)
    return result
