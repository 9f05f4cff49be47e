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

GIF_END = 64
"""Bytes at the end of a GIF among which its trailer is; some programs fill up with zeros."""
MOST_FAULTS = 8
"""Faults of the container in a row after which nothing more is expected of it."""


class VideoDecoder:
    """Iterates over the frames of a film, each at its film's size and pixel format.

    The first `skip` ones are decoded, as those after them need them, but not given. After the last
    one, `count` is how many there were and `notes` says what was wrong. A packet that cannot be
    decoded costs its frame: as all others keep their time, the one before it is shown until the
    next one. With `strict` it raises ProcessingError instead. With `seconds` it ends so long after
    its beginning. With `hold` the one before a damaged place is given once more for each that is
    missing, for those who count frames and have no times.
    """

    def __init__(
        self,
        film: SourceInfo,
        *,
        strict: bool,
        skip: int = 0,
        seconds: float | None = None,
        hold: bool = False,
    ) -> None:
        self.film, self.strict, self.skip, self.seconds = film, strict, skip, seconds
        self.hold = hold
        self._last: tuple[VideoFrame, int] | None = None
        """With its time, as the frame itself is on its way already."""
        self._is_gap_near = False
        self._timed: int | None = None
        self._moved = 0
        self._begins: int | None = None
        self.count = 0
        self.damaged = 0
        self.hidden = 0
        """Frames that the file itself hides, by an edit list."""
        self.notes: list[str] = []
        self._first_fault: Fraction | None = None
        self._changed = False

    def __iter__(self) -> Iterator[VideoFrame]:
        with open_container(self.film.path) as container:
            stream = container.streams[self.film.stream]
            assert isinstance(stream, VideoStream)
            if stream.codec_context.name == "h264":
                # In slices at once FFmpeg's decoder neither mends damage nor says that it is there.
                stream.thread_type = "NONE"
            # Never threads across frames: after a fault they lose good frames that wait in them.
            for packet in self._packets(container, stream):
                for frame in self._decoded(packet):
                    if self._is_beyond(frame):
                        return
                    fit = self._fitted(frame)
                    for shown in (*self._held_before(fit), fit):
                        self.count += 1
                        if self.count > self.skip:
                            yield shown
        self._sum_up()

    @property
    def missing(self) -> int:
        """Frames that the file promises and does not give; 0 where a beginning was wanted."""
        if self.seconds is not None:
            return 0
        return max(0, self.film.frames - self.hidden - self.count)

    def _packets(
        self, container: InputContainer, stream: VideoStream
    ) -> Iterator[Packet[VideoStream]]:
        """Packets to the end; a fault of the container is stepped over where it lets us."""
        faults = 0
        with detect_corruption(self.film.path, container.format.name) as holes:
            while faults < MOST_FAULTS:
                try:
                    for packet in container.demux(stream):
                        faults = 0
                        self.hidden += packet.is_discard
                        if holes is not None and holes.before(packet.pos, packet.size):
                            self._fault(packet.pts, "bytes that make no sense")
                        yield packet
                    return
                except DECODE_ERRORS as error:
                    if not faults:
                        self._fault(None, format_av_error(error))
                    faults += 1

    def _decoded(self, packet: Packet[VideoStream]) -> list[VideoFrame]:
        try:
            frames = packet.decode()
        except DECODE_ERRORS as error:
            self._fault(packet.pts, format_av_error(error))
            return []
        good = [frame for frame in frames if isinstance(frame, VideoFrame)]
        for frame in good:
            if self.film.untimed:
                self._time(frame)
            if frame.is_corrupt:
                self._fault(frame.pts, "damaged data")
        return good

    def _time(self, frame: VideoFrame) -> None:
        """Frames are decoded in the order in which they are shown, so their times of decoding,
        moved to begin with the first one, are theirs; at the end none is told."""
        if self._timed is None:
            self._moved = (frame.pts or 0) - (frame.dts or 0)
        if frame.dts is not None:
            frame.pts = frame.dts + self._moved
        elif self._timed is not None:
            frame.pts = self._timed + round(1 / (self.film.rate * self.film.time_base))
        self._timed = frame.pts

    def _held_before(self, frame: VideoFrame) -> list[VideoFrame]:
        """Copies of the frame before this one, for those that a damaged place has cost."""
        last, pts = self._last, frame.pts
        if not self.hold or pts is None:
            return []
        self._last = (frame, pts)
        if last is None or not self._is_gap_near:
            return []
        step = 1 / (self.film.rate * self.film.time_base)
        missing = round((pts - last[1]) / step) - 1
        if missing < 1:
            return []  # not yet: frames are sorted by their time, so some come before the gap
        self._is_gap_near = False
        held = [copied(last[0]) for _ in range(missing)]
        for number, copy in enumerate(held, start=1):
            copy.pts = last[1] + round(number * step)
        return held

    def _fault(self, pts: int | None, reason: str) -> None:
        place = f" at {float(pts * self.film.time_base):.2f} s" if pts is not None else ""
        if self.strict:
            raise ProcessingError(LIMITS, f"damaged{place}: {reason} (--strict)")
        if not self.damaged:
            self._where = f"{place}: {reason}"
        self.damaged += 1
        self._is_gap_near = True

    def _is_beyond(self, frame: VideoFrame) -> bool:
        """Whether only a beginning is wanted, and the frame comes after it."""
        if self.seconds is None or frame.pts is None:
            return False
        if self._begins is None:
            self._begins = frame.pts
        return float((frame.pts - self._begins) * self.film.time_base) >= self.seconds

    def _fitted(self, frame: VideoFrame) -> VideoFrame:
        """The frame at the size and in the pixel format of the first one."""
        film = self.film
        if (frame.width, frame.height) != (film.width, film.height) and not self._changed:
            self._changed = True
            self.notes.append(
                f"its size changes to {frame.width} x {frame.height}: all is brought to that of "
                f"its beginning, {film.width} x {film.height}"
            )
        return fitted(frame, film)

    def _sum_up(self) -> None:
        """Say what was wrong. Raises ProcessingError where nothing could be decoded."""
        if not self.count:
            raise ProcessingError("decode", "not one frame can be read")
        if _is_cut_gif(self.film.path):
            self._fault(None, "its end is missing")
        if self.damaged:
            many = (
                "1 damaged place"
                if self.damaged == 1
                else f"{self.damaged} damaged places, the first"
            )
            self.notes.append(
                f"{many}{self._where}; what can be decoded is "
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
        file.seek(-min(GIF_END, path.stat().st_size), os.SEEK_END)
        return not file.read().rstrip(b"\0").endswith(b";")


def copied(frame: VideoFrame) -> VideoFrame:
    """Another frame with the same samples and times."""
    copy = VideoFrame(frame.width, frame.height, frame.format.name)
    for index in range(len(frame.planes)):
        plane_view(copy, index)[...] = plane_view(frame, index)
    copy.pts, copy.time_base, copy.duration = frame.pts, frame.time_base, frame.duration
    return copy


def fitted(frame: VideoFrame, film: SourceInfo) -> VideoFrame:
    """The frame in its film's size and pixel format, time and tags kept; itself where it fits."""
    if frame.format.name == film.pixel_format and (frame.width, frame.height) == (
        film.width,
        film.height,
    ):
        return frame
    span = FULL_RANGE if film.full_range else LIMITED_RANGE
    moved = frame.reformat(
        width=film.width,
        height=film.height,
        format=film.pixel_format,
        dst_colorspace=Colorspace.ITU709 if film.rgb and film.matrix == BT709 else None,
        src_color_range=FULL_RANGE if film.rgb else span,
        dst_color_range=span,
    )
    moved.pts, moved.time_base, moved.duration = frame.pts, frame.time_base, frame.duration
    return moved
