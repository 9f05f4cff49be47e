"""The times of a film's frames, kept to the tick, also where they go back, repeat or are missing.

Encoders and containers want times that grow. So the encoder is told times that grow, its packets
get the true ones back, and their decoding times lie below everything that is still to come.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from numpy.typing import NDArray

from batchcolor.films.film import UNREADABLE, Film, opened

REORDER = 16
"""Most frames by which a codec shows a frame later than it stores it (H.264, H.265: 16)."""

MISSING_SECONDS = 0.25
"""A file that stops so much before the end that it promises is cut."""

Ticks = NDArray[np.int64]


@dataclass(frozen=True)
class Survey:
    """A film's packets, counted without decoding them. `ends` is the second to which its tracks
    really go; `floor` is for `Timeline`, None where times simply grow."""

    packets: int = 0
    floor: Ticks | None = None
    ends: float = 0.0

    def promised_end(self, film: Film) -> float:
        """The second at which the picture should end; 0 where nothing is amiss, or known.

        A stream's own end counts; that of the file only where all of its tracks stop before.
        """
        cut = film.all_ends - self.ends > MISSING_SECONDS
        return film.ends or (film.all_ends if cut else 0.0)


def survey(film: Film) -> Survey:
    """A look at every packet of the film, for its time alone."""
    times: list[int] = []
    packets, ends = 0, 0.0
    with opened(film.path) as container:
        stream = container.streams[film.stream]
        try:
            for packet in container.demux():
                if packet.pts is None:
                    continue
                ends = max(ends, float((packet.pts + (packet.duration or 0)) * packet.time_base))
                if packet.stream_index == film.stream:
                    packets += 1
                    times.append(packet.pts)
        except UNREADABLE:
            pass  # the reader steps over what is damaged, and says so
        depth = REORDER if getattr(stream.codec_context, "reorder_depth", 0) else 0
    ticks = np.array(times, np.int64)
    return Survey(packets, None if _grows(ticks, depth) else _floor(ticks), ends)


def _grows(ticks: Ticks, depth: int) -> bool:
    """Whether the times are distinct, and out of order by no more than the codec's reordering."""
    order = np.argsort(ticks, kind="stable")
    moved = np.abs(order - np.arange(len(ticks))).max(initial=0)
    return bool(moved <= depth and (np.diff(ticks[order]) > 0).all())


def _floor(ticks: Ticks) -> Ticks:
    """For each place in the file a decoding time: growing, and below all times from there on."""
    places = np.arange(len(ticks))
    lowest = np.minimum.accumulate((ticks - places)[::-1])[::-1] + places
    before = lowest[:1] - np.arange(REORDER, 0, -1)
    return np.concatenate([before, lowest])


class Timeline:
    """Turns the times of frames into times for an encoder, and back in its packets."""

    def __init__(self, film: Film, survey: Survey) -> None:
        self.film = film
        self.step = max(1, round(1 / (film.rate * film.time_base)))
        self.floor = survey.floor
        self.first: int | None = None
        self.first_decoding: int | None = None
        self.end = 0
        """The tick at which the last frame shown so far ends."""
        self._true: dict[int, tuple[int, int]] = {}
        self._told: int | None = None
        self._last: int | None = None
        self._last_decoding: int | None = None
        self._written = 0

    @property
    def seconds(self) -> Fraction:
        """Where the last frame shown so far ends."""
        return self.end * self.film.time_base

    def tell(self, frame: VideoFrame) -> None:
        """Give the frame the time that its encoder is told."""
        pts = frame.pts
        if pts is None:
            pts = 0 if self._last is None else self._last + self.step
        self._last = pts
        told = pts if self._told is None else max(pts, self._told + 1)
        self._told = told
        self._true[told] = (pts, frame.duration or 0)
        self.first = pts if self.first is None else min(self.first, pts)
        self.end = max(self.end, pts + (frame.duration or self.step))
        frame.pts = told

    def restore(self, packet: Packet[VideoStream], until: int | None = None) -> None:
        """Give the packet the true time of its frame; `until` lengthens the film's last one."""
        told = packet.pts
        assert told is not None
        pts, duration = self._true.pop(told)
        decoding = self._decoding(packet.dts if packet.dts is not None else pts, pts)
        packet.pts, packet.dts = max(pts, decoding), decoding
        if until is not None and told == self._told:
            duration = max(duration, until - pts)
        packet.duration = duration or self.step

    def stretch(self, packet: Packet[VideoStream], until: int) -> None:
        """Let the last packet of the file, which may not be the last frame, last as long: MP4
        takes the film's length from it."""
        assert packet.dts is not None
        assert self.first_decoding is not None
        length = until - (self.first or 0) - (packet.dts - self.first_decoding)
        packet.duration = max(packet.duration or 0, length)

    def _decoding(self, given: int, pts: int) -> int:
        if self.floor is not None:
            index = min(self._written, len(self.floor) - 1)
            given = int(self.floor[index]) + self._written - index
        decoding = min(given, pts)
        if self._last_decoding is not None:
            decoding = max(decoding, self._last_decoding + 1)
        if self.first_decoding is None:
            self.first_decoding = decoding
        self._written += 1
        self._last_decoding = decoding
        return decoding
