"""Keeps colours still: averages chroma along motion over the frames of a shot.

This works on the small chroma fields of any colorizer. Where a frame's luma matches its neighbours
along motion, its chroma is the mean over the frames before and after it; in newly revealed areas
the mean has fewer frames, at least its own. Nothing is propagated over a cut.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, Literal, TypeVar

import numpy as np

from batchcolor.images.picture import resize_chroma
from batchcolor.video.temporal.film_colors import Arrays, ColorRules, FilmColors, take_prefixed
from batchcolor.video.temporal.joint_bilateral import filter_along_edges
from batchcolor.video.temporal.motion import SIDE, Field, Match, invert_match
from batchcolor.video.temporal.propagation import Trace, begin_trace, join_traces

Stabilize = Literal["off", "fast", "best"]
MODES: tuple[Stabilize, ...] = ("off", "fast", "best")

SHAPE = (SIDE, SIDE)

T = TypeVar("T")


@dataclass(frozen=True)
class Horizon:
    """How many frames a mode buffers: it returns `block` frames as soon as `ahead` more follow."""

    block: int
    ahead: int

    @property
    def frames(self) -> int:
        """Largest number of frames in the buffer."""
        return self.block + self.ahead


HORIZONS = {"off": Horizon(0, 0), "fast": Horizon(4, 20), "best": Horizon(25, 150)}


@dataclass
class BufferedFrame(Generic[T]):
    """One frame: luma `(SIDE, SIDE)` in 0..1, chroma `(2, s, s)` or None, the caller's object."""

    guide: Field
    chroma: Field | None
    owner: T

    def __post_init__(self) -> None:
        self.predicted = None if self.chroma is None else resize_chroma(self.chroma, SHAPE)
        """The model's chroma `(2, SIDE, SIDE)`."""
        self.clean = self.predicted
        """The same without halos."""
        self.own = self.predicted
        """The same with the palette of its shot."""
        self.weight: Field | None = None
        """The number of frames that `own` counts for, `(SIDE, SIDE)`; None for 1."""
        self.forward: Trace | None = None
        """Trace of the frames of its shot up to this one."""
        self.from_previous: Match | None = None
        """Match with the previous frame; None at the start of a shot."""
        self.from_next: Match | None = None
        """Match with the next frame; None at the end of a shot."""

    def remove_halos(self) -> None:
        """Draws the chroma back to the outlines of luma."""
        if self.predicted is not None:
            self.own = self.clean = filter_along_edges(self.guide, self.predicted)

    def restore_detail(self, stabilized: Field) -> Field:
        """Replaces the frame's low-frequency chroma by the stabilized one; detail finer than `SIDE`
        is kept."""
        if self.chroma is None or self.predicted is None or self.chroma.shape[-1] <= SIDE:
            return stabilized
        change = resize_chroma(stabilized - self.predicted, self.chroma.shape[1:])
        fine: Field = np.clip(self.chroma + change, -0.5, 0.5)
        return fine


def make_shot_start_state(colors: FilmColors) -> Arrays:
    """Returns the `Stabilizer.state` before a shot; `colors` are those up to it."""
    return {f"colors_{name}": it for name, it in colors.state().items()}


