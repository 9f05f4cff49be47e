"""Looking at a film before it is coloured: what its file says. Little is decoded."""

from __future__ import annotations

import itertools
import struct
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
from av.container import InputContainer
from av.sidedata.sidedata import Type
from av.stream import Disposition, Stream
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from PIL import Image

from batchcolor.color import BT601, BT709, BT2020, Matrix
from batchcolor.errors import LIMITS, ProcessingError
from batchcolor.video.input.corruption import is_truncated_avi
from batchcolor.video.source_info import (
    DECODE_ERRORS,
    FULL_RANGE,
    HD_HEIGHT,
    HD_WIDTH,
    HIGH_BIT_DEPTH,
    LIMITED_RANGE,
    LOOP_FOREVER,
    PLAY_ONCE,
    PROGRESSIVE,
    ColorTags,
    SourceInfo,
    format_av_error,
    open_container,
)

MATRICES = {1: BT709, 5: BT601, 6: BT601, 9: BT2020, 10: BT2020}
"""ITU-T H.273 table 4: matrix coefficients that are known here."""
HDR = {16: "PQ", 18: "HLG"}
HDR_SIDE_DATA = (Type.MASTERING_DISPLAY_METADATA, Type.CONTENT_LIGHT_LEVEL)
PTS_PROBE_FRAMES = 48
"""Frames of an AVI, which tells no times, whose guessed ones are looked at."""
CHROMA_LAYOUTS = {(1, 1): "yuv420p", (1, 0): "yuv422p", (0, 0): "yuv444p"}
"""Chroma sizes that are written, as powers of two that divide the luma's width and height."""
GIF_TAGS = ColorTags(range=FULL_RANGE, matrix=6)
"""RGB is taken apart at full range, so that nothing of its luma is lost."""


def probe(path: Path, max_pixels: int) -> SourceInfo:
    """What the film at `path` is. Raises ProcessingError where there is nothing to colour."""
    with open_container(path) as container:
        video = best_stream(container)
        size = video.codec_context.width * video.codec_context.height
        if size > max_pixels:
            raise ProcessingError(LIMITS, f"frames of {size:,} pixels are more than --max-pixels")
        return _source_info(path, container, video, _first_frame(container, video))


def best_stream(container: InputContainer) -> VideoStream:
    """The stream that is coloured: FFmpeg's choice among those that are no cover pictures."""
    moving = [s for s in container.streams.video if not s.disposition & Disposition.attached_pic]
    if not moving:
        covers = container.streams.video
        what = (
            "a cover picture but no film"
            if covers
            else "no moving picture, only " + _stream_types(container.streams)
        )
        raise ProcessingError("decode", f"holds {what}")
    best = container.streams.best("video")
    return best if isinstance(best, VideoStream) and best in moving else moving[0]


def _stream_types(streams: Iterable[Stream]) -> str:
    kinds = sorted({stream.type for stream in streams})
    return " and ".join(kinds) or "an empty container"


def _first_frame(container: InputContainer, video: VideoStream) -> VideoFrame:
    """The first frame that decodes, however damaged the packets before it are."""
    try:  # PyAV's calls alone
        for packet in container.demux(video):
            try:
                for frame in packet.decode():
                    return frame
            except DECODE_ERRORS:
                continue
    except DECODE_ERRORS as error:
        raise ProcessingError(
            "decode", f"not one frame can be read: {format_av_error(error)}"
        ) from error
    raise ProcessingError("decode", "not one frame can be read")


def _source_info(
    path: Path, container: InputContainer, video: VideoStream, frame: VideoFrame
) -> SourceInfo:
    notes: list[str] = []
    gif = container.format.name == "gif"
    pixel_format, bits = ("yuva444p", 8) if gif else _planar_format(frame, notes)
    tags, matrix = (GIF_TAGS, BT601) if gif else _color_tags(frame)
    notes += _lost_metadata(frame, video)
    field_order = video.codec_context.field_order
    if field_order in PROGRESSIVE and frame.interlaced_frame:
        field_order = 2  # the frame knows better than the stream; top field first is the rule
    if field_order not in PROGRESSIVE:
        notes.append("is interlaced, and stays so")
    others = [s for s in container.streams.video if s.index != video.index and not _is_cover(s)]
    if others:
        copied = ", ".join(str(stream.index) for stream in others)
        notes.append(
            f"has {1 + len(others)} video streams: {video.index} is coloured, {copied} copied"
        )
    return SourceInfo(
        path=path,
        stream=video.index,
        width=frame.width,
        height=frame.height,
        pixel_format=pixel_format,
        bits=bits,
        full_range=tags.range == FULL_RANGE,
        matrix=matrix,
        rate=video.guessed_rate or video.average_rate or Fraction(25),
        time_base=video.time_base or Fraction(1, 90000),
        frames=_promised_frames(container, video),
        end=_stream_end(path, container, video),
        container_end=((container.duration or 0) + max(0, container.start_time or 0))
        / av.time_base,
        rotation=frame.rotation % 360,
        display_matrix=_display_matrix(frame),
        sample_aspect_ratio=_sample_aspect_ratio(video),
        tags=tags,
        is_rgb=frame.format.is_rgb,
        has_alpha=gif,
        loop=_gif_loop_count(path) if gif else LOOP_FOREVER,
        field_order=field_order,
        has_estimated_pts=container.format.name == "avi"
        and _has_decreasing_pts(container, video, frame),
        notes=tuple(notes),
    )


