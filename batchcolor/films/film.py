"""What a film is, as its file says: streams, size, colour, time. Nothing is decoded but a frame."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
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
from batchcolor.errors import LIMITS, PictureError

av.logging.set_level(None)  # what FFmpeg says goes through exceptions and notes, not the screen

UNREADABLE = (av.FFmpegError, OSError, ValueError, AttributeError, EOFError)
"""What PyAV raises on damaged files: not only errors of its own."""
LIMITED_RANGE, FULL_RANGE = 1, 2
"""AVCOL_RANGE_MPEG, AVCOL_RANGE_JPEG."""
MATRICES = {1: BT709, 5: BT601, 6: BT601, 9: BT2020, 10: BT2020}
"""ITU-T H.273 table 4: matrix coefficients that are known here."""
PROGRESSIVE = (0, 1)
"""AVFieldOrder: unknown, progressive."""
HD_WIDTH, HD_HEIGHT = 1280, 576
"""A film that names no matrix is taken for BT.709 from here on, as players do."""
HDR = {16: "PQ", 18: "HLG"}
DEEP_BITS = 10
AS_IT_IS = {"min_delay": "0", "default_delay": "0"}
"""What FFmpeg is told when it opens a file: a GIF's short durations are not changed."""
ENDLESS, ONCE = 0, -1
LAYOUTS = {(1, 1): "yuv420p", (1, 0): "yuv422p", (0, 0): "yuv444p"}
"""Chroma sizes that are written, as powers of two that divide the luma's width and height."""


@dataclass(frozen=True)
class Tags:
    """What the stream says of its colour, as numbers of ITU-T H.273 (`range` as FFmpeg's)."""

    range: int = 0
    matrix: int = 2
    primaries: int = 2
    transfer: int = 2


GIF_TAGS = Tags(range=FULL_RANGE, matrix=6)
"""RGB is taken apart at full range, so that nothing of its luma is lost."""


@dataclass(frozen=True)
class Film:
    """One film. `stream` is the index of the one that is coloured, of `time_base` ticks a unit.

    `pixel_format` has the chroma size of the source, planar, at 8 or 10 bits. `frames` is how
    many the file promises, `ends` the second at which it says that this stream does, `all_ends`
    at which the last of its tracks does; 0 where it does not say.
    `display` holds the nine numbers of the display matrix, empty where there is none.
    """

    path: Path
    stream: int
    width: int
    height: int
    pixel_format: str
    bits: int
    full_range: bool
    matrix: Matrix
    rate: Fraction
    time_base: Fraction
    frames: int = 0
    ends: float = 0.0
    all_ends: float = 0.0
    rotation: int = 0
    display: tuple[int, ...] = ()
    aspect: Fraction | None = None
    """Width of a sample over its height; None where the file does not say."""
    tags: Tags = Tags()
    rgb: bool = False
    """Whether its frames are RGB, and have to be converted."""
    alpha: bool = False
    """Whether its frames have transparency; `pixel_format` then has a fourth plane."""
    loop: int = ENDLESS
    """How often a GIF is played again; `ONCE` where it is not."""
    numbered: bool = False
    """Whether it is a folder of numbered pictures; then there are no streams, and no packets."""
    field_order: int = 0
    notes: tuple[str, ...] = ()
    left_out: tuple[int, ...] = ()
    """Tracks that the result's container cannot hold, and that carry no picture, sound or text."""

    @property
    def interlaced(self) -> bool:
        """Whether its frames hold two fields of different moments."""
        return self.field_order not in PROGRESSIVE

    @property
    def frame_bytes(self) -> int:
        """What a decoded frame takes."""
        samples = {"420": 1.5, "422": 2.0, "444": 3.0}[chroma_of(self.pixel_format)] + self.alpha
        return int(self.width * self.height * samples * (2 if self.bits > 8 else 1))


def chroma_of(pixel_format: str) -> str:
    """420, 422 or 444."""
    return pixel_format.removeprefix("yuv").removeprefix("a")[:3]


@contextmanager
def opened(path: Path) -> Iterator[InputContainer]:
    """A film's container, open for reading. Raises PictureError."""
    try:
        container = av.open(url_of(path), "r", options=AS_IT_IS, metadata_errors="replace")
    except UNREADABLE as error:
        raise PictureError("decode", f"cannot be read as a film: {words(error)}") from error
    with container:
        yield container


def url_of(path: Path) -> str:
    """The path as FFmpeg takes it: a name with a colon is no protocol."""
    return f"file:{path.absolute()}"


def words(error: BaseException) -> str:
    """An error of FFmpeg or Python on one line, without the path that the report has anyway."""
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return " ".join(text.split())


def inspect(path: Path, max_pixels: int) -> Film:
    """What the film at `path` is. Raises PictureError where there is nothing to colour."""
    with opened(path) as container:
        video = best_stream(container)
        size = video.codec_context.width * video.codec_context.height
        if size > max_pixels:
            raise PictureError(LIMITS, f"frames of {size:,} pixels are more than --max-pixels")
        return _film(path, container, video, _first_frame(container, video))


def best_stream(container: InputContainer) -> VideoStream:
    """The stream that is coloured: FFmpeg's choice among those that are no cover pictures."""
    moving = [s for s in container.streams.video if not s.disposition & Disposition.attached_pic]
    if not moving:
        covers = container.streams.video
        what = (
            "a cover picture but no film"
            if covers
            else "no moving picture, only " + _kinds(container.streams)
        )
        raise PictureError("decode", f"holds {what}")
    best = container.streams.best("video")
    return best if isinstance(best, VideoStream) and best in moving else moving[0]


