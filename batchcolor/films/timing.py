"""The times of a film's frames, kept to the tick, also where they go back, repeat or are missing.

Encoders and containers want times that grow. So the encoder is told times that grow, its packets
get the true ones back, and their decoding times lie below everything that is still to come.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from av.video.frame import VideoFrame
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
    really go; `floor` is for `Decoding`, None where times simply grow."""

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
    """Turns the times of frames into times for an encoder, and back."""

    def __init__(self, film: Film) -> None:
        self.film = film
        self.step = max(1, round(1 / (film.rate * film.time_base)))
        self.first: int | None = None
        """The earliest frame's tick."""
        self.end = 0
        """The tick at which the last frame shown so far ends."""
        self.told: int | None = None
        """What the encoder was told of the last frame."""
        self._last: int | None = None
        self._true: dict[int, tuple[int, int]] = {}

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
        self.told = pts if self.told is None else max(pts, self.told + 1)
        self._true[self.told] = (pts, frame.duration or 0)
        self.first = pts if self.first is None else min(self.first, pts)
        self.end = max(self.end, pts + (frame.duration or self.step))
        frame.pts = self.told

    def true(self, told: int) -> tuple[int, int]:
        """The true time and the duration of the frame whose encoder was told this time."""
        pts, duration = self._true.pop(told)
        return pts, duration or self.step

    def times(self) -> dict[str, int | None]:
        """What a later job has to know to go on."""
        return {"first": self.first, "end": self.end, "told": self.told, "last": self._last}

    def set_back(self, times: dict[str, int | None]) -> None:
        """Go on where `times` was taken."""
        self.first, self.end = times["first"], times["end"] or 0
        self.told, self._last = times["told"], times["last"]


class Decoding:
    """Decoding times for the packets of a whole film: growing, and never after their frame."""

    def __init__(self, floor: Ticks | None) -> None:
        self.floor = floor
        self.first: int | None = None
        self._last: int | None = None
        self._count = 0

    def of(self, given: int, pts: int) -> int:
        """That of the next packet, whose encoder gave this one."""
        if self.floor is not None:
            index = min(self._count, len(self.floor) - 1)
            given = int(self.floor[index]) + self._count - index
        decoding = min(given, pts)
        if self._last is not None:
            decoding = max(decoding, self._last + 1)
        if self.first is None:
            self.first = decoding
        self._count += 1
        self._last = decoding
        return decoding
