"""Chroma carried along motion, so that a film's colours do not flicker from frame to frame.

For any colorizer: it works on the small fields that come out of it. Where a frame's luma is found
again in the frame before, most of the chroma comes from there; where it is not (something new,
something uncovered), chroma is the frame's own. Nothing is carried over a cut.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Generic, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from batchcolor.video.temporal.motion import SIDE, Field, Match, match

Stabilize = Literal["off", "fast", "best"]
MODES: tuple[Stabilize, ...] = ("off", "fast", "best")
HOLD = np.float32(0.85)
"""Share of the propagated chroma at full confidence: an error in one frame fades in about ten."""
LOOK_AHEAD = {"off": 0, "fast": 0, "best": 8}
"""Frames that a mode waits for."""

T = TypeVar("T")


@dataclass
class Frame(Generic[T]):
    """One frame: its luma `(SIDE, SIDE)` in 0..1, its own chroma `(2, s, s)`, whose they are."""

    guide: Field
    chroma: Field
    owner: T
    asked: bool = True
    """Whether the chroma is a colorizer's, and not only what came from the frame before."""

    def __post_init__(self) -> None:
        self.own = sized(self.chroma, SIDE)
        """Its own chroma at the size at which it is carried."""
        self.carried = self.own
        """With what came from the frames before."""
        self.from_next: Match | None = None
        """How it comes out of the frame after it; None at the end of a shot."""

    def with_chroma(self, steady: Field) -> Field:
        """The frame's chroma with its broad colours replaced by the steady ones; detail that is
        finer than `SIDE` stays its own."""
        side = self.chroma.shape[-1]
        if side <= SIDE:
            return steady
        fine: Field = np.clip(self.chroma + sized(steady - self.own, side), -0.5, 0.5)
        return fine


class Stabilizer(Generic[T]):
    """Takes the frames of one film in order and gives them back in order, steadied.

    `fast` looks back only. `best` looks as far ahead as `LOOK_AHEAD` says, so that colour comes
    neither late nor from one side, and gives frames back so much later. `off` changes nothing.

    With `every` above 1 only every such frame of a shot has chroma of its own, beginning with
    the first; the others have what is carried to them. Then no frame has detail finer than `SIDE`,
    which would come and go, and what is carried counts less in a frame of its own, so that after
    as many seconds as much of it is left.
    """

    def __init__(self, mode: Stabilize, every: int = 1) -> None:
        self.mode, self.every = mode, every
        self._hold = HOLD**every
        self._ahead = LOOK_AHEAD[mode]
        self._waiting: deque[Frame[T]] = deque()
        self._last: Frame[T] | None = None
        self._given_last: Frame[T] | None = None

    def memory(self) -> dict[str, Field]:
        """What the frame after the last one given needs to be steadied by another stabilizer."""
        if self._given_last is None:
            return {}
        return {"guide": self._given_last.guide, "carried": self._given_last.carried}

    def remember(self, memory: dict[str, Field], owner: T) -> None:
        """Go on where `memory` was taken, with whatever owner stands for a frame that is gone."""
        if memory and self.mode != "off":
            self._last = Frame(memory["guide"], memory["carried"], owner)

    def push(
        self, guide: Field, chroma: Field | None, owner: T, found: Match | None
    ) -> list[tuple[T, Field]]:
        """Take one frame; the frames that are ready, each with its chroma `(2, s, s)`.

        `chroma` is None where no colorizer was asked. `found` is how the frame came out of the one
        before; None where it begins a shot.
        """
        if chroma is None:
            assert self._last is not None  # a shot begins with chroma
            assert found is not None
            frame = Frame(guide, _moved(self._last.carried, found), owner, asked=False)
        else:
            if self.mode == "off":
                return [(owner, chroma)]
            frame = Frame(guide, chroma if self.every == 1 else sized(chroma, SIDE), owner)
        if self._last is not None and found is not None:
            self._follow(self._last, frame, found)
        self._last = frame
        self._waiting.append(frame)
        return [self._given()] if len(self._waiting) > self._ahead else []

    def rest(self) -> list[tuple[T, Field]]:
        """The frames that still wait, when no more come."""
        return [self._given() for _ in range(len(self._waiting))]

    def _follow(self, before: Frame[T], now: Frame[T], found: Match) -> None:
        if now.asked:
            now.carried = _blended(now.own, before.carried, found, self._hold)
        if self._ahead:
            before.from_next = match(now.guide, before.guide)

    def _given(self) -> tuple[T, Field]:
        frame = self._waiting[0]
        steady = frame.carried
        if self._ahead:
            steady = (frame.carried + self._from_ahead()) / np.float32(2)
        self._given_last = self._waiting.popleft()
        return frame.owner, frame.with_chroma(steady)

    def _from_ahead(self) -> Field:
        """The first waiting frame's chroma as the frames after it would have it."""
        shot = []
        for frame in self._waiting:
            shot.append(frame)
            if frame.from_next is None:
                break
        while not shot[-1].asked and len(shot) > 1:
            shot.pop()  # it knows no more than the frames before it
        field = shot[-1].own
        for frame in reversed(shot[:-1]):
            assert frame.from_next is not None
            hold = self._hold if frame.asked else np.float32(1)
            field = _blended(frame.own, field, frame.from_next, hold)
        return field


def _blended(own: Field, other: Field, found: Match, hold: np.float32) -> Field:
    """Chroma of a frame from its own and from that of its neighbour, moved to where it is now."""
    share = hold * found.confidence
    blended: Field = own + share * (_moved(other, found) - own)
    return blended


def _moved(field: Field, found: Match) -> Field:
    """A neighbour's chroma where it is now."""
    return field[:, found.rows, found.columns]


def sized(field: NDArray[np.float32], side: int) -> Field:
    """A field `(2, s, s)` at another side, linear between the centres of its samples."""
    if field.shape[-1] == side:
        return field
    planes = [
        np.asarray(
            Image.fromarray(np.ascontiguousarray(plane)).resize(
                (side, side), Image.Resampling.BILINEAR
            )
        )
        for plane in field
    ]
    return np.stack(planes).astype(np.float32)
