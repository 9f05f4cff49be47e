"""Reads the properties of a film before it is coloured. Only a few frames are decoded."""

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
from av.stream import Stream
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from batchcolor.color import BT601, Matrix
from batchcolor.errors import LIMITS, ProcessingError
from batchcolor.video.chroma_location import read_chroma_location
from batchcolor.video.ffmpeg import DECODE_ERRORS, format_av_error, is_cover, open_container
from batchcolor.video.fields import DISPLAY_ORDERS, FIELD_ORDER_NAMES, PROBE_FRAMES, read_fields
from batchcolor.video.frame_format import (
    BIT_DEPTHS,
    FULL_RANGE,
    LIMITED_RANGE,
    MATRICES,
    MATRIX_BT601,
    ColorTags,
    FieldOrder,
    Fields,
    FrameFormat,
    choose_default_matrix,
    name_pixel_format,
)
from batchcolor.video.frame_metadata import (
    list_lost_metadata,
    parse_group_timecode,
    read_hdr_metadata,
    read_timecode,
)
from batchcolor.video.gif_header import GifHeader, is_gif, read_gif_header
from batchcolor.video.hdr import HDR_NAMES
from batchcolor.video.input.corruption import is_truncated_avi
from batchcolor.video.input.gif_damage import GifInspector
from batchcolor.video.source_info import LOOP_FOREVER, SourceInfo
from batchcolor.video.supplemental_messages import list_supplemental_messages

PTS_PROBE_FRAMES = 48
"""Frames of an AVI whose estimated timestamps are checked; AVI stores none."""
CHROMA_LAYOUTS = {(2, 2): "420", (2, 1): "422", (1, 1): "444", (4, 1): "411"}
"""Chroma subsamplings, by the factors of width and height. 4:1:1, of DV, has 8 bits only."""
XYZ = "xyz"
"""CIE XYZ, as in digital cinema packages: converted as RGB."""
GIF_PIXEL_FORMAT = "yuva444p"
FRAME_BYTES_PER_PIXEL, GIF_BYTES_PER_PIXEL = 1.5, 4
"""Of frames in flight, at least: 4:2:0 with 8 bits, and `GIF_PIXEL_FORMAT`."""
GIF_TAGS = ColorTags(range=FULL_RANGE, matrix=MATRIX_BT601)
"""RGB is converted at full range, so that no luma level is lost."""


def probe(path: Path, max_pixels: int, max_frame_bytes: int | None = None) -> SourceInfo:
    """Reads the properties of a film. The size of its frames is checked before one is decoded.

    `max_frame_bytes` is the memory for one frame, or None for no limit. Raises ProcessingError if
    it has no video to colour.
    """
    gif = _read_gif_header(path)
    bytes_per_pixel = FRAME_BYTES_PER_PIXEL if gif is None else GIF_BYTES_PER_PIXEL
    limits = max_pixels, max_frame_bytes and int(max_frame_bytes / bytes_per_pixel)
    if gif is not None:
        check_frame_size(gif.width, gif.height, *limits)
    with open_container(path) as container:
        video = find_video_stream(container)
        coded = video.codec_context
        check_frame_size(coded.width, coded.height, *limits)
        frame = _decode_first_frame(container, video)
        check_frame_size(frame.width, frame.height, *limits)
        return _read_source_info(path, container, video, frame, gif)


def _read_gif_header(path: Path) -> GifHeader | None:
    """Returns the header of a GIF, or None for any other film."""
    try:
        return read_gif_header(path) if is_gif(path) else None
    except OSError as error:
        reason = f"cannot be read as a film: {format_av_error(error)}"
        raise ProcessingError("decode", reason) from error


def check_frame_size(width: int, height: int, max_pixels: int, memory_pixels: int | None) -> None:
    """Raises ProcessingError for frames that exceed --max-pixels or --max-memory."""
    size = f"frames of {width} x {height} pixels"
    if width * height > max_pixels:
        reason = f"{size} exceed --max-pixels {max_pixels:,}; raise the limit to colour it"
        raise ProcessingError(LIMITS, reason)
    if memory_pixels is not None and width * height > memory_pixels:
        raise ProcessingError(LIMITS, f"{size} need more memory than --max-memory allows")


