"""Frames of a film in the order in which they are shown, whatever some of its packets are."""

from __future__ import annotations

import os
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

from av.container import InputContainer
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.reformatter import Colorspace
from av.video.stream import VideoStream

from batchcolor.color import BT709
from batchcolor.errors import LIMITS, ProcessingError
from batchcolor.video.input.corruption import detect_corruption
from batchcolor.video.planes import plane_view
from batchcolor.video.source_info import (
    DECODE_ERRORS,
    FULL_RANGE,
    LIMITED_RANGE,
    SourceInfo,
    format_av_error,
    open_container,
)

GIF_TRAILER_WINDOW = 64
"""Bytes at the end of a GIF among which its trailer is; some programs fill up with zeros."""
MAX_DEMUX_ERRORS = 8
"""Faults of the container in a row after which nothing more is expected of it."""


class VideoDecoder:
    """Iterates over the frames of a film, each at the film's size and pixel format.

    The first `skip` frames are decoded, because later frames depend on them, but not yielded.
    After the last frame, `count` is the number of frames and `notes` lists the faults. A packet
    that cannot be decoded loses its frame; all other frames keep their times, so the previous one
    is shown longer. `strict` raises ProcessingError instead. `seconds` limits the length.
    `repeat_last_frame` yields the frame before a damaged position once for each missing frame, for
    outputs without timestamps.
    """

    def __init__(
        self,
        film: SourceInfo,
        *,
        strict: bool,
        skip: int = 0,
        seconds: float | None = None,
        repeat_last_frame: bool = False,
    ) -> None:
        self.film, self.strict, self.skip, self.seconds = film, strict, skip, seconds
        self.repeat_last_frame = repeat_last_frame
        self._last: tuple[VideoFrame, int] | None = None
        """With its time, as the frame itself may have been changed already."""
        self._is_gap_near = False
        self._last_pts: int | None = None
        self._pts_offset = 0
        self._first_pts: int | None = None
        self.count = 0
        self.damaged = 0
        self.discarded = 0
        """Frames that the file itself hides, by an edit list."""
        self.notes: list[str] = []
        self._first_damage: Fraction | None = None
        self._is_size_change_noted = False

    def __iter__(self) -> Iterator[VideoFrame]:
        with open_container(self.film.path) as container:
            stream = container.streams[self.film.stream]
            assert isinstance(stream, VideoStream)
            if stream.codec_context.name == "h264":
                # In slices at once FFmpeg's decoder neither mends damage nor says that it is there.
                stream.thread_type = "NONE"
            # Never threads across frames: after a fault they lose good frames that wait in them.
            for packet in self._demux(container, stream):
                for frame in self._decode(packet):
                    if self._is_past_preview(frame):
                        return
                    fit = self._fit(frame)
                    for shown in (*self._repeated_before(fit), fit):
                        self.count += 1
                        if self.count > self.skip:
                            yield shown
        self._finish()

    @property
    def missing(self) -> int:
        """Frames that the file promises and does not give; 0 where a beginning was wanted."""
        if self.seconds is not None:
            return 0
        return max(0, self.film.frames - self.discarded - self.count)

    def _demux(
        self, container: InputContainer, stream: VideoStream
    ) -> Iterator[Packet[VideoStream]]:
        """Packets to the end of the file; demuxing continues after an error of the container."""
        errors = 0
        packets = container.demux(stream)
        with detect_corruption(self.film.path, container.format.name) as detector:
            while errors < MAX_DEMUX_ERRORS:
                try:
                    packet = next(packets, None)
                except DECODE_ERRORS as error:
                    if not errors:
                        self._report_damage(None, format_av_error(error))
                    errors += 1
                    packets = container.demux(stream)  # an error ends the generator
                    continue
                if packet is None:
                    return
                errors = 0
                self.discarded += packet.is_discard
                if detector is not None and detector.has_gap_before(packet.pos, packet.size):
                    self._report_damage(packet.pts, "bytes that make no sense")
                yield packet

    def _decode(self, packet: Packet[VideoStream]) -> list[VideoFrame]:
        try:
            frames = packet.decode()
        except DECODE_ERRORS as error:
            self._report_damage(packet.pts, format_av_error(error))
            return []
        good = [frame for frame in frames if isinstance(frame, VideoFrame)]
        for frame in good:
            if self.film.has_estimated_pts:
                self._estimate_pts(frame)
            if frame.is_corrupt:
                self._report_damage(frame.pts, "damaged data")
        return good

    def _estimate_pts(self, frame: VideoFrame) -> None:
        """Frames are decoded in the order in which they are shown, so their times of decoding,
        moved to begin with the first one, are theirs; at the end there is none."""
        if self._last_pts is None:
            self._pts_offset = (frame.pts or 0) - (frame.dts or 0)
        if frame.dts is not None:
            frame.pts = frame.dts + self._pts_offset
        elif self._last_pts is not None:
            frame.pts = self._last_pts + round(1 / (self.film.rate * self.film.time_base))
        self._last_pts = frame.pts

    def _repeated_before(self, frame: VideoFrame) -> list[VideoFrame]:
        """Copies of the frame before this one, for those that a damaged place has cost."""
        last, pts = self._last, frame.pts
        if not self.repeat_last_frame or pts is None:
            return []
        self._last = (frame, pts)
        if last is None or not self._is_gap_near:
            return []
        step = 1 / (self.film.rate * self.film.time_base)
        missing = round((pts - last[1]) / step) - 1
        if missing < 1:
            return []  # not yet: frames are sorted by their time, so some come before the gap
        self._is_gap_near = False
        repeated = [copy_frame(last[0]) for _ in range(missing)]
        for number, copy in enumerate(repeated, start=1):
            copy.pts = last[1] + round(number * step)
        return repeated

    def _report_damage(self, pts: int | None, reason: str) -> None:
        place = f" at {float(pts * self.film.time_base):.2f} s" if pts is not None else ""
        if self.strict:
            raise ProcessingError(LIMITS, f"damaged{place}: {reason} (--strict)")
        if not self.damaged:
            self._first_damage_text = f"{place}: {reason}"
        self.damaged += 1
        self._is_gap_near = True

    def _is_past_preview(self, frame: VideoFrame) -> bool:
        """Whether only a beginning is wanted, and the frame comes after it."""
        if self.seconds is None or frame.pts is None:
            return False
        if self._first_pts is None:
            self._first_pts = frame.pts
        return float((frame.pts - self._first_pts) * self.film.time_base) >= self.seconds

    def _fit(self, frame: VideoFrame) -> VideoFrame:
        """The frame at the size and in the pixel format of the first one."""
        film = self.film
        if (frame.width, frame.height) != (
            film.width,
            film.height,
        ) and not self._is_size_change_noted:
            self._is_size_change_noted = True
            self.notes.append(
                f"its size changes to {frame.width} x {frame.height}: all is brought to that of "
                f"its beginning, {film.width} x {film.height}"
            )
        return fit_frame(frame, film)

    def _finish(self) -> None:
        """Say what was wrong. Raises ProcessingError where nothing could be decoded."""
        if not self.count:
            raise ProcessingError("decode", "not one frame can be read")
        if _is_cut_gif(self.film.path):
            self._report_damage(None, "its end is missing")
        if self.damaged:
            many = (
                "1 damaged place"
                if self.damaged == 1
                else f"{self.damaged} damaged places, the first"
            )
            self.notes.append(
                f"{many}{self._first_damage_text}; what can be decoded is "
                f"there, at its time, and the last good frame is held where one is missing"
            )
        if self.missing:
            text = f"{self.missing} of {self.film.frames} frames that it promises cannot be read"
            if self.strict:
                raise ProcessingError(LIMITS, f"{text} (--strict)")
            self.notes.append(text)


