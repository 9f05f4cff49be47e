"""Finds frames that are missing without an error of FFmpeg.

Its decoder of H.265 leaves out pictures whose header is damaged, and those that refer to a picture
that is missing. A packet that is missing in the file leaves only a leap in time.
"""

from __future__ import annotations

from fractions import Fraction

MIN_INTERVALS, MIN_STEPS_PER_LEAP = 50, 50
"""Films with fewer frames, or with fewer of them per leap, may have a variable frame rate."""
MAX_JITTER = 0.1
"""Largest deviation of an interval of a constant frame rate, in frame durations."""


class LostFrameDetector:
    """Compares the packets of a stream, each of one frame, with the frames that are returned.

    Frames are returned in display order, so a packet whose time is earlier has lost its frame.
    Packets before the first frame do not count: a film may begin with pictures that refer to some
    before its beginning, and those are not shown.
    """

    def __init__(self) -> None:
        self._pending: set[int] = set()
        self._has_frame = False

    def add_packet(self, pts: int | None) -> None:
        """Expects a frame at this tick."""
        if pts is not None:
            self._pending.add(pts)

    def forget_packet(self, pts: int | None) -> None:
        """Expects no frame at this tick any more: its loss is reported already."""
        if pts is not None:
            self._pending.discard(pts)

    def find_before(self, pts: int | None) -> list[int]:
        """Returns the ticks, in order, of the frames lost before a returned one, each once."""
        if pts is None or pts not in self._pending:
            return []
        earlier = sorted(tick for tick in self._pending if tick < pts)
        self._pending.difference_update(earlier, [pts])
        had_frame, self._has_frame = self._has_frame, True
        return earlier if had_frame else []

    def find_rest(self) -> list[int]:
        """Returns the ticks of the frames lost after the last one that was returned."""
        return sorted(self._pending) if self._has_frame else []


class LeapDetector:
    """Finds leaps in the times of a film whose frame rate is constant otherwise.

    `step` is the duration of a frame in ticks.
    """

    def __init__(self, step: Fraction) -> None:
        self._step, self._tolerance = step, max(Fraction(1), step * Fraction(MAX_JITTER))
        self._last: int | None = None
        self._intervals = self._leaps = 0
        self._first_leap = (0, 0)
        """Ticks of the frames before and after the first leap."""
        self._is_constant = True

    def add_frame(self, tick: int | None) -> None:
        """Takes the tick of the next frame, in display order."""
        last, self._last = self._last, tick
        if last is None or tick is None:
            return
        self._intervals += 1
        excess = tick - last - self._step
        if excess > self._step / 2:
            self._first_leap = self._first_leap if self._leaps else (last, tick)
            self._leaps += 1
        elif abs(excess) > self._tolerance:
            self._is_constant = False

    def describe(self, time_base: Fraction) -> str:
        """Returns a note on the leaps; empty if there are none, or the frame rate is variable."""
        is_rare = self._leaps * MIN_STEPS_PER_LEAP <= self._intervals
        if not (self._leaps and self._is_constant and is_rare and self._intervals >= MIN_INTERVALS):
            return ""
        before, after = self._first_leap
        start, end = float((before + self._step) * time_base), float(after * time_base)
        others = self._leaps - 1
        many = f" and at {others} later time{'s' * (others > 1)}" if others else ""
        return (
            f"has no frame from {start:.2f} to {end:.2f} s{many}, though its frame rate is "
            f"constant otherwise: frames may be lost"
        )