def find_video_stream(container: InputContainer) -> VideoStream:
    """Returns the video stream to colour: FFmpeg's choice, cover pictures excluded.

    Raises ProcessingError if there is none.
    """
    candidates = [s for s in container.streams.video if not is_cover(s)]
    if not candidates:
        content = (
            "only a cover picture"
            if container.streams.video
            else "only " + _list_stream_types(container.streams)
        )
        raise ProcessingError("decode", f"has no video stream, {content}")
    best = container.streams.best("video")
    return best if isinstance(best, VideoStream) and best in candidates else candidates[0]


def _list_stream_types(streams: Iterable[Stream]) -> str:
    kinds = sorted({stream.type for stream in streams})
    return " and ".join(kinds) or "an empty container"


def _decode_first_frame(container: InputContainer, video: VideoStream) -> VideoFrame:
    """Decodes the first intact frame; damaged packets before it are skipped."""
    gif = GifInspector() if container.format.name == "gif" else None
    damage = ""
    try:  # PyAV's calls alone
        for packet in container.demux(video):
            if gif is not None and packet.size and not damage:
                damage = gif.find_damage(bytes(packet))
            try:
                for frame in packet.decode():
                    return frame
            except DECODE_ERRORS:
                continue
    except DECODE_ERRORS as error:
        raise ProcessingError(
            "decode", f"no frame can be decoded: {format_av_error(error)}"
        ) from error
    reason = "no frame can be decoded"
    raise ProcessingError("decode", f"{reason}: {damage}" if damage else reason)


def _read_source_info(
    path: Path,
    container: InputContainer,
    video: VideoStream,
    frame: VideoFrame,
    gif: GifHeader | None,
) -> SourceInfo:
    is_avi = container.format.name == "avi"
    notes: list[str] = []
    frame_format = read_frame_format(frame, video, notes, is_gif=gif is not None)
    notes += _note_dropped_metadata(path, frame, video)
    has_estimated_pts = is_avi and _has_decreasing_pts(container, video, frame)
    fields = _read_fields(container, video, frame)
    if fields.order is not FieldOrder.PROGRESSIVE:
        notes.append(f"interlaced, {FIELD_ORDER_NAMES[fields.order]}; written interlaced")
    others = [s for s in container.streams.video if s.index != video.index and not is_cover(s)]
    if others:
        rest = ", ".join(str(stream.index) for stream in others)
        notes.append(f"has {1 + len(others)} video streams: {video.index} is coloured, {rest} not")
    return SourceInfo(
        path=path,
        stream=video.index,
        frame_format=replace(frame_format, fields=fields),
        rate=video.guessed_rate or video.average_rate or Fraction(25),
        time_base=video.time_base or Fraction(1, 90000),
        frames=_read_frame_count(container, video),
        end=_read_stream_end(path, container, video),
        container_end=((container.duration or 0) + max(0, container.start_time or 0))
        / av.time_base,
        codec=video.codec_context.name,
        lossless_codec=_name_lossless_codec(video, frame),
        timecode=_read_timecode(path, video, frame),
        chroma_location=_read_chroma_location(video, frame_format),
        hdr=read_hdr_metadata(frame),
        is_rgb=frame.format.is_rgb,
        loop=LOOP_FOREVER if gif is None else gif.loop,
        has_estimated_pts=has_estimated_pts,
        notes=tuple(notes),
    )


def _name_lossless_codec(video: VideoStream, frame: VideoFrame) -> str:
    """Returns the name of a codec that is always lossless; empty for others, and for a palette."""
    codec = video.codec_context.codec
    is_lossless = codec.lossless and not codec.lossy and not frame.format.has_palette
    return video.codec_context.name if is_lossless and codec.name != "gif" else ""


