"""One film as a state machine: from the probe of its header to the result or the failure.

decode (a decode thread) -> small luma -> batch (device) -> chroma -> stabilize -> encode segments
(a thread of its own) -> mux -> commit

`frame_decoding.py` has the steps up to the batch, `frame_encoding.py` those after it. Frames share
inference batches with still pictures. Both threads process frames in order; frames that do not go
to the model arrive early and wait. The number of frames in flight is bounded, so memory does not
depend on the length of a film.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from batchcolor.errors import ProcessingError
from batchcolor.pipeline.films.film_parts import adopt_parts, find_part_folder, read_part
from batchcolor.pipeline.films.frame_decoding import FrameDecoding
from batchcolor.pipeline.films.frame_encoding import FrameEncoding
from batchcolor.pipeline.films.room import count_frames
from batchcolor.pipeline.films.video_admission import Admission, open_sink
from batchcolor.pipeline.films.video_states import FilmStatus, VideoState
from batchcolor.pipeline.items.frame_item import FrameItem
from batchcolor.pipeline.items.frame_order import EndOfStream
from batchcolor.pipeline.job_context import JobContext
from batchcolor.pipeline.memory_errors import memory_failure
from batchcolor.pipeline.pictures.picture_decoder import FILM
from batchcolor.pipeline.planning.task import Task
from batchcolor.pipeline.records.strip_writer import write_contact_strip
from batchcolor.pipeline.result_signing import describe_unsigned, sign_in_place
from batchcolor.storage.atomic import temporary_path
from batchcolor.video.ffmpeg import MEDIA_ERRORS, format_av_error
from batchcolor.video.output.containers import check_frame_rate
from batchcolor.video.output.segment_state import DamagedStateError
from batchcolor.video.output.segments import Segments
from batchcolor.video.output.timestamps import PacketScan, scan_packets
from batchcolor.video.temporal.film_colors import ColorRules
from batchcolor.video.temporal.motion import Field
from batchcolor.video.temporal.shot_palette import ShotReference


class VideoTask:
    """One film. `run` decodes in the calling thread and starts a thread that encodes."""

    def __init__(self, task: Task, admission: Admission, context: JobContext) -> None:
        self.task, self.context = task, context
        self.source, self.output = admission.source, admission.output
        self.share = admission.share
        self._planned = count_frames(admission)
        self.notes = list(admission.notes)
        self._status = FilmStatus(context.cancellation)
        self._resume_point = context.find_resume_point(task)
        folder = self._resume_point.folder
        if task.part is not None:
            folder = find_part_folder(self._resume_point, task.part)
        self._sink = open_sink(task, admission, folder, context.settings.quality)
        self._decoding = FrameDecoding(self, admission, context, self._status)
        self._encoding = FrameEncoding(
            *(task, admission, self._sink, self._decoding, self._status),
            *(context.settings, context.report, self._make_color_rules()),
        )
        self._packets = PacketScan()
        self._parts = 0
        """Parts that several processes have coloured."""

    def run(self) -> None:
        """From admission to the last decoded frame. The encoding thread reports the outcome."""
        with self.context.hold(self.task.source.path, FILM):
            self._run()

    def _run(self) -> None:
        self.context.report.begin_film(self._planned)
        try:
            self._admit()
        except ProcessingError as error:
            self.fail(error)
            self.context.fail(self.task, error, self.share)
            return
        self._status.enter(VideoState.DECODING)
        if self._encoding.resumed_at == self._decoding.end:  # the part is complete
            self._status.enter(VideoState.INTERRUPTED)
        self.context.report.expect(self._encoding.expected - self._encoding.done)
        self.context.start_thread(f"film-{self.task.target.name}", self._encode_and_report)
        self._decoding.run()
        if self.context.is_temporal:
            self.context.submit(EndOfStream(self))

    def _make_color_rules(self) -> ColorRules:
        settings, shots = self.task.settings, self.task.correction.decision.shots
        is_locked = self.context.settings.palette_lock
        references = [settings.like, settings.references, *(shot.reference for shot in shots)]
        if all(reference is None for reference in references):
            return ColorRules(is_locked=is_locked)
        return ColorRules(self._find_shot_reference, is_locked)

    def _find_shot_reference(self, first: int, lumas: Sequence[Field]) -> ShotReference | None:
        shot = self.find_film_numbers(first, first + len(lumas) - 1)
        return self.context.find_shot_reference(self.task, shot, lumas, self.source.rate)

    def find_film_numbers(self, first: int, last: int) -> tuple[int, int]:
        """As `FilmNumbers.find`."""
        return self._decoding.numbers.find(first, last)

    def fail(self, error: ProcessingError) -> None:
        """Ends the film with this error."""
        self._status.fail(error)

    def receive(self, item: FrameItem) -> None:
        """Takes a frame back from inference."""
        self._decoding.receive(item)

    # ---- admitted: find the frames of an earlier job ---------------------------------------

    def _admit(self) -> None:
        """Scans the packets of the source and restores the state of an earlier job.

        Raises ProcessingError, OutputError.
        """
        self._packets = scan_packets(self.source)
        check_frame_rate(self.output.container, self._packets)
        self._encoding.expected = self._count_expected()
        self._decoding.locate()
        self._describe()
        self.context.open_output()
        segments = self._sink.segments
        with temporary_path(self.task.target):  # translates errors of the disk
            self.notes += self._resume_segments(segments)
        discarded = self._packets.discarded
        self._encoding.resume(self._decoding.resume(segments, discarded), discarded)
        self._status.enter(VideoState.ADMITTED)

    def _resume_segments(self, segments: Segments) -> list[str]:
        """Restores the segments of an earlier job, of a part, or of all parts; returns notes.

        Raises ProcessingError, OSError, OutputError.
        """
        point, number = self._resume_point, self.task.part
        if number is None:
            self._parts = adopt_parts(point)
            return segments.resume(point.fingerprint)
        try:
            part = read_part(point, number)
        except DamagedStateError as error:
            raise ProcessingError("decode", f"{error} is damaged") from error
        self._decoding.end = self._encoding.expected = part.end
        return segments.resume(point.fingerprint, part.start)

    def _count_expected(self) -> int:
        """Returns the number of frames to be coloured, as far as it is known."""
        frames = self.source.frames or self._packets.packets
        preview = self.output.settings.preview
        if preview is None:
            return frames
        if preview.is_shots:
            return 0
        rest = frames - round(preview.start * self.source.rate)
        return max(0, min(rest, round(preview.length * self.source.rate)))

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

    # ---- encoding, muxing, done ------------------------------------------------------------

    def _encode_and_report(self) -> None:
        try:
            with self.context.hold(self.task.source.path, FILM):
                is_committed = self._encode_and_commit()
        except ProcessingError as error:
            failure = error
        else:
            if is_committed:
                self._status.enter(VideoState.DONE)
                self._report_success()
            self.context.budget.release(self.share)
            return
        self.fail(failure)
        self._sink.segments.remove()
        self._encoding.drain()
        self.context.fail(self.task, failure, self.share)

    def _encode_and_commit(self) -> bool:
        """Encodes the frames that return and commits the film; False where the job stopped.

        Raises ProcessingError, OutputError.
        """
        decoder = self._decoding.frames
        with temporary_path(self.task.target) as temporary:
            try:
                with memory_failure("encode"):
                    self._encoding.run()
                if self._status.error is not None:
                    raise self._status.error
                if self.task.part is not None or not self._status.enter(VideoState.MUXING):
                    return False
                self._sink.segments.close_segment({}, 0, 0)
                commit = partial(self._sink.commit, temporary, decoder, self._packets)
                notes = commit(replace=self.task.replaces)
            except FileExistsError as error:
                raise ProcessingError("commit", "its name was taken while the job ran") from error
            except (ProcessingError, OSError):
                raise  # errors of the disk: `temporary_path` translates them
            except MEDIA_ERRORS as error:
                raise ProcessingError("encode", format_av_error(error)) from error
        self.notes += [*decoder.notes, *notes, *self._encoding.notes]
        if self._parts:
            self.notes.append(f"coloured in {self._parts} parts by the workers of the cluster")
        elif resumed_at := self._encoding.resumed_at:
            self.notes.append(f"resumed at frame {resumed_at}, where an earlier run stopped")
        self._sink.segments.remove()
        return True

    def _report_success(self) -> None:
        self.notes += write_contact_strip(self.task, self.context.settings)
        for note in self.notes:
            self.context.report.note_film(str(self.task.source.relative), note)
        self.context.succeed(self.task, self.notes)