def _is_cut_gif(path: Path) -> bool:
    """Whether it is a GIF that lacks its trailer: a GIF does not promise a number of frames."""
    with path.open("rb") as file:
        if file.read(4) != b"GIF8":
            return False
        file.seek(-min(GIF_TRAILER_WINDOW, path.stat().st_size), os.SEEK_END)
        return not file.read().rstrip(b"\0").endswith(b";")


def copy_frame(frame: VideoFrame) -> VideoFrame:
    """Another frame with the same samples and times."""
    copy = VideoFrame(frame.width, frame.height, frame.format.name)
    for index in range(len(frame.planes)):
        plane_view(copy, index)[...] = plane_view(frame, index)
    copy.pts, copy.time_base, copy.duration = frame.pts, frame.time_base, frame.duration
    return copy


def fit_frame(frame: VideoFrame, film: SourceInfo) -> VideoFrame:
    """The frame in its film's size and pixel format, time and tags kept; itself where it fits."""
    if frame.format.name == film.pixel_format and (frame.width, frame.height) == (
        film.width,
        film.height,
    ):
        return frame
    span = FULL_RANGE if film.full_range else LIMITED_RANGE
    colorspace = Colorspace.ITU709 if film.is_rgb and film.matrix == BT709 else None
    try:
        converted = frame.reformat(
            width=film.width,
            height=film.height,
            format=film.pixel_format,
            dst_colorspace=colorspace,
            src_color_range=FULL_RANGE if film.is_rgb else span,
            dst_color_range=span,
        )
    except DECODE_ERRORS as error:
        raise ProcessingError("decode", format_av_error(error)) from error
    converted.pts, converted.time_base = frame.pts, frame.time_base
    converted.duration = frame.duration
    return converted