def _read_chroma_location(video: VideoStream, frame_format: FrameFormat) -> str:
    """Returns the location of chroma samples, which only 4:2:0 leaves open."""
    if frame_format.chroma != "420":
        return ""
    context = video.codec_context
    return read_chroma_location(context.name, bytes(context.extradata or b""))


def read_frame_format(
    frame: VideoFrame, video: VideoStream, notes: list[str], *, is_gif: bool
) -> FrameFormat:
    """Returns the planar YUV format nearest to a decoded frame; conversions are noted."""
    tags, matrix = (GIF_TAGS, BT601) if is_gif else _read_color_tags(frame)
    return FrameFormat(
        width=frame.width,
        height=frame.height,
        pixel_format=GIF_PIXEL_FORMAT if is_gif else _choose_pixel_format(frame, notes),
        matrix=matrix,
        tags=tags,
        rotation=frame.rotation % 360,
        display_matrix=_read_display_matrix(frame),
        sample_aspect_ratio=_read_sample_aspect_ratio(video),
    )


def _note_dropped_metadata(path: Path, frame: VideoFrame, video: VideoStream) -> list[str]:
    """Returns notes about properties of the frames that the result does not have."""
    notes, is_gif = [], video.codec_context.name == "gif"
    if name := HDR_NAMES.get(frame.color_trc):
        notes.append(f"HDR ({name}): tone-mapped for the model, written as HDR")
    if lost := dict.fromkeys([*list_lost_metadata(frame), *_list_messages(path, video)]):
        notes.append(f"{', '.join(lost)} dropped")
    if not is_gif and (_has_alpha(frame) or video.metadata.get("alpha_mode") == "1"):
        notes.append("transparency dropped")
    return notes


def _list_messages(path: Path, video: VideoStream) -> list[str]:
    """Returns the names of messages of H.264 and H.265 that no result has."""
    context = video.codec_context
    if context.name not in ("h264", "hevc"):
        return []
    packet = _read_first_packet(path, video)
    return list_supplemental_messages(context.name, bytes(context.extradata or b""), packet)


def _read_frame_count(container: InputContainer, video: VideoStream) -> int:
    """Returns the number of frames according to the header; 0 if unknown.

    Frames that an edit list has removed from FFmpeg's index of an MP4 do not count. The count of an
    AVI is not used, because it includes empty packets.
    """
    if container.format.name == "avi":
        return 0
    listed = len(video.index_entries) if "mp4" in container.format.name else 0
    return min(video.frames, listed) if listed else video.frames


def _read_fields(container: InputContainer, video: VideoStream, first: VideoFrame) -> Fields:
    """Returns the field order; only interlaced films are decoded further than their first frame."""
    stream_order = video.codec_context.field_order
    if not first.interlaced_frame and stream_order not in DISPLAY_ORDERS:
        return Fields(header_code=stream_order)
    frames = [first]
    with suppress(*DECODE_ERRORS):  # the decoder reports damage later
        frames += itertools.islice(container.decode(video), PROBE_FRAMES - 1)
    return read_fields(stream_order, frames)


def _read_timecode(path: Path, video: VideoStream, frame: VideoFrame) -> str:
    """Returns the timecode of the first frame, of MPEG that of its group; empty without one."""
    if video.codec_context.name not in ("mpeg1video", "mpeg2video"):
        return read_timecode(frame)
    return parse_group_timecode(_read_first_packet(path, video))


def _read_first_packet(path: Path, video: VideoStream) -> bytes:
    """Returns the first packet of a stream; empty where none can be read."""
    with open_container(path) as container, suppress(*DECODE_ERRORS):
        return bytes(next(container.demux(container.streams[video.index])))
    return b""


