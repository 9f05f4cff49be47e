"""The way of a film: its frames go through the same batches as everybody's pictures.

read (a decode thread) -> small luma -> batch (device) -> chroma -> steadied -> planes, encoder (a
thread of its own) -> commit

Both threads and the one between them work in order; frames that ask no colorizer come early, and
wait. Only so many are on their way at once, so memory does not depend on a film's length.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from fractions import Fraction

import numpy as np
from av.video.frame import VideoFrame
from numpy.typing import NDArray

from batchcolor.errors import ProcessingError
from batchcolor.pipeline.planner import Task
from batchcolor.pipeline.stages import ByteBudget, Cancellation, Channel
from batchcolor.pipeline.video_admission import Admission, end_of, frames_of
from batchcolor.pipeline.video_sink import ResumePoint
from batchcolor.storage.atomic import temporary_path
from batchcolor.video.output.timestamps import PacketScan, scan_packets
from batchcolor.video.planes import frame_luma, side_by_side, write_chroma
from batchcolor.video.source_info import DECODE_ERRORS, SourceInfo, format_av_error
from batchcolor.video.temporal.motion import SIDE
from batchcolor.video.temporal.shots import ShotPosition, ShotTracker
from batchcolor.video.temporal.stabilizer import Stabilize, Stabilizer


@dataclass(frozen=True)
class ColorizeOptions:
    """How frames get their colour; `temporal` is the colorizer's word, see `hooks/spec.py`."""

    strength: float
    stabilize: Stabilize
    every: int
    """Of so many frames of a shot one goes to the colorizer."""
    temporal: bool


@dataclass
class FrameItem:
    """One frame on its way; `picture` tells chroma filters whose it is."""

    line: VideoTask
    number: int
    """From 0, in the film."""
    frame: VideoFrame
    square: NDArray[np.float32]
    guide: NDArray[np.float32]
    """Luma by which colour is steadied."""
    place: ShotPosition | None
    """Where it is in its shot, where anybody wants to know."""
    again: bool = False
    """Whether it is only shown to the colorizer once more, and written already."""
    chroma: NDArray[np.float32] | None = None
    """None until a colorizer has given it, and where none is asked."""

    @property
    def begins(self) -> bool:
        """Whether it is the first of its shot."""
        return self.place is not None and self.place.is_shot_start

    @property
    def picture(self) -> SourceInfo:
        """What a filter of chroma is told: `path`, `width` and `height`."""
        return self.line.film


