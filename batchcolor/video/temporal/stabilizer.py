"""Reduces colour flicker: propagates chroma along motion from frame to frame.

This works on the small chroma fields of any colorizer. Where a frame's luma matches the previous
frame along motion, most of the chroma is propagated from there; in newly revealed areas the frame
keeps its own chroma. Nothing is propagated over a cut.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Generic, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from batchcolor.video.temporal.motion import SIDE, Field, Match, match_frames

Stabilize = Literal["off", "fast", "best"]
MODES: tuple[Stabilize, ...] = ("off", "fast", "best")
PROPAGATED_SHARE = np.float32(0.85)
"""Weight of propagated chroma at full confidence: an error fades within about ten frames."""
LOOK_AHEAD = {"off": 0, "fast": 0, "best": 8}
"""Frames that a mode buffers."""

T = TypeVar("T")


@dataclass
class BufferedFrame(Generic[T]):
    """One frame: luma `(SIDE, SIDE)` in 0..1, own chroma `(2, s, s)`, and the caller's object."""

    guide: Field
    chroma: Field
    owner: T
    is_colorized: bool = True
    """Whether the chroma comes from a colorizer, not only from the previous frame."""

    def __post_init__(self) -> None:
        self.own_chroma = resize_chroma(self.chroma, SIDE)
        """Its own chroma `(2, SIDE, SIDE)`."""
        self.propagated = self.own_chroma
        """Its chroma blended with that of the previous frames."""
        self.from_next: Match | None = None
        """Match with the next frame; None at the end of a shot."""

    def restore_detail(self, stabilized: Field) -> Field:
        """Replaces the frame's low-frequency chroma by the stabilized one; detail finer than `SIDE`
        is kept."""
        side = self.chroma.shape[-1]
        if side <= SIDE:
            return stabilized
        fine: Field = np.clip(
            self.chroma + resize_chroma(stabilized - self.own_chroma, side), -0.5, 0.5
        )
        return fine


class Stabilizer(Generic[T]):
    """Stabilizes the frames of one film; takes and returns them in order.

    `fast` propagates forward only. `best` also propagates backward from up to `LOOK_AHEAD` frames
    and returns frames with that delay. `off` changes nothing.

    With `every` = n, only every nth frame of a shot, starting with the first, has its own chroma;
    the others have propagated chroma. Then all frames have chroma of side `SIDE`, because finer
    detail would appear and disappear, and the weight of propagated chroma is lowered so that it
    fades in the same number of seconds.
    """

    def __init__(self, mode: Stabilize, every: int = 1) -> None:
        self.mode, self.every = mode, every
        self._share = PROPAGATED_SHARE**every
        self._ahead = LOOK_AHEAD[mode]
        self._waiting: deque[BufferedFrame[T]] = deque()
        self._last: BufferedFrame[T] | None = None
        self._last_returned: BufferedFrame[T] | None = None

    def state(self) -> dict[str, Field]:
        """Returns the state from which a stabilizer continues after the last returned frame."""
        if self._last_returned is None:
            return {}
        return {"guide": self._last_returned.guide, "propagated": self._last_returned.propagated}

    def restore(self, state: dict[str, Field], owner: T) -> None:
        """Continues from a `state`; `owner` represents the frame at which it was taken."""
        if state and self.mode != "off":
            self._last = BufferedFrame(state["guide"], state["propagated"], owner)

    def add(
        self, guide: Field, chroma: Field | None, owner: T, motion: Match | None
    ) -> list[tuple[T, Field]]:
        """Adds a frame; returns the finished frames, each with its chroma `(2, s, s)`.

        `chroma` is None for a frame that no colorizer processed. `motion` is the match with the
        previous frame; None at the start of a shot.
        """
        if chroma is None:
            assert self._last is not None  # a shot begins with chroma
            assert motion is not None
            frame = BufferedFrame(
                guide, _warp(self._last.propagated, motion), owner, is_colorized=False
            )
        else:
            if self.mode == "off":
                return [(owner, chroma)]
            frame = BufferedFrame(
                guide, chroma if self.every == 1 else resize_chroma(chroma, SIDE), owner
            )
        if self._last is not None and motion is not None:
            self._propagate(self._last, frame, motion)
        self._last = frame
        self._waiting.append(frame)
        return [self._pop()] if len(self._waiting) > self._ahead else []

    def flush(self) -> Iterator[tuple[T, Field]]:
        """Yields all buffered frames, after the last one was added.

        Each is finished only when it is requested, so that `state` belongs to the frame yielded
        last.
        """
        while self._waiting:
            yield self._pop()

    def _propagate(self, before: BufferedFrame[T], now: BufferedFrame[T], motion: Match) -> None:
        if now.is_colorized:
            now.propagated = _blend(now.own_chroma, before.propagated, motion, self._share)
        if self._ahead:
            before.from_next = match_frames(now.guide, before.guide)

    def _pop(self) -> tuple[T, Field]:
        frame = self._waiting[0]
        stabilized = frame.propagated
        if self._ahead:
            stabilized = (frame.propagated + self._propagate_backward()) / np.float32(2)
        self._last_returned = self._waiting.popleft()
        return frame.owner, frame.restore_detail(stabilized)

    def _propagate_backward(self) -> Field:
        """Returns the first buffered frame's chroma, propagated backward from later ones."""
        shot = []
        for frame in self._waiting:
            shot.append(frame)
            if frame.from_next is None:
                break
        while not shot[-1].is_colorized and len(shot) > 1:
            shot.pop()  # its chroma comes only from the frames before it
        field = shot[-1].own_chroma
        for frame in reversed(shot[:-1]):
            assert frame.from_next is not None
            max_share = self._share if frame.is_colorized else np.float32(1)
            field = _blend(frame.own_chroma, field, frame.from_next, max_share)
        return field


def _blend(own: Field, other: Field, motion: Match, max_share: np.float32) -> Field:
    """Blends a frame's own chroma with its neighbour's, warped along motion."""
    share = max_share * motion.confidence
    blended: Field = own + share * (_warp(other, motion) - own)
    return blended


def _warp(field: Field, motion: Match) -> Field:
    """Warps a neighbour's chroma along motion."""
    return field[:, motion.rows, motion.columns]


def resize_chroma(field: NDArray[np.float32], side: int) -> Field:
    """Resizes chroma `(2, s, s)` to another side, bilinear."""
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
