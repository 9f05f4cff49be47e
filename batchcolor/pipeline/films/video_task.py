"""One film as a state machine: from the probe of its header to the result or the failure.

decode (a decode thread) -> small luma -> batch (device) -> chroma -> stabilize -> encode segments
(a thread of its own) -> mux -> commit

Frames share inference batches with still pictures. Both threads process frames in order; frames
that do not go to the model arrive early and wait. The number of frames in flight is bounded, so
memory does not depend on the length of a film.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import timedelta
from enum import Enum, auto
from fractions import Fraction
from functools import partial

from av.video.frame import VideoFrame

from batchcolor.errors import ProcessingError
from batchcolor.pipeline.films.video_admission import Admission, open_frames, open_sink
from batchcolor.pipeline.items.frame_item import FrameItem
from batchcolor.pipeline.items.frame_order import EndOfStream
from batchcolor.pipeline.job_context import JobContext
from batchcolor.pipeline.memory_errors import NO_MEMORY, memory_failure
from batchcolor.pipeline.pictures.picture_decoder import FILM
from batchcolor.pipeline.planning.planner import Task
from batchcolor.pipeline.records.strip_writer import write_contact_strip
from batchcolor.pipeline.result_signing import describe_unsigned, sign_in_place
from batchcolor.pipeline.stages import ByteBudget, Channel
from batchcolor.storage.atomic import temporary_path
from batchcolor.video.ffmpeg import MEDIA_ERRORS, format_av_error
from batchcolor.video.output.timestamps import PacketScan, scan_packets
from batchcolor.video.planes import join_side_by_side, read_luma, write_chroma
from batchcolor.video.temporal.motion import SIDE, Field
from batchcolor.video.temporal.shots import ShotTracker
from batchcolor.video.temporal.stabilizer import Stabilizer

IGNORED_SHOTS = "decisions for single shots are not applied to a preview that starts later"


class VideoState(Enum):
    """States of a film, in order. Decoding and encoding overlap: segments are encoded in both."""

    PROBED = auto()
    """The header is read, and the output container and encoder accept its streams."""
    ADMITTED = auto()
    """Its memory is reserved; frames of an earlier job are found."""
    DECODING = auto()
    ENCODING = auto()
    """All frames are decoded; the rest is encoded into segments."""
    MUXING = auto()
    DONE = auto()
    INTERRUPTED = auto()
    """The job stopped before the last frame; the finished segments stay for the next job."""
    FAILED = auto()


TRANSITIONS = {
    VideoState.PROBED: {VideoState.ADMITTED, VideoState.FAILED},
    VideoState.ADMITTED: {VideoState.DECODING, VideoState.FAILED},
    VideoState.DECODING: {VideoState.ENCODING, VideoState.INTERRUPTED, VideoState.FAILED},
    VideoState.ENCODING: {VideoState.MUXING, VideoState.FAILED},
    VideoState.MUXING: {VideoState.DONE, VideoState.FAILED},
    VideoState.DONE: set(),
    VideoState.INTERRUPTED: {VideoState.FAILED},
    VideoState.FAILED: set(),
}


class VideoTask:
    """One film. `run` decodes in the calling thread and starts a thread that encodes."""

    def __init__(self, task: Task, admission: Admission, context: JobContext) -> None:
        self.task, self.context = task, context
        self.source, self.output = admission.source, admission.output
        self.share = admission.share
        self.state = VideoState.PROBED
        self.error: ProcessingError | None = None
        self.done = 0
        """Frames encoded."""
        self.expected = self.source.frames
        self.position = Fraction(0)
        """Seconds of the film that are encoded."""
        self.notes = list(admission.notes)
        job = context.settings
        self._working_size = context.find_working_size(task)
        self._stabilizer: Stabilizer[FrameItem] = Stabilizer(job.stabilize, job.every)
        is_corrected = bool(task.correction.decision.shots) or task.settings.references is not None
        tracks_shots = context.is_temporal or job.stabilize != "off" or is_corrected
        self._shots = ShotTracker() if tracks_shots else None
        self._resume_point = context.find_resume_point(task)
        self._sink = open_sink(task, admission, self._resume_point.folder, job.quality)
        self._segments = self._sink.segments
        self._in_flight = ByteBudget(
            admission.max_in_flight, admission.max_in_flight, context.cancellation
        )
        self._coloured: Channel[FrameItem] = Channel(context.cancellation, 1)
        self._frames = open_frames(admission)
        self._frames_again = open_frames(admission) if admission.decodes_twice else None
        """Decodes in the thread that encodes; damage is reported by `_frames`."""
        self._packets = PacketScan()
        self._resumed_at = self._replay = 0
        self._next_decoded = self._next_encoded = 0
        self._early: dict[int, FrameItem] = {}
        """Frames that arrived before earlier frames did."""
        self._lock = threading.Lock()
        self._in_inference = 0
        self._all_decoded = False

    # ---- states ----------------------------------------------------------------------------

    def _enter(self, state: VideoState) -> bool:
        """Changes the state where the transition is allowed; False where it is not, as after a
        failure in the other thread."""
        with self._lock:
            if state not in TRANSITIONS[self.state]:
                return False
            self.state = state
            return True

    def run(self) -> None:
        """From admission to the last decoded frame. The encoding thread reports the outcome."""
        with self.context.hold(self.task.source.path, FILM):
            self._run()

    def _run(self) -> None:
        try:
            self._admit()
        except ProcessingError as error:
            self.fail(error)
            self.context.fail(self.task, error, self.share)
            return
        self._enter(VideoState.DECODING)
        self.context.report.expect(self.expected - self.done)
        self.context.start_thread(f"film-{self.task.target.name}", self._encode_and_commit)
        self._decode()
        if self.context.is_temporal:
            self.context.submit(EndOfStream(self))

    def _encode_and_commit(self) -> None:
        try:
            with self.context.hold(self.task.source.path, FILM):
                is_committed = self._encode()
        except ProcessingError as error:
            failure = error
        else:
            if is_committed:
                self._enter(VideoState.DONE)
                self._report_success()
            self.context.budget.release(self.share)
            return
        self.fail(failure)
        self._drain()
        self.context.fail(self.task, failure, self.share)

    def fail(self, error: ProcessingError) -> None:
        """Enters FAILED; frames in flight are discarded. The first error is the one reported."""
        self.error = self.error or error
        self._enter(VideoState.FAILED)
        self.context.cancellation.wake()

    @property
    def _is_ended(self) -> bool:
        return self.state in (VideoState.FAILED, VideoState.INTERRUPTED)

    def _report_success(self) -> None:
        self.notes += write_contact_strip(self.task, self.context.settings)
        for note in self.notes:
            self.context.report.note_film(str(self.task.source.relative), note)
        self.context.succeed(self.task, self.notes)

    # ---- admitted: find the frames of an earlier job ---------------------------------------

    def _admit(self) -> None:
        """Scans the packets of the source and restores the state of an earlier job.

        Raises ProcessingError, OutputError.
        """
        self._packets = scan_packets(self.source)
        self.expected = self.source.frames or self._packets.packets
        preview = self.output.settings.preview
        if preview is not None:
            rest = self.expected - round(preview.start * self.source.rate)
            self.expected = max(0, min(rest, round(preview.length * self.source.rate)))
        if self.output.settings.starts_later and self.task.correction.decision.shots:
            self.notes.append(IGNORED_SHOTS)
        self._describe()
        self.context.open_output()
        with temporary_path(self.task.target):  # translates errors of the disk
            self.notes += self._segments.resume(self._resume_point.fingerprint)
        state = self._segments.state
        self._resumed_at = self.done = self._frames.skip = state.frames
        self._replay = state.replay
        if self._frames_again is not None:
            self._frames_again.skip = state.frames
        self._stabilizer.restore(self._segments.stabilizer_state)
        is_temporal = self.context.is_temporal
        if self._shots is not None and state.frames:
            # The stabilizer needs its last block again, tracked from the frame before it. A
            # temporal model needs the whole shot again.
            self._frames.skip = state.shot if is_temporal else max(state.replay - 1, 0)
            self._shots = ShotTracker(self._frames.skip, state.shot)
        self._next_decoded = self._frames.skip
        self._next_encoded = self._next_decoded if is_temporal else state.replay
        self._enter(VideoState.ADMITTED)

    def _describe(self) -> None:
        """Prepares the marks and the signature. Raises ProcessingError."""
        if self.task.correction.is_rejected:  # there are no computed colours to state
            return
        is_marked, credentials = not self.context.settings.no_mark, self.context.credentials
        if credentials is not None:
            is_folder = self.source.is_image_sequence or self.output.settings.to_frames
            if unsigned := describe_unsigned(self.task, is_folder=is_folder):
                self.notes.append(unsigned)
                credentials = None
        if not is_marked and credentials is None:
            return
        provenance = self.context.describe_source(self.task)
        if is_marked:
            self._sink.mark(provenance)
        if credentials is not None:
            self._sink.sign = partial(sign_in_place, credentials, self.task, provenance=provenance)

    # ---- decoding --------------------------------------------------------------------------

    def _decode(self) -> None:
        """Decodes every frame and submits it to inference, until the film fails."""
        try:
            for frame in self._frames:
                if self.error is not None or not self._in_flight.acquire(1):
                    self._enter(VideoState.INTERRUPTED)
                    break
                item = self._prepare(frame)
                if item.is_replayed and not self.context.is_temporal:
                    self._in_flight.release(1)
                    continue
                with self._lock:
                    self._in_inference += 1
                if self._needs_model(item):
                    self.context.submit(item)
                else:
                    self.receive(item)
        except ProcessingError as error:
            self.fail(error)
        except MEDIA_ERRORS as error:
            self.fail(ProcessingError("decode", format_av_error(error)))
        except MemoryError:
            self.fail(ProcessingError("decode", NO_MEMORY))
        self._enter(VideoState.ENCODING)
        with self._lock:
            self._all_decoded = True
            is_last = self._in_inference == 0
        if is_last:
            self._coloured.end()

    def _prepare(self, frame: VideoFrame) -> FrameItem:
        number, self._next_decoded = self._next_decoded, self._next_decoded + 1
        square = read_luma(frame, self.output.frame_format, self._working_size)
        kept = frame if self._frames_again is None else None
        if self._shots is None:
            return FrameItem(self, number, kept, square, square, None)
        guide = read_luma(frame, self.output.frame_format, SIDE)
        position = self._shots.track(guide)
        return FrameItem(self, number, kept, square, guide, position, number < self._replay)

    def _needs_model(self, item: FrameItem) -> bool:
        """Whether the model colours it, or colours are propagated along motion."""
        every, position = self.context.settings.every, item.shot_position
        return every == 1 or position is None or (position.number - position.shot) % every == 0

    def receive(self, item: FrameItem) -> None:
        """Takes a frame back from inference."""
        self._coloured.put(item)
        with self._lock:
            self._in_inference -= 1
            is_last = self._all_decoded and self._in_inference == 0
        if is_last:
            self._coloured.end()

    # ---- encoding segments, muxing ---------------------------------------------------------

    def _encode(self) -> bool:
        """Encodes the frames that return and commits the film; False where the job stopped.

        Raises ProcessingError, OutputError.
        """
        with temporary_path(self.task.target) as temporary:
            try:
                with memory_failure("encode"):
                    self._encode_frames()
                if self.error is not None:
                    raise self.error
                if not self._enter(VideoState.MUXING):
                    return False
                self._segments.close_segment({}, 0, 0)
                commit = partial(self._sink.commit, temporary, self._frames, self._packets)
                notes = commit(replace=self.task.replaces)
            except FileExistsError as error:
                raise ProcessingError("commit", "its name was taken while the job ran") from error
            except (ProcessingError, OSError):
                raise  # errors of the disk: `temporary_path` translates them
            except MEDIA_ERRORS as error:
                raise ProcessingError("encode", format_av_error(error)) from error
        self.notes += [*self._frames.notes, *notes]
        if self._resumed_at:
            self.notes.append(f"resumed at frame {self._resumed_at}, where an earlier run stopped")
        self._segments.remove()
        return True

    def _drain(self) -> None:
        """Empties the queue and releases its memory, so that the decoding thread can end."""
        self._segments.remove()
        for _ in self._early:
            self._in_flight.release(1)
        for _ in self._coloured:
            self._in_flight.release(1)

    def _encode_frames(self) -> None:
        again = None if self._frames_again is None else iter(self._frames_again)
        for item in self._in_order():
            if item.is_replayed or self._is_ended:
                self._in_flight.release(1)
                continue
            match = item.shot_position.match if item.shot_position else None
            self._encode_block(self._stabilizer.add(item.guide, item.chroma, item, match), again)
            if again is not None:
                self._in_flight.release(1)  # the stabilizer keeps no frame, only small fields
        if not self._is_ended:
            self._encode_block(self._stabilizer.flush(), again)

    def _encode_block(
        self, block: list[tuple[FrameItem, Field]], again: Iterator[VideoFrame] | None
    ) -> None:
        """Encodes the frames that the stabilizer returns at once; `again` decodes them again."""
        if not block:
            return
        first = block[0][0].number
        for item, chroma in block:
            is_written = item.number < self._resumed_at
            if not is_written:
                self._encode_one(item, self._take_frame(item, again), chroma, first)
            if again is None:
                self._in_flight.release(1)

    def _take_frame(self, item: FrameItem, again: Iterator[VideoFrame] | None) -> VideoFrame:
        frame = item.frame if again is None else next(again, None)
        if frame is None:
            raise ProcessingError("decode", "its frames cannot be decoded a second time")
        return frame

    def _in_order(self) -> Iterator[FrameItem]:
        """Frames in film order: those that skip the model arrive before those that do not."""
        for item in self._coloured:
            self._early[item.number] = item
            del item  # the wait for the next frame must not keep the memory of this one
            while self._next_encoded in self._early:
                self._next_encoded += 1
                yield self._early.pop(self._next_encoded - 1)

    def _encode_one(
        self, item: FrameItem, frame: VideoFrame, chroma: Field, block_start: int
    ) -> None:
        frame_format = self.output.frame_format
        coloured = write_chroma(frame, chroma, frame_format, self._find_strength(item))
        if self.output.settings.compare:
            coloured = join_side_by_side(coloured, frame_format)
        if self._segments.write(coloured):
            shot = item.shot_position.shot if item.shot_position else 0
            replay = block_start if self._stabilizer.is_active else item.number + 1
            self._segments.close_segment(self._stabilizer.state(), shot, replay)
        self.done += 1
        self.position = self._sink.timeline.seconds
        self._report_progress()

    def _find_strength(self, item: FrameItem) -> float:
        """The strength of a frame: as decided for its shot, or for the film."""
        position = item.shot_position
        first = item.number if position is None else position.shot
        shot = self.task.correction.find_shot(first, item.number)
        if shot is not None and shot.state == "rejected":
            return 0.0
        if shot is not None and shot.strength is not None:
            return shot.strength
        return self.task.settings.strength

    def _report_progress(self) -> None:
        time = timedelta(seconds=int(self.position))
        total = f" of {self.expected}" if self.expected else ""
        report = self.context.report
        report.count_frame()
        report.current = f"{self.task.source.relative} {time}, frame {self.done}{total}"
