"""The times of a film's frames, kept to the tick, also where they go back, repeat or are missing.

Encoders and containers want times that grow. So the encoder gets times that grow, its packets
get the true ones back, and their decoding times lie below everything that is still to come.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from av.video.frame import VideoFrame
from numpy.typing import NDArray

from batchcolor.video.source_info import DECODE_ERRORS, SourceInfo, open_container

MISSING_SECONDS = 0.25
"""A file that stops so much before the end that it promises is cut."""

Ticks = NDArray[np.int64]


@dataclass(frozen=True)
class PacketScan:
    """A film's packets, counted without decoding them. `ends` is the second to which its tracks
    really go."""

    packets: int = 0
    ends: float = 0.0

    def promised_end(self, film: SourceInfo, ends: float, missing: int) -> float:
        """The second to which the picture should last that ends at `ends`, with so many frames
        missing of those that the file promises.

        A stream's own end counts; that of the file only where all of its tracks stop before. Less
        than `MISSING_SECONDS` is no sign of a cut where no frame is missing: headers round.
        """
        cut = film.container_end - self.ends > MISSING_SECONDS
        promised = film.end or (film.container_end if cut else 0.0)
        return promised if missing or promised - ends > MISSING_SECONDS else ends


def scan_packets(film: SourceInfo) -> PacketScan:
    """A look at every packet of the film, for its time alone."""
    if film.is_image_sequence:
        return PacketScan(film.frames, film.end)
    packets, ends = 0, 0.0
    with open_container(film.path) as container:
        demuxed = container.demux()
        while True:
            try:
                packet = next(demuxed, None)
            except DECODE_ERRORS:
                break  # the decoder reports the damage
            if packet is None:
                break
            packets += packet.stream_index == film.stream and packet.size > 0
            if packet.pts is not None:
                end = (packet.pts + (packet.duration or 0)) * packet.time_base
                ends = max(ends, float(end))
    return PacketScan(packets, ends)


class Timeline:
    """Turns the times of frames into times for an encoder, and back."""

    def __init__(self, film: SourceInfo) -> None:
        self.film = film
        self.step = max(1, round(1 / (film.rate * film.time_base)))
        self.first: int | None = None
        """The earliest frame's tick."""
        self.end = 0
        """The tick at which the last frame shown so far ends."""
        self.encoder_pts: int | None = None
        """The time that the encoder got for the last frame."""
        self._last: int | None = None
        self._source: dict[int, tuple[int, int]] = {}

    @property
    def seconds(self) -> Fraction:
        """Where the last frame shown so far ends."""
        return self.end * self.film.time_base

    @property
    def last_duration(self) -> Fraction:
        """Seconds for which the last frame is shown."""
        return (self.end - (self._last or 0)) * self.film.time_base

    def assign_encoder_pts(self, frame: VideoFrame) -> None:
        """Give the frame the time that its encoder gets."""
        pts = frame.pts
        if pts is None:
            pts = 0 if self._last is None else self._last + self.step
        self._last = pts
        self.encoder_pts = pts if self.encoder_pts is None else max(pts, self.encoder_pts + 1)
        self._source[self.encoder_pts] = (pts, frame.duration or 0)
        self.first = pts if self.first is None else min(self.first, pts)
        self.end = max(self.end, pts + (frame.duration or self.step))
        frame.pts = self.encoder_pts

    def source_pts(self, encoder_pts: int) -> tuple[int, int]:
        """The true time and the duration of the frame whose encoder got this time."""
        pts, duration = self._source.pop(encoder_pts)
        return pts, duration or self.step

    def state(self) -> dict[str, int | None]:
        """What a later job has to know to go on."""
        return {
            "first": self.first,
            "end": self.end,
            "encoder_pts": self.encoder_pts,
            "last": self._last,
        }

    def restore(self, state: dict[str, int | None]) -> None:
        """Go on where `times` was taken."""
        self.first, self.end = state["first"], state["end"] or 0
        self.encoder_pts, self._last = state["encoder_pts"], state["last"]


def decoding_timestamps(shown: Ticks, given: Ticks) -> Ticks:
    """Decoding times for packets that are shown at `shown`, in the order of decoding.

    They grow, and none is after its own frame. Those that the encoder has given are good where
    times grow; where they go back or repeat, each lies below all frames that are still to come.
    """
    if (np.diff(given) > 0).all() and (given <= shown).all():
        return given
    places = np.arange(len(shown))
    lowest: Ticks = np.minimum.accumulate((shown - places)[::-1])[::-1] + places
    return lowest
