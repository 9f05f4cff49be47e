"""Selects one frame of each shot of a film, for `--preview shots`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from av.video.frame import VideoFrame

from batchcolor.video.frame_mark import FrameMark
from batchcolor.video.input.animation_frames import AnimationFrames
from batchcolor.video.input.decoder import VideoDecoder
from batchcolor.video.input.image_sequence_reader import ImageSequenceReader
from batchcolor.video.planes import read_luma
from batchcolor.video.temporal.motion import SIDE
from batchcolor.video.temporal.shots import PREFERRED_FRAME, ShotPosition, ShotTracker

Frames = VideoDecoder | ImageSequenceReader | AnimationFrames


class ShotFrames:
    """Iterates over one frame of each shot of a film, with the interface of `VideoDecoder`.

    It is the frame `PREFERRED_FRAME` of a shot, and the first of a shorter one. `ticks` is how long
    each is shown, from zero on; with None, frames keep their times. Frames are decoded in order,
    and one is kept in memory at a time.
    """

    missing = 0

    def __init__(self, frames: Frames, ticks: int | None) -> None:
        self._frames, self._ticks = frames, ticks
        self.count = self.skip = 0
        self.positions: list[ShotPosition] = []
        """Those of the frames that were yielded or skipped, in the film."""
        self.number_of_first_decoded = 0
        self.is_stopped: Callable[[], bool] = lambda: False
        """Whether the next frame is yielded without waiting for a shot: its consumer then ends."""

    def __iter__(self) -> Iterator[VideoFrame]:
        for frame, position in self._select():
            self.positions.append(replace(position, match=None))
            number, self.count = self.count, self.count + 1
            if self._ticks is not None:
                frame.pts, frame.duration = number * self._ticks, self._ticks
            if number >= self.skip:
                yield frame

    def _select(self) -> Iterator[tuple[VideoFrame, ShotPosition]]:
        tracker = ShotTracker()
        first: tuple[VideoFrame, ShotPosition] | None = None
        for frame in self._frames:
            position = tracker.track(read_luma(frame, self._frames.frame_format, SIDE))
            if position.is_shot_start:
                if first is not None:
                    yield first
                first = frame, position
            elif self.is_stopped() or position.number - position.shot == PREFERRED_FRAME:
                yield frame, position
                first = None
        if first is not None:
            yield first

    @property
    def notes(self) -> list[str]:
        """As `VideoDecoder.notes`."""
        return self._frames.notes

    @property
    def is_flawless(self) -> bool:
        """As `VideoDecoder.is_flawless`."""
        return self._frames.is_flawless

    def resume(self, skip: int, marks: Sequence[FrameMark], discarded: int) -> None:
        """As `VideoDecoder.resume`; all frames are decoded, as shots are found in all of them."""
        self.skip = skip