def _lost_metadata(frame: VideoFrame, video: VideoStream) -> list[str]:
    """What of its picture the result will not have, in words."""
    notes, gif = [], video.codec_context.name == "gif"
    side_data: Any = frame.side_data
    if frame.color_trc in HDR:
        notes.append(f"is HDR ({HDR[frame.color_trc]}): models know only standard brightness")
    if any(side_data.get(kind) for kind in HDR_SIDE_DATA):
        notes.append("what it says of the screen it was made on (HDR metadata) is dropped")
    if not gif and (_has_alpha(frame) or video.metadata.get("alpha_mode") == "1"):
        notes.append("its transparency is dropped")
    return notes


def _promised_frames(container: InputContainer, video: VideoStream) -> int:
    """How many frames its header promises, without those that an edit list has taken out of its
    index; 0 where it does not say, as an AVI, which counts empty ones."""
    if container.format.name == "avi":
        return 0
    listed = len(video.index_entries) if "mp4" in container.format.name else 0
    return min(video.frames, listed) if listed else video.frames


def _has_decreasing_pts(container: InputContainer, video: VideoStream, first: VideoFrame) -> bool:
    """Whether the times of its first frames go back, in the order in which they are shown."""
    if video.codec_context.codec.intra_only:
        return False
    times = [first.pts]
    with suppress(*DECODE_ERRORS):  # the reader will say what is damaged
        times += [
            frame.pts for frame in itertools.islice(container.decode(video), PTS_PROBE_FRAMES)
        ]
    known = [time for time in times if time is not None]
    return any(later < earlier for earlier, later in itertools.pairwise(known))


def _color_tags(frame: VideoFrame) -> tuple[ColorTags, Matrix]:
    """The tags of the result, the source's own where they can be, and the matrix they mean."""
    hd = frame.width >= HD_WIDTH or frame.height > HD_HEIGHT
    usual = BT709 if hd else BT601
    name, span = frame.format.name, frame.color_range
    if name.startswith("yuvj") or (name.startswith(("gray", "ya")) and span == 0):
        span = FULL_RANGE  # FFmpeg's reading of these formats
    tags = ColorTags(span, frame.colorspace, frame.color_primaries, frame.color_trc)
    if frame.format.is_rgb or frame.format.has_palette:
        return replace(tags, range=LIMITED_RANGE, matrix=1 if hd else 6), usual
    return tags, MATRICES.get(frame.colorspace, usual)


def _sample_aspect_ratio(video: VideoStream) -> Fraction | None:
    """Width of a sample over its height. Where the container says that it is no square, players
    believe that; where it says nothing, FFmpeg gives 1, and the codec knows better."""
    stated = video.sample_aspect_ratio
    return stated if stated and stated != 1 else video.codec_context.sample_aspect_ratio


def _has_alpha(frame: VideoFrame) -> bool:
    return any(component.is_alpha for component in frame.format.components)


def _gif_loop_count(path: Path) -> int:
    """How often a GIF is played again; FFmpeg does not tell."""
    try:
        with Image.open(path) as image:
            return int(image.info.get("loop", PLAY_ONCE))
    except Exception:  # Pillow may raise anything; FFmpeg has read a frame of it
        return PLAY_ONCE


def _stream_end(path: Path, container: InputContainer, video: VideoStream) -> float:
    """The second at which a stream ends, by its header or by Matroska's tag of it."""
    if container.format.name == "avi" and is_truncated_avi(path):  # FFmpeg tells what is there
        return float(video.frames / (video.average_rate or 25))
    if video.duration and video.time_base:
        return float((video.duration + (video.start_time or 0)) * video.time_base)
    try:
        hours, minutes, seconds = video.metadata.get("DURATION", "").split(":")
        return int(hours) * 3600 + int(minutes) * 60 + float(seconds)
    except ValueError:
        return 0.0


def _is_cover(stream: Stream) -> bool:
    return bool(stream.disposition & Disposition.attached_pic)


def _planar_format(frame: VideoFrame, notes: list[str]) -> tuple[str, int]:
    """The planar format with the source's chroma size and depth; the nearest one is noted."""
    form = frame.format
    bits = max(component.bits for component in form.components)
    if bits > HIGH_BIT_DEPTH:
        notes.append(f"{bits} bits become {HIGH_BIT_DEPTH}")
    planar = form.is_planar and not form.is_rgb and len(form.components) >= 3
    if planar:
        first, second = form.components[0], form.components[1]
        shift = (first.width > second.width, first.height > second.height)
        ratio = (round(first.width / second.width), round(first.height / second.height))
        exact = max(ratio) <= 2
        layout = CHROMA_LAYOUTS.get((int(shift[0]), int(shift[1])), "yuv420p")
    else:
        exact = len(form.components) <= 2 and not form.has_palette  # grey: chroma is new anyway
        layout = "yuv420p" if exact else "yuv444p"
    if not exact:
        notes.append(f"its pixels ({form.name}) are converted to {layout}")
    return (layout, 8) if bits <= 8 else (layout + "10le", HIGH_BIT_DEPTH)


def _display_matrix(frame: VideoFrame) -> tuple[int, ...]:
    side_data: Any = frame.side_data
    matrix = side_data.get(Type.DISPLAYMATRIX)
    return struct.unpack("=9i", bytes(matrix)[:36]) if matrix is not None else ()