def _has_decreasing_pts(container: InputContainer, video: VideoStream, first: VideoFrame) -> bool:
    """Whether the timestamps of the first frames, in display order, decrease."""
    if video.codec_context.codec.intra_only:
        return False
    times = [first.pts]
    with suppress(*DECODE_ERRORS):  # the decoder reports damage later
        times += [
            frame.pts for frame in itertools.islice(container.decode(video), PTS_PROBE_FRAMES)
        ]
    known = [time for time in times if time is not None]
    return any(later < earlier for earlier, later in itertools.pairwise(known))


def _read_color_tags(frame: VideoFrame) -> tuple[ColorTags, Matrix]:
    """Returns the tags of the result, those of the source if possible, and their matrix."""
    usual, usual_tag = choose_default_matrix(frame.width, frame.height)
    name, span = frame.format.name, frame.color_range
    if name.startswith("yuvj") or (name.startswith(("gray", "ya")) and span == 0):
        span = FULL_RANGE  # as FFmpeg interprets these formats
    tags = ColorTags(span, frame.colorspace, frame.color_primaries, frame.color_trc)
    if frame.format.is_rgb or frame.format.has_palette:
        return replace(tags, range=LIMITED_RANGE, matrix=usual_tag), usual
    return tags, MATRICES.get(frame.colorspace, usual)


def _read_sample_aspect_ratio(video: VideoStream) -> Fraction | None:
    """Returns the container's sample aspect ratio, as players do, or that of the codec if it is 1.

    FFmpeg reports 1 for some containers that have none.
    """
    stated = video.sample_aspect_ratio
    if stated and stated != 1:
        return stated
    return video.codec_context.sample_aspect_ratio or stated


def _has_alpha(frame: VideoFrame) -> bool:
    return any(component.is_alpha for component in frame.format.components)


def _read_stream_end(path: Path, container: InputContainer, video: VideoStream) -> float:
    """Returns the second at which a stream ends, from its header or Matroska's DURATION tag."""
    if container.format.name == "avi" and is_truncated_avi(path):
        # FFmpeg's duration is that of the rest that exists.
        return float(video.frames / (video.average_rate or 25))
    if video.duration and video.time_base:
        return float((video.duration + (video.start_time or 0)) * video.time_base)
    try:
        hours, minutes, seconds = video.metadata.get("DURATION", "").split(":")
        return int(hours) * 3600 + int(minutes) * 60 + float(seconds)
    except ValueError:
        return 0.0


def _choose_pixel_format(frame: VideoFrame, notes: list[str]) -> str:
    """Returns the planar YUV format nearest to the decoded frames."""
    decoded = frame.format
    bits = max(component.bits for component in decoded.components)
    is_yuv = not (decoded.is_rgb or decoded.has_palette or decoded.name.startswith(XYZ))
    if is_yuv and len(decoded.components) >= 3:
        luma, chroma = decoded.components[:2]
        factors = _compute_chroma_factors(luma, chroma)
        is_exact = factors in CHROMA_LAYOUTS
        layout = CHROMA_LAYOUTS.get(factors, "422" if factors[1] == 1 else "420")
    else:
        # Grey frames keep their luma, and their chroma is new anyway.
        is_exact = len(decoded.components) <= 2 and not decoded.has_palette
        layout = "420" if is_exact else "444"
    name = name_pixel_format(layout, min(depth for depth in BIT_DEPTHS if depth >= min(bits, 16)))
    if not is_exact:
        notes.append(f"its pixels ({decoded.name}) are converted to {name}")
    return name


def _compute_chroma_factors(luma: Any, chroma: Any) -> tuple[int, int]:
    """Returns how many luma samples share a chroma sample; sizes of few samples are rounded up."""
    horizontal = 1 if luma.width == chroma.width else max(2, round(luma.width / chroma.width))
    vertical = 1 if luma.height == chroma.height else max(2, round(luma.height / chroma.height))
    return horizontal, vertical


def _read_display_matrix(frame: VideoFrame) -> tuple[int, ...]:
    side_data: Any = frame.side_data
    matrix = side_data.get(Type.DISPLAYMATRIX)
    return struct.unpack("=9i", bytes(matrix)[:36]) if matrix is not None else ()
