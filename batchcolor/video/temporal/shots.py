"""Where a shot of a film ends and the next begins, detected from luma alone."""

from __future__ import annotations

from dataclasses import dataclass

from batchcolor.video.temporal.motion import Field, Match, match

MIN_CORRELATION = 0.65
"""Correlation of two frames, below which they may belong to two shots."""
MIN_CONFIDENCE = 0.65
"""Mean confidence of the motion between them, below which they do: a fast pan stays one shot."""
CERTAIN_CUT_CORRELATION = 0.2
"""Correlation at which they do in any case: out of black, into black."""


def is_cut(match: Match) -> bool:
    """Whether a frame begins a new shot.

    Correlation and confidence ignore brightness and contrast of the whole frame, so neither
    flicker of exposure nor a flash is a cut.
    """
    is_cut_likely = (
        match.correlation < MIN_CORRELATION and float(match.confidence.mean()) < MIN_CONFIDENCE
    )
    return is_cut_likely or match.correlation < CERTAIN_CUT_CORRELATION


@dataclass(frozen=True)
class ShotPosition:
    """Where a frame is: its number in the film, from 0, and that of the first frame of its shot.

    `match` is how it came out of the frame before; None where it begins a shot.
    """

    number: int
    shot: int
    match: Match | None

    @property
    def is_shot_start(self) -> bool:
        """Whether it is the first frame of its shot."""
        return self.match is None


class ShotTracker:
    """Follows the frames of one film in order, by their luma `(64, 64)` in 0..1.

    `number` is that of the first frame that it is shown, `shot` where the shot of that one began.
    """

    def __init__(self, number: int = 0, shot: int = 0) -> None:
        self.cuts = 0
        self._number, self._shot = number, shot
        self._before: Field | None = None

    def follow(self, guide: Field) -> ShotPosition:
        """The position of the next frame."""
        motion = None if self._before is None else match(self._before, guide)
        if motion is not None and is_cut(motion):
            self.cuts += 1
            self._shot, motion = self._number, None
        position = ShotPosition(self._number, self._shot, motion)
        self._number, self._before = self._number + 1, guide
        return position