class Stabilizer(Generic[T]):
    """Stabilizes the frames of one film; takes and returns them in order.

    `fast` averages over all frames of the shot before a frame and a few after it, `best` over some
    seconds after it as well. Both return frames in blocks, and all that remain at the end of a
    shot. `off` changes nothing.

    With `every` = n, only every nth frame of a shot, starting with the first, has its own chroma;
    the others have propagated chroma. Then all frames have chroma of side `SIDE`, because finer
    detail would appear and disappear.
    """

    def __init__(self, mode: Stabilize, every: int = 1, rules: ColorRules | None = None) -> None:
        self.mode, self.every, self.rules = mode, every, rules or ColorRules()
        self._horizon = HORIZONS[mode]
        self._waiting: list[BufferedFrame[T]] = []
        self._last: tuple[Field, Trace] | None = None
        """Luma and trace of the frame added last, if it belongs to the shot of the next one."""
        self._block_start: tuple[Field, Trace] | None = None
        """`_last` as it was before the first waiting frame."""
        self._returned_start: tuple[Field, Trace] | None = None
        """`_last` as it was before the first frame of the block returned last."""
        self._colors = self._returned_colors = FilmColors()
        """What shots have in common, after the block returned last, and before it."""

    @property
    def is_active(self) -> bool:
        """Whether it keeps frames or their traces; else frames are returned as they are."""
        return self.mode != "off" or self.every > 1

    @property
    def notes(self) -> list[str]:
        """What the shots returned until now have in common in colour."""
        colors, notes = self._colors, list(self._colors.notes)
        if colors.returns:
            notes.append(
                f"{colors.returns} of {colors.shots} shots have the colours of an earlier shot "
                f"of their scene"
            )
        return notes

    def state(self) -> Arrays:
        """Returns the state from which a stabilizer returns the block returned last once more.

        It continues with the first frame of that block.
        """
        arrays = make_shot_start_state(self._returned_colors)
        if self._returned_start is not None:
            guide, trace = self._returned_start
            arrays |= {"guide": guide, **{f"trace_{name}": it for name, it in vars(trace).items()}}
        return arrays

    def restore(self, state: Arrays) -> None:
        """Continues from a `state`."""
        if not state:
            return
        colors = FilmColors.from_state(take_prefixed(state, "colors_"))
        self._colors = self._returned_colors = colors
        if "guide" in state:
            trace = Trace(**take_prefixed(state, "trace_"))
            self._last = self._block_start = (state["guide"], trace)

    def add(
        self, guide: Field, chroma: Field | None, owner: T, motion: Match | None
    ) -> list[tuple[T, Field]]:
        """Adds a frame; returns the finished frames, each with its chroma `(2, s, s)`.

        `chroma` is None for a frame that no colorizer processed. `motion` is the match with the
        previous frame; None at the start of a shot.
        """
        if chroma is not None and self.every > 1:
            chroma = resize_chroma(chroma, SHAPE)
        if not self.is_active and chroma is not None:
            return [(owner, chroma)]
        finished = self._finish(len(self._waiting)) if motion is None else []
        self._append(BufferedFrame(guide, chroma, owner), motion)
        if len(self._waiting) >= max(self._horizon.frames, 1):
            finished += self._finish(max(self._horizon.block, 1))
        return finished

    def flush(self) -> list[tuple[T, Field]]:
        """Returns all buffered frames, after the last one was added."""
        return self._finish(len(self._waiting))

    def _append(self, frame: BufferedFrame[T], motion: Match | None) -> None:
        """Adds a frame to the buffer, with the trace of the frames up to it."""
        if motion is None or self._last is None:
            self._last = self._block_start = None
        elif self._waiting:
            self._waiting[-1].from_next = invert_match(motion, self._last[0], frame.guide)
        frame.from_previous = None if self._last is None else motion
        if self.mode != "off":
            frame.remove_halos()
        if self._block_start is not None:
            self._apply_palette(frame)
        self._trace(frame)
        if not self.rules.changes_shots:
            frame.from_previous = None  # its memory is needed only where shots are traced again
        self._waiting.append(frame)

    def _trace(self, frame: BufferedFrame[T]) -> None:
        """Adds a frame to the trace of its shot."""
        if self._last is None or frame.from_previous is None:
            frame.forward = begin_trace(frame.guide, frame.own, frame.weight)
        else:
            trace = self._last[1]
            frame.forward = trace.add(frame.guide, frame.own, frame.from_previous, frame.weight)
        self._last = (frame.guide, frame.forward)

    def _apply_palette(self, frame: BufferedFrame[T]) -> None:
        if frame.clean is not None:
            frame.own, frame.weight = self._colors.shot.apply(frame.guide, frame.clean)

    def _begin_shot(self) -> None:
        """Decides on the palette of a shot, of which the first frames are in the buffer."""
        if not self.rules.changes_shots:
            return
        own = [(frame.guide, frame.clean) for frame in self._waiting]
        known = [(guide, field) for guide, field in own if field is not None]
        guides, fields = zip(*known, strict=True)
        self._colors = self._colors.begin_shot(self.rules, guides, fields)
        self._last = None
        for frame in self._waiting:
            self._apply_palette(frame)
            self._trace(frame)

    def _finish(self, count: int) -> list[tuple[T, Field]]:
        """Removes the first `count` frames from the buffer and returns them with their chroma."""
        if not count:
            return []
        fields = self._finish_chroma(count)
        done, self._waiting = self._waiting[:count], self._waiting[count:]
        last = done[-1]
        assert last.forward is not None
        self._returned_start = self._block_start
        self._block_start = (last.guide, last.forward)
        return [
            (frame.owner, frame.restore_detail(field))
            for frame, field in zip(done, fields, strict=True)
        ]

    def _finish_chroma(self, count: int) -> list[Field]:
        """Returns the chroma of the first `count` frames: averaged, in the colours of the scene."""
        self._returned_colors = self._colors
        if self.mode == "off":
            return self._average(count)
        is_shot_start = self._block_start is None
        if is_shot_start:
            self._begin_shot()
        fields = self._average(len(self._waiting) if is_shot_start else count)
        if is_shot_start:
            guides = [frame.guide for frame in self._waiting]
            self._colors = self._colors.begin_scene(guides, fields)
        pairs = zip(self._waiting[:count], fields, strict=False)
        fields = [self._colors.scenes.apply(frame.guide, field) for frame, field in pairs]
        last = self._waiting[count - 1]
        self._colors = self._colors.observe(count, last.guide, fields[-1])
        return fields

    def _average(self, count: int) -> list[Field]:
        """Returns the chroma of the first `count` frames, averaged with all buffered frames."""
        fields: list[Field] = []
        backward: Trace | None = None
        for number in reversed(range(len(self._waiting))):
            frame = self._waiting[number]
            if backward is None or frame.from_next is None:
                backward = begin_trace(frame.guide, frame.own, frame.weight)
            else:
                backward = backward.add(frame.guide, frame.own, frame.from_next, frame.weight)
            if number < count:
                assert frame.forward is not None
                fields.append(join_traces(frame.forward, backward, frame.own, frame.weight))
        return fields[::-1]
