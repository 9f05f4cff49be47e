"""Detects the boundaries of shots from luma."""

from __future__ import annotations

from dataclasses import dataclass

from batchcolor.video.temporal.motion import Field, Match, correlate_frames, match_frames

MIN_CORRELATION = 0.65
"""Frames with a lower correlation may belong to different shots."""
MIN_CONFIDENCE = 0.65
"""Frames of low correlation belong to different shots if their mean confidence of motion is lower,
which it is not in a fast pan."""
PREFERRED_FRAME = 12
"""Number of the frame that represents a shot; the first frames may be blurred by the cut."""
CERTAIN_CUT_CORRELATION = 0.2
"""Frames with a lower correlation always belong to different shots, as from or to black."""


def is_cut(match: Match) -> bool:
    """Whether a frame starts a new shot.

    Correlation and confidence do not depend on brightness and contrast of the whole frame, so
    exposure flicker and flashes are not cuts.
    """
    is_likely = (
        match.correlation < MIN_CORRELATION and float(match.confidence.mean()) < MIN_CONFIDENCE
    )
    return is_likely or match.correlation < CERTAIN_CUT_CORRELATION


def is_cut_between(before: Field, now: Field) -> bool:
    """As `is_cut` of the match of two frames, but motion is estimated only where it decides."""
    return correlate_frames(before, now) < MIN_CORRELATION and is_cut(match_frames(before, now))


@dataclass(frozen=True)
class ShotPosition:
    """Position of a frame: its number in the film, from 0, and that of its shot's first frame.

    `match` is the match with the previous frame; None at the start of a shot.
    """

    number: int
    shot: int
    match: Match | None

    @property
    def is_shot_start(self) -> bool:
        """Whether it is the first frame of its shot."""
        return self.match is None


class ShotTracker:
    """Assigns the frames of one film to shots, in order.

    `number` is the number of the first frame passed to it, `shot` that of its shot's first frame.
    """

    def __init__(self, number: int = 0, shot: int = 0) -> None:
        self.cuts = 0
        self._number, self._shot = number, shot
        self._before: Field | None = None

    def track(self, guide: Field) -> ShotPosition:
        """Returns the position of the next frame; `guide` is its luma `(SIDE, SIDE)` in 0..1."""
        motion = None if self._before is None else match_frames(self._before, guide)
        if motion is not None and is_cut(motion):
            self.cuts += 1
            self._shot, motion = self._number, None
        position = ShotPosition(self._number, self._shot, motion)
        self._number, self._before = self._number + 1, guide
        return position
