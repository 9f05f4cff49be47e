"""DECODING: decodes the frames of a film, assigns them to shots, and submits them to inference."""

from __future__ import annotations

import threading

from av.video.frame import VideoFrame

from batchcolor.errors import ProcessingError
from batchcolor.pipeline.films.film_numbers import FilmNumbers, find_film_numbers
from batchcolor.pipeline.films.video_admission import Admission, open_frames
from batchcolor.pipeline.films.video_states import FilmStatus, VideoState
from batchcolor.pipeline.items.frame_item import FrameItem, FrameStream
from batchcolor.pipeline.job_context import JobContext
from batchcolor.pipeline.memory_errors import NO_MEMORY
from batchcolor.pipeline.stages import ByteBudget, Channel
from batchcolor.video.ffmpeg import MEDIA_ERRORS, format_av_error
from batchcolor.video.input.shot_frames import ShotFrames
from batchcolor.video.output.segments import Segments
from batchcolor.video.planes import read_luma
from batchcolor.video.temporal.motion import SIDE
from batchcolor.video.temporal.shots import ShotPosition, ShotTracker


class FrameDecoding:
    """The decoding side of one film. `run` is for one thread; frames return in another."""

    def __init__(
        self, film: FrameStream, admission: Admission, context: JobContext, status: FilmStatus
    ) -> None:
        self._film, self._context, self._status = film, context, status
        self._admission, self._output = admission, admission.output
        self.frames = open_frames(admission)
        self._is_preview_of_shots = isinstance(self.frames, ShotFrames)
        if isinstance(self.frames, ShotFrames):
            self.frames.is_stopped = self._is_stopped
        self.end: int | None = None
        """The frame up to which a part of a film is coloured; None for the whole film."""
        self.numbers = FilmNumbers()
        """Where the frames are in the film, of a preview that starts later."""
        self.in_flight = ByteBudget(
            admission.max_in_flight, admission.max_in_flight, context.cancellation
        )
        """Frames that are decoded and not yet encoded."""
        self.coloured: Channel[FrameItem] = Channel(context.cancellation, 1)
        """Frames that were returned from inference."""
        task, job = film.task, context.settings
        self._working_size = context.find_working_size(task)
        is_corrected = bool(task.correction.decision.shots) or task.settings.references is not None
        tracks_shots = context.is_temporal or job.stabilize != "off" or is_corrected
        self._shots = ShotTracker() if tracks_shots else None
        self._keeps_frames = not admission.decodes_twice
        self._next = self._replay = 0
        self._lock = threading.Lock()
        self._in_inference = 0
        self._all_decoded = False

    def locate(self) -> None:
        """Finds where a preview is in the film, if shots are decided or have references.

        Raises ProcessingError.
        """
        decided = [shot.frame for shot in self._film.task.correction.decision.shots]
        has_references = self._film.task.settings.references is not None
        if not self._output.settings.starts_later or not (decided or has_references):
            return
        if isinstance(self.frames, ShotFrames):
            self.numbers = FilmNumbers(selected=self.frames)
            return
        self.numbers = find_film_numbers(
            self._admission, decided, needs_shot=has_references, is_stopped=self._is_stopped
        )

    def _is_stopped(self) -> bool:
        return self._status.error is not None or self._context.cancellation.draining.is_set()

    def resume(self, segments: Segments, discarded: int) -> int:
        """Continues after the frames of an earlier job; returns the number of the first frame.

        `discarded` is the number of packets that an edit list hides.
        """
        is_temporal, state = self._context.is_temporal, segments.state
        skip, self._replay = state.frames, state.replay
        if self._shots is not None and state.frames:
            # The stabilizer needs its last block again, tracked from the frame before it. A
            # temporal model needs the whole shot again.
            skip = state.shot if is_temporal else max(state.replay - 1, 0)
            self._shots = ShotTracker(skip, state.shot)
        self.frames.resume(skip, segments.usable_marks, discarded)
        self._next = skip
        return self._next if is_temporal else state.replay

    def run(self) -> None:
        """Decodes every frame and submits it to inference, until the film fails."""
        try:
            for frame in self.frames:
                if self._status.is_ended or not self.in_flight.acquire(1):
                    self._status.enter(VideoState.INTERRUPTED)
                    break
                item = self._prepare(frame)
                if self._is_behind_part(item):
                    self.in_flight.release(1)
                    break
                self._submit(item)
                del frame, item  # the wait for room must not keep their memory
        except ProcessingError as error:
            self._status.fail(error)
        except MEDIA_ERRORS as error:
            self._status.fail(ProcessingError("decode", format_av_error(error)))
        except MemoryError:
            self._status.fail(ProcessingError("decode", NO_MEMORY))
        self._status.enter(VideoState.ENCODING)
        with self._lock:
            self._all_decoded = True
            is_last = self._in_inference == 0
        if is_last:
            self.coloured.end()

    def _is_behind_part(self, item: FrameItem) -> bool:
        """Whether no frame of the part depends on this one and those that follow."""
        return self.end is not None and item.number >= self.end and item.is_shot_start

    def _submit(self, item: FrameItem) -> None:
        if item.is_replayed and not self._context.is_temporal:
            self.in_flight.release(1)
            return
        with self._lock:
            self._in_inference += 1
        if self._needs_model(item):
            self._context.submit(item)
        else:
            self.receive(item)

    def _prepare(self, frame: VideoFrame) -> FrameItem:
        number, self._next = self._next, self._next + 1
        square = read_luma(frame, self._output.frame_format, self._working_size)
        kept = frame if self._keeps_frames else None
        if self._shots is None:
            return FrameItem(self._film, number, kept, square, square, None)
        guide = read_luma(frame, self._output.frame_format, SIDE)
        position = self._shots.track(guide)
        if self._is_preview_of_shots:
            position = ShotPosition(number, number, None)
        return FrameItem(self._film, number, kept, square, guide, position, number < self._replay)

    def _needs_model(self, item: FrameItem) -> bool:
        """Whether the model colours it, or colours are propagated along motion."""
        every, position = self._context.settings.every, item.shot_position
        return every == 1 or position is None or (position.number - position.shot) % every == 0

    def receive(self, item: FrameItem) -> None:
        """Takes a frame back from inference."""
        self.coloured.put(item)
        with self._lock:
            self._in_inference -= 1
            is_last = self._all_decoded and self._in_inference == 0
        if is_last:
            self.coloured.end()
