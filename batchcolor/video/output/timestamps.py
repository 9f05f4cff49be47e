"""Timestamps of a film: exact to one tick, also where they decrease, repeat or are missing.

Encoders and containers need increasing timestamps. The encoder receives increasing ones, its
packets get the source's timestamps back, and decoding timestamps are chosen so that none is later
than the presentation of any following packet.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from av.video.frame import VideoFrame
from numpy.typing import NDArray

from batchcolor.video.ffmpeg import DECODE_ERRORS, open_container
from batchcolor.video.source_info import SourceInfo

MIN_MISSING_SECONDS = 0.25
"""A film is truncated if it stops by more than this before the end in its header."""

MAX_JITTER = 0.1
"""Largest deviation of a frame's time from a constant rate, in frame durations."""

Ticks = NDArray[np.int64]


@dataclass(frozen=True)
class PacketScan:
    """Result of demuxing all packets without decoding."""

    packets: int = 0
    """Packets of the coloured stream."""
    discarded: int = 0
    """Of these, those that an edit list hides."""
    end: float = 0.0
    """Second at which the last packet of any stream ends."""
    has_constant_rate: bool = True
    """Whether its frames are multiples of the frame duration apart."""

    def compute_expected_end(self, source: SourceInfo, end: float, missing: int) -> float:
        """Returns the second up to which the last frame is shown: `end`, or later if truncated.

        `end` is the end of the last decoded frame, `missing` the number of frames in the header
        that were not decoded. The header's end of the stream counts; that of the container only if
        all streams stop before it. As headers round, a difference up to `MIN_MISSING_SECONDS`
        counts only if frames are missing.
        """
        is_truncated = source.container_end - self.end > MIN_MISSING_SECONDS
        expected = source.end or (source.container_end if is_truncated else 0.0)
        return expected if missing or expected - end > MIN_MISSING_SECONDS else end


def scan_packets(source: SourceInfo) -> PacketScan:
    """Demuxes all packets and returns their number and end. Raises ProcessingError."""
    if not source.has_packets:
        return PacketScan(source.frames, end=source.end)
    packets, discarded, last_end = 0, 0, 0.0
    times: list[int] = []
    with open_container(source.path) as container:
        demuxed = container.demux()
        while True:
            try:
                packet = next(demuxed, None)
            except DECODE_ERRORS:
                break  # the decoder reports the damage
            if packet is None:
                break
            if packet.stream_index == source.stream:
                packets += packet.size > 0
                discarded += packet.is_discard
            if packet.pts is not None:
                end = (packet.pts + (packet.duration or 0)) * packet.time_base
                last_end = max(last_end, float(end))
                if packet.stream_index == source.stream and packet.size:
                    times.append(packet.pts)
    step = 1 / (source.rate * source.time_base)
    return PacketScan(packets, discarded, last_end, _have_constant_rate(times, float(step)))


def _have_constant_rate(times: list[int], step: float) -> bool:
    """Whether times in ticks are different multiples of `step` apart, as far as ticks allow."""
    places = (np.sort(np.array(times, np.float64)) - min(times, default=0)) / step
    numbers = np.round(places)
    tolerance = max(MAX_JITTER, 1 / step)
    return bool((np.abs(places - numbers) <= tolerance).all() and (np.diff(numbers) > 0).all())


class Timeline:
    """Maps the timestamps of a film's frames to increasing ones for an encoder, and back."""

    def __init__(self, source: SourceInfo) -> None:
        self.time_base = source.time_base
        self.step = max(1, round(1 / (source.rate * source.time_base)))
        """Ticks per frame."""
        self.first: int | None = None
        """Tick of the earliest frame."""
        self.end = 0
        """Tick at which the latest frame ends."""
        self.encoder_pts: int | None = None
        """Timestamp that the encoder received for the last frame."""
        self._last: int | None = None
        self._source: dict[int, tuple[int, int]] = {}

    @property
    def seconds(self) -> Fraction:
        """Second at which the latest frame ends."""
        return self.end * self.time_base

    @property
    def last_duration(self) -> Fraction:
        """Duration of the last frame in seconds."""
        return (self.end - (self._last or 0)) * self.time_base

    def assign_encoder_pts(self, frame: VideoFrame) -> None:
        """Replaces the timestamp of a frame by an increasing one for the encoder."""
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
        """Returns timestamp and duration in the source of the frame with this encoder timestamp."""
        pts, duration = self._source.pop(encoder_pts)
        return pts, duration or self.step

    def state(self) -> dict[str, int | None]:
        """Returns the state from which a later job continues."""
        return {
            "first": self.first,
            "end": self.end,
            "encoder_pts": self.encoder_pts,
            "last": self._last,
        }

    def restore(self, state: dict[str, int | None]) -> None:
        """Continues from a `state`."""
        self.first, self.end = state["first"], state["end"] or 0
        self.encoder_pts, self._last = state["encoder_pts"], state["last"]


MAX_DELAY = 2**40
"""Ticks; a decoding timestamp that is longer before the presentation was never set."""


def compute_decoding_timestamps(pts: Ticks, encoder_dts: Ticks) -> Ticks:
    """Returns increasing decoding timestamps for packets in decoding order, none after its `pts`.

    Those of the encoder are used if they already are so. Otherwise, where source timestamps
    decrease or repeat, or where x265 leaves those of a film uninitialized that is shorter than its
    delay, each is before the presentation of all following packets.
    """
    is_near = (encoder_dts > pts - MAX_DELAY).all()
    if is_near and (np.diff(encoder_dts) > 0).all() and (encoder_dts <= pts).all():
        return encoder_dts
    numbers = np.arange(len(pts))
    lowest: Ticks = np.minimum.accumulate((pts - numbers)[::-1])[::-1] + numbers
    return lowest