class VideoTask:
    """One film under way. `read` runs in one thread, `write` in another."""

    def __init__(
        self,
        task: Task,
        admission: Admission,
        colouring: ColorizeOptions,
        quality: int | None,
        place: ResumePoint,
        stop: Cancellation,
        told: Callable[[VideoTask], None],
    ) -> None:
        self.task, self.film, self.settings = task, admission.film, admission.settings
        self.colouring, self._stop, self._told = colouring, stop, told
        self.error: ProcessingError | None = None
        self.done = 0
        """Frames written."""
        self.expected = admission.film.frames
        self.position = Fraction(0)
        """Seconds of the film that are done."""
        self.notes: list[str] = []
        self._steady: Stabilizer[FrameItem | None] = Stabilizer(
            colouring.stabilize, colouring.every
        )
        follows = colouring.temporal or colouring.stabilize != "off"
        self._shots = ShotTracker() if follows else None
        self._end = end_of(task, admission, place.folder, quality)
        self._segments = self._end.segments
        self._fingerprint = place.fingerprint
        self._ahead = ByteBudget(admission.ahead, admission.ahead, stop)
        self._coloured: Channel[FrameItem] = Channel(stop, 1)
        self._frames = frames_of(admission)
        self._survey = PacketScan()
        self._resumed = 0
        self._number = 0
        """Of the next frame that is read."""
        self._next = 0
        """Of the next frame that is written."""
        self._early: dict[int, FrameItem] = {}
        """Frames that came before those that go before them."""
        self._lock = threading.Lock()
        self._under_way = 0
        self._all_read = False
        self._stopped = False

    @property
    def progress(self) -> str:
        """How far it is, for people: film time and frames."""
        place = timedelta(seconds=int(self.position))
        of = f" of {self.expected}" if self.expected else ""
        return f"{place}, frame {self.done}{of}"

    def resume(self) -> None:
        """Look through the source, and take up what a former job left. Before `read`.

        Raises ProcessingError, OutputError.
        """
        self._survey = scan_packets(self.film)
        self.expected = self.film.frames or self._survey.packets
        if self.settings.preview is not None:
            self.expected = min(self.expected, round(self.settings.preview * self.film.rate))
        with temporary_path(self.task.target):  # says what it means where the disk refuses
            self._segments.resume(self._fingerprint)
        state = self._segments.state
        self._resumed = self.done = self._frames.skip = state.frames
        self._steady.restore(self._segments.stabilizer_state, None)
        if self._shots is not None and state.frames:
            # The last frame once more, to see how the next comes out of it; a colorizer that
            # remembers gets all of the shot.
            self._frames.skip = state.shot if self.colouring.temporal else state.frames - 1
            self._shots = ShotTracker(self._frames.skip, state.shot)
        self._number = self._frames.skip
        self._next = self._number if self.colouring.temporal else state.frames

    # ---- read ----------------------------------------------------------------------------

    def read(self, side: int, put: Callable[[FrameItem], None]) -> None:
        """Decode every frame and `put` it on its way to the colorizer, until one fails."""
        try:
            for frame in self._frames:
                if self.error is not None or not self._ahead.acquire(1):
                    self._stopped = True
                    break
                item = self._item(frame, side)
                if item.again and not self.colouring.temporal:
                    self._ahead.release(1)
                    continue
                with self._lock:
                    self._under_way += 1
                if self._is_asked(item):
                    put(item)
                else:
                    self.arrived(item)
        except ProcessingError as error:
            self.fail(error)
        except DECODE_ERRORS as error:
            self.fail(ProcessingError("decode", format_av_error(error)))
        with self._lock:
            self._all_read = True
            last = self._under_way == 0
        if last:
            self._coloured.end()

    def _item(self, frame: VideoFrame, side: int) -> FrameItem:
        number, self._number = self._number, self._number + 1
        square = frame_luma(frame, self.film, side)
        if self._shots is None:
            return FrameItem(self, number, frame, square, square, None)
        guide = frame_luma(frame, self.film, SIDE)
        place = self._shots.follow(guide)
        return FrameItem(self, number, frame, square, guide, place, number < self._resumed)

    def _is_asked(self, item: FrameItem) -> bool:
        """Whether a colorizer is asked for its colours, or they come from the frame before."""
        every, place = self.colouring.every, item.place
        return every == 1 or place is None or (place.number - place.shot) % every == 0

    def arrived(self, item: FrameItem) -> None:
        """A frame comes back from the colorizer."""
        self._coloured.put(item)
        with self._lock:
            self._under_way -= 1
            last = self._all_read and self._under_way == 0
        if last:
            self._coloured.end()

    def fail(self, error: ProcessingError) -> None:
        """The film cannot be done; what is under way is thrown away."""
        self.error = self.error or error
        self._stop.wake()

    # ---- write ---------------------------------------------------------------------------

    def write(self, *, overwrite: bool) -> bool:
        """Encode the frames that come back and commit the film; False where the job stops before.

        Raises ProcessingError, OutputError.
        """
        with temporary_path(self.task.target) as temporary:
            try:
                self._take_frames()
                if self.error is not None:
                    raise self.error
                if self._stopped:
                    return False
                self._segments.close_segment({}, 0)
                notes = self._end.commit(temporary, self._frames, self._survey, replace=overwrite)
            except FileExistsError as error:
                raise ProcessingError("commit", "its name was taken while the job ran") from error
            except (ProcessingError, OSError):
                raise  # the disk: `temporary_path` knows what it means
            except DECODE_ERRORS as error:
                raise ProcessingError("encode", format_av_error(error)) from error
        self.notes = [*self.film.notes, *self._frames.notes, *notes]
        if self._resumed:
            self.notes.append(f"went on from frame {self._resumed}, where a former run was stopped")
        self._segments.remove()
        return True

    def drain(self) -> None:
        """Let go all of a film that has failed, also what still comes, so that its reader ends."""
        self._segments.remove()
        for _ in self._early:
            self._ahead.release(1)
        for _ in self._coloured:
            self._ahead.release(1)

    def _take_frames(self) -> None:
        for item in self._in_order():
            if item.again or self.error is not None or self._stopped:
                self._ahead.release(1)
                continue
            found = item.place.match if item.place else None
            for ready, chroma in self._steady.add(item.guide, item.chroma, item, found):
                self._write_one(ready, chroma)
        if self.error is None and not self._stopped:
            for ready, chroma in self._steady.flush():
                self._write_one(ready, chroma)

    def _in_order(self) -> Iterator[FrameItem]:
        """Frames as they are in the film: those that ask nobody come before those that wait."""
        for item in self._coloured:
            self._early[item.number] = item
            while self._next in self._early:
                self._next += 1
                yield self._early.pop(self._next - 1)

    def _write_one(self, item: FrameItem | None, chroma: NDArray[np.float32]) -> None:
        assert item is not None
        try:
            frame = write_chroma(item.frame, chroma, self.film, self.colouring.strength)
            if self.settings.compare:
                frame = side_by_side(frame, self.film)
            if self._segments.write(frame):
                shot = item.place.shot if item.place else 0
                self._segments.close_segment(self._steady.state(), shot)
        finally:
            self._ahead.release(1)
        self.done += 1
        self.position = self._end.timeline.seconds
        self._told(self)