def _kinds(streams: Iterable[Stream]) -> str:
    kinds = sorted({stream.type for stream in streams})
    return " and ".join(kinds) or "an empty container"


def _first_frame(container: InputContainer, video: VideoStream) -> VideoFrame:
    """The first frame that decodes, however damaged the packets before it are."""
    try:
        for packet in container.demux(video):
            try:
                for frame in packet.decode():
                    return frame
            except UNREADABLE:
                continue
    except UNREADABLE as error:
        raise PictureError("decode", f"not one frame can be read: {words(error)}") from error
    raise PictureError("decode", "not one frame can be read")


def _film(path: Path, container: InputContainer, video: VideoStream, frame: VideoFrame) -> Film:
    notes: list[str] = []
    gif = container.format.name == "gif"
    pixel_format, bits = ("yuva444p", 8) if gif else _layout(frame, notes)
    tags, matrix = (GIF_TAGS, BT601) if gif else _colour(frame)
    if frame.color_trc in HDR:
        notes.append(f"is HDR ({HDR[frame.color_trc]}): models know only standard brightness")
    field_order = video.codec_context.field_order
    if field_order in PROGRESSIVE and frame.interlaced_frame:
        field_order = 2  # the frame knows better than the stream; top field first is the rule
    if field_order not in PROGRESSIVE:
        notes.append("is interlaced, and stays so")
    others = [s for s in container.streams.video if s.index != video.index and not _cover(s)]
    if others:
        copied = ", ".join(str(stream.index) for stream in others)
        notes.append(
            f"has {1 + len(others)} video streams: {video.index} is coloured, {copied} copied"
        )
    return Film(
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
        frames=0 if container.format.name == "avi" else video.frames,  # it counts empty ones
        ends=_end(video),
        all_ends=((container.duration or 0) + max(0, container.start_time or 0)) / av.time_base,
        rotation=frame.rotation % 360,
        display=_display(frame),
        aspect=_aspect(video),
        tags=tags,
        rgb=frame.format.is_rgb,
        alpha=gif,
        loop=_loop_of(path) if gif else ENDLESS,
        field_order=field_order,
        notes=tuple(notes),
    )


def _colour(frame: VideoFrame) -> tuple[Tags, Matrix]:
    """The tags of the result, the source's own where they can be, and the matrix they mean."""
    hd = frame.width >= HD_WIDTH or frame.height > HD_HEIGHT
    usual = BT709 if hd else BT601
    name, span = frame.format.name, frame.color_range
    if name.startswith("yuvj") or (name.startswith(("gray", "ya")) and span == 0):
        span = FULL_RANGE  # FFmpeg's reading of these formats
    tags = Tags(span, frame.colorspace, frame.color_primaries, frame.color_trc)
    if frame.format.is_rgb or frame.format.has_palette:
        return replace(tags, range=LIMITED_RANGE, matrix=1 if hd else 6), usual
    return tags, MATRICES.get(frame.colorspace, usual)


def _aspect(video: VideoStream) -> Fraction | None:
    """Width of a sample over its height. Where the container says that it is no square, players
    believe that; where it says nothing, FFmpeg gives 1, and the codec knows better."""
    told = video.sample_aspect_ratio
    return told if told and told != 1 else video.codec_context.sample_aspect_ratio


def _loop_of(path: Path) -> int:
    """How often a GIF is played again; FFmpeg does not tell."""
    try:
        with Image.open(path) as image:
            return int(image.info.get("loop", ONCE))
    except Exception:  # Pillow may raise anything; FFmpeg has read a frame of it
        return ONCE


def _end(video: VideoStream) -> float:
    """The second at which a stream ends, by its header or by Matroska's tag of it."""
    if video.duration and video.time_base:
        return float((video.duration + (video.start_time or 0)) * video.time_base)
    try:
        hours, minutes, seconds = video.metadata.get("DURATION", "").split(":")
        return int(hours) * 3600 + int(minutes) * 60 + float(seconds)
    except ValueError:
        return 0.0


def _cover(stream: Stream) -> bool:
    return bool(stream.disposition & Disposition.attached_pic)


def _layout(frame: VideoFrame, notes: list[str]) -> tuple[str, int]:
    """The planar format with the source's chroma size and depth; the nearest one is noted."""
    form = frame.format
    bits = max(component.bits for component in form.components)
    if bits > DEEP_BITS:
        notes.append(f"{bits} bits become {DEEP_BITS}")
    planar = form.is_planar and not form.is_rgb and len(form.components) >= 3
    if planar:
        first, second = form.components[0], form.components[1]
        shift = (first.width > second.width, first.height > second.height)
        ratio = (round(first.width / second.width), round(first.height / second.height))
        exact = max(ratio) <= 2
        layout = LAYOUTS.get((int(shift[0]), int(shift[1])), "yuv420p")
    else:
        exact = len(form.components) <= 2 and not form.has_palette  # grey: chroma is new anyway
        layout = "yuv420p" if exact else "yuv444p"
    if not exact:
        notes.append(f"its pixels ({form.name}) are converted to {layout}")
    return (layout, 8) if bits <= 8 else (layout + "10le", DEEP_BITS)


def _display(frame: VideoFrame) -> tuple[int, ...]:
    side_data: Any = frame.side_data
    matrix = side_data.get(Type.DISPLAYMATRIX)
    return struct.unpack("=9i", bytes(matrix)[:36]) if matrix is not None else ()
