"""ENCODING: stabilizes the frames that return from inference and encodes them into segments."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from fractions import Fraction

from av.video.frame import VideoFrame

from batchcolor.errors import ProcessingError
from batchcolor.pipeline.films.frame_decoding import FrameDecoding
from batchcolor.pipeline.films.video_admission import Admission, open_frames
from batchcolor.pipeline.films.video_sink import VideoSink
from batchcolor.pipeline.films.video_states import FilmStatus, VideoState
from batchcolor.pipeline.items.frame_item import FrameItem
from batchcolor.pipeline.options.settings import RunSettings
from batchcolor.pipeline.planning.task import Task
from batchcolor.pipeline.report import Report
from batchcolor.video.frame_mark import mark_frame
from batchcolor.video.planes import join_side_by_side, write_chroma
from batchcolor.video.temporal.film_colors import ColorRules
from batchcolor.video.temporal.motion import Field
from batchcolor.video.temporal.stabilizer import Stabilizer


class FrameEncoding:
    """The encoding side of one film, for one thread."""

    def __init__(
        self,
        task: Task,
        admission: Admission,
        sink: VideoSink,
        decoding: FrameDecoding,
        status: FilmStatus,
        settings: RunSettings,
        report: Report,
        rules: ColorRules,
    ) -> None:
        self._task, self._output, self._sink = task, admission.output, sink
        self._decoding, self._status, self._report = decoding, status, report
        self._segments = sink.segments
        self._frames_again = open_frames(admission) if admission.decodes_twice else None
        """Decodes in the thread that encodes; damage is reported by the decoding side."""
        self._stabilizer: Stabilizer[FrameItem] = Stabilizer(
            settings.stabilize, settings.every, rules
        )
        self.done = 0
        """Frames encoded."""
        self.expected = 0
        """Frames of the film; 0 if unknown."""
        self.resumed_at = 0
        self._next = 0
        self._early: dict[int, FrameItem] = {}
        """Frames that arrived before earlier frames did."""

    def resume(self, first: int, discarded: int) -> None:
        """Continues after the frames of an earlier job; `first` is the next frame to arrive.

        `discarded` is the number of packets that an edit list hides.
        """
        self.resumed_at = self.done = self._segments.state.frames
        if self._frames_again is not None:
            frames, marks = self._segments.state.frames, self._segments.usable_marks
            self._frames_again.resume(frames, marks, discarded)
        self._stabilizer.restore(self._segments.stabilizer_state)
        self._next = first

    def run(self) -> None:
        """Encodes all frames but the last segment, until the film ends early.

        Raises ProcessingError, OSError, FFmpegError.
        """
        again = None if self._frames_again is None else iter(self._frames_again)
        for item in self._in_order():
            if item.is_replayed or self._status.is_ended:
                self._decoding.in_flight.release(1)
                continue
            match = item.shot_position.match if item.shot_position else None
            self._encode_block(self._stabilizer.add(item.guide, item.chroma, item, match), again)
            if again is not None:
                self._decoding.in_flight.release(1)  # the stabilizer keeps only small fields
        if not self._status.is_ended:
            self._encode_block(self._stabilizer.flush(), again)

    @property
    def notes(self) -> list[str]:
        """Which references the shots have, and how many have the colours of an earlier one."""
        return self._stabilizer.notes

    def drain(self) -> None:
        """Empties the queue and releases its memory, so that the decoding thread can end."""
        for _ in self._early:
            self._decoding.in_flight.release(1)
        for _ in self._decoding.coloured:
            self._decoding.in_flight.release(1)

    def _in_order(self) -> Iterator[FrameItem]:
        """Frames in film order: those that skip the model arrive before those that do not."""
        for item in self._decoding.coloured:
            self._early[item.number] = item
            del item  # the wait for the next frame must not keep the memory of this one
            while self._next in self._early:
                self._next += 1
                yield self._early.pop(self._next - 1)

    def _encode_block(
        self, block: list[tuple[FrameItem, Field]], again: Iterator[VideoFrame] | None
    ) -> None:
        """Encodes the frames that the stabilizer returns at once; `again` decodes them again."""
        if not block:
            return
        first = block[0][0].number
        for item, chroma in block:
            if item.number >= self.resumed_at and not self._status.is_ended:
                self._encode_one(item, _take_frame(item, again), chroma, first)
            if again is None:
                self._decoding.in_flight.release(1)

    def _encode_one(
        self, item: FrameItem, frame: VideoFrame, chroma: Field, block_start: int
    ) -> None:
        frame_format = self._output.frame_format
        mark = mark_frame(frame)
        coloured = write_chroma(frame, chroma, frame_format, self._find_strength(item))
        if self._output.settings.compare:
            coloured = join_side_by_side(coloured, frame_format)
        if self._segments.write(coloured, mark):
            shot = item.shot_position.shot if item.shot_position else 0
            replay = block_start if self._stabilizer.is_active else item.number + 1
            is_flawless = self._decoding.frames.is_flawless
            self._segments.close_segment(
                self._stabilizer.state(), shot, replay, is_flawless=is_flawless
            )
            if self._segments.state.frames == self._decoding.end:
                self._status.enter(VideoState.INTERRUPTED)
        self.done += 1
        self._report_progress(self._sink.timeline.seconds)

    def _find_strength(self, item: FrameItem) -> float:
        """The strength of a frame: as decided for its shot, or for the film."""
        position = item.shot_position
        first = item.number if position is None else position.shot
        numbers = self._decoding.numbers.find(first, item.number)
        shot = self._task.correction.find_shot(*numbers)
        if shot is not None and shot.state == "rejected":
            return 0.0
        if shot is not None and shot.strength is not None:
            return shot.strength
        return self._task.settings.strength

    def _report_progress(self, position: Fraction) -> None:
        """Reports the second up to which the film is encoded."""
        time = timedelta(seconds=int(position))
        total = f" of {self.expected}" if self.expected else ""
        self._report.count_frame()
        self._report.current = f"{self._task.source.relative} {time}, frame {self.done}{total}"


def _take_frame(item: FrameItem, again: Iterator[VideoFrame] | None) -> VideoFrame:
    frame = item.frame if again is None else next(again, None)
    if frame is None:
        raise ProcessingError("decode", "its frames cannot be decoded a second time")
    return frame
