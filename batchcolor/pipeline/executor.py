"""A job from top to bottom:

scan -> plan -> decode (threads) -> luma + small square -> batch (device) -> chroma
     -> join (threads) -> encode (threads) -> commit -> journal

Each arrow is a channel between threads; all channels share one budget of bytes. A picture that
fails at any step leaves with a reason, and the others continue. Frames of films join at "batch":
`films` has their steps before and after it, `document_task.py` those of pages.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from batchcolor.errors import ExitCode, ProcessingError
from batchcolor.hooks.manager import Plugins
from batchcolor.hooks.types import Outcome
from batchcolor.images.scan import SkippedEntry
from batchcolor.inference.runner import Prediction, Runner
from batchcolor.pipeline.decode_watch import DecodeWatch
from batchcolor.pipeline.films.film_prober import FilmProber
from batchcolor.pipeline.films.video_task import VideoTask
from batchcolor.pipeline.gallery.open_gallery import open_gallery
from batchcolor.pipeline.gallery.writer import GalleryWriter
from batchcolor.pipeline.items.document_item import PageItem
from batchcolor.pipeline.items.frame_item import FrameItem
from batchcolor.pipeline.items.frame_order import EndOfStream, one_stream_at_a_time
from batchcolor.pipeline.items.picture_item import PictureItem
from batchcolor.pipeline.job_context import JobContext
from batchcolor.pipeline.pictures.document_task import DocumentContext, DocumentTask
from batchcolor.pipeline.pictures.picture_decoder import PictureDecoder
from batchcolor.pipeline.pictures.picture_encoder import PictureEncoder
from batchcolor.pipeline.pictures.picture_stages import PictureStages
from batchcolor.pipeline.planning.planner import Plan
from batchcolor.pipeline.planning.task import Task
from batchcolor.pipeline.records.provenance_record import ProvenanceRecorder
from batchcolor.pipeline.records.recorder import Recorder
from batchcolor.pipeline.report import Report
from batchcolor.pipeline.report_end import complete_report
from batchcolor.pipeline.runner_pool import RunnerPool
from batchcolor.pipeline.source_counter import SourceCounter
from batchcolor.pipeline.source_opener import OpenedSource, SourceOpener
from batchcolor.pipeline.stage_threads import StageThreads
from batchcolor.pipeline.stages import ByteBudget, Cancellation, Channel
from batchcolor.storage.atomic import remove_stale_temporaries
from batchcolor.storage.journal import Journal
from batchcolor.storage.mounts import name_of

AnyItem = PictureItem | PageItem | FrameItem
DOES_NOT_RETURN = "its decoder does not return; the file may be damaged, or its reader faulty"


class Pipeline:
    """One running job. `start` returns at once; `wait` blocks until the end or a time limit.

    `is_part`: another process passes the outcomes of the whole job to the plugins. `observe` is
    called with the outcome of each picture and film, one at a time.
    """

    def __init__(
        self,
        plan: Plan,
        runner: Runner,
        plugins: Plugins,
        journal: Journal,
        observe: Callable[[Outcome], None] | None = None,
        *,
        is_part: bool = False,
    ) -> None:
        self.plan, self.settings, self.runner = plan, plan.settings, runner
        self.plugins, self.journal = plugins, journal
        self.readers = plugins.readers()
        self.decoder = PictureDecoder(self.settings, self.readers, journal)
        shard = "" if plan.shard is None else str(plan.shard)
        self.report = Report(runner.name, name_of(plan.output), shard)
        self.runners = RunnerPool(runner, plugins, self.settings, self._note_reference)
        self.provenance = ProvenanceRecorder(plan, runner.spec, plugins)
        self.encoder = PictureEncoder(self.settings, self.provenance)
        self.gallery: GalleryWriter | None = None
        if self.settings.gallery:
            self.gallery = open_gallery(plan, runner.name, self.readers)
            self.report.gallery = self.gallery.place.first_page
        observers = None if is_part else plugins
        self.recorder = Recorder(
            *(plan, self.provenance, journal, self.report, observers, self.gallery, observe)
        )
        self.stop, self.watch = Cancellation(), DecodeWatch()
        threads = self.settings.threads
        max_items = (
            2 * runner.squares_at_once + 4 * threads
        )  # one batch in work, one waiting, threads
        self.budget = ByteBudget(self.settings.memory, max_items, self.stop)
        self.prober = FilmProber(
            self.settings, self.budget.limit, runner.squares_at_once, self.stop, self.decoder
        )
        self.to_decode: Channel[OpenedSource] = Channel(self.stop, 1)
        self.to_chroma: Channel[AnyItem | EndOfStream] = Channel(self.stop, threads)
        self.to_encode: Channel[PictureItem | PageItem] = Channel(self.stop, 1)
        self.threads = StageThreads(self.report, self.stop)
        self._signal: ExitCode | None = None
        self.context = JobContext(
            settings=self.settings,
            budget=self.budget,
            report=self.report,
            cancellation=self.stop,
            find_working_size=self.runners.find_working_size,
            find_shot_reference=self.runners.find_shot_reference,
            is_temporal=runner.spec.temporal,
            submit=self.to_chroma.put,
            open_output=journal.open,
            hold=self.decoder.hold,
            succeed=self.recorder.succeed,
            fail=self._fail,
            start_thread=self.threads.start,
            find_resume_point=self.recorder.find_resume_point,
            describe_source=self.provenance.describe,
            credentials=self.encoder.credentials,
        )
        self.pictures = PictureStages(
            *(self.context, plan, self.decoder, self.encoder, self.recorder, self.watch),
            *(self.to_chroma.put, self.to_encode.put),
        )
        documents = DocumentContext(
            *(self.context, self.decoder, self.encoder, self.to_encode.put),
            self.pictures.keep_colored,
        )
        self.opener = SourceOpener(self.context, self.decoder, self.prober, documents)
        self.counter = SourceCounter(
            *(plan, journal, runner.weights_hash, self.readers),
            *(self.prober, self.report, self.stop),
        )

    # ---- the stages in order -------------------------------------------------------------

    def _scan_and_plan(self) -> None:
        for task in self._tasks():
            if self.stop.draining.is_set():
                break
            if isinstance(task, SkippedEntry):
                self.recorder.skip_entry(task)
                continue
            self.report.scanned += 1
            if task.action != "colour":
                self.recorder.skip(task)
            elif not self._admit(task):
                break
        else:
            self.report.is_scanning = False
        self.to_decode.end()

    def _tasks(self) -> Iterator[Task | SkippedEntry]:
        """Every task once; those that were in work at a crash come first, if they are here."""
        digest = self.runner.weights_hash
        if self.plan.has_remote_sources:
            return self.plan.tasks(self.journal, digest, self.readers, fetches=True)
        return self.decoder.interrupted_first(
            lambda: self.plan.tasks(self.journal, digest, self.readers)
        )

    def _decode(self) -> None:
        self.to_decode.for_each(self._decode_one)
        self.to_chroma.end()

    def _chroma(self) -> None:
        for batch in self._batches():
            self._color_batch(batch)
            del batch  # the wait for the next batch must not keep the memory of this one
        self.to_encode.end()

    def _encode(self) -> None:
        self.to_encode.for_each(self._encode_one)

    # ---- the parts of a stage ------------------------------------------------------------

    def _decode_one(self, item: OpenedSource) -> None:
        if isinstance(item, VideoTask | DocumentTask):
            item.run()
        else:
            self.pictures.decode(*item)

    def _color_batch(self, batch: list[AnyItem]) -> None:
        for item, found in zip(batch, self.runners.run(batch), strict=True):
            self._receive_chroma(item, found)

    def _encode_one(self, item: PictureItem | PageItem) -> None:
        if isinstance(item, PageItem):
            item.document.encode(item)
        else:
            self.pictures.encode(item)

    def _admit(self, task: Task) -> bool:
        """Reserves the memory of a picture or film and queues it; False when the job stops."""
        try:
            item, share = self.opener.open(task)
        except ProcessingError as error:
            self.recorder.fail(task, error)
            return True
        if not self.budget.acquire(share):
            return False
        self.to_decode.put(item)
        return True

    def _note_reference(self, task: Task, note: str) -> None:
        """Adds to the notes of a source which of several references it has."""
        self.recorder.add_note(task, note)

    def _batches(self) -> Iterator[list[AnyItem]]:
        """Batches across pictures and films; for temporal models one frame at a time."""
        if self.runner.spec.temporal:
            items: Iterator[AnyItem] = one_stream_at_a_time(self.to_chroma)
            return map(lambda item: [item], items)  # noqa: C417 (a generator keeps its item)
        return map(_drop_ends, self.to_chroma.batches(lambda: self.runner.squares_at_once))

    def _receive_chroma(self, item: AnyItem, found: Prediction | ProcessingError) -> None:
        """Passes a picture to the encoders, and a frame back to its film."""
        error = found if isinstance(found, ProcessingError) else None
        if not isinstance(found, ProcessingError):
            self.recorder.add_doubt(item.task, found.doubt)
            try:
                item.chroma = self._filter_chroma(found.chroma, item)
            except ProcessingError as refused:
                error = refused
        if isinstance(item, FrameItem):
            if error is not None:
                item.stream.fail(error)
            item.stream.receive(item)
        elif isinstance(item, PageItem):
            item.document.receive(item, error)
        elif error is not None:
            self._fail(item.task, error, item.share)
        else:
            self.to_encode.put(item)

    def _filter_chroma(self, chroma: NDArray[np.float32], item: AnyItem) -> NDArray[np.float32]:
        if not self.plugins.filters_chroma:
            return chroma
        return self.plugins.filter_chroma(chroma, item.square, item.picture)

    def _fail(self, task: Task, error: ProcessingError, share: int) -> None:
        """Records a failure and releases the memory of the picture or film."""
        self.recorder.fail(task, error)
        self.budget.release(share)

    # ---- start and end -------------------------------------------------------------------

    def start(self) -> None:
        """Starts every stage. Raises OutputError where the output folder cannot be made."""
        self.decoder.open()
        if self.plan.remote_output is not None:
            self.plan.remote_output.stop_job = self.stop.fail
            if self.journal.uses_lock and self.plan.shard is None:
                self.plan.remote_output.remove_leftovers()
        if self.journal.uses_lock:  # else they may belong to a job on another computer
            remove_stale_temporaries(self.plan.output, self.journal.shard)
        stages = [
            ("scan", self._scan_and_plan),
            ("count", self.counter.count),
            ("chroma", self._chroma),
        ]
        for number in range(self.settings.threads):
            stages += [(f"decode-{number}", self._decode), (f"encode-{number}", self._encode)]
        for name, work in stages:
            self.threads.start(name, work)
        if self.gallery is not None:
            self.gallery.start()

    def interrupt(self, code: ExitCode) -> None:
        """Starts no new pictures and finishes those in flight. For signal handlers."""
        self._signal = code
        self.stop.draining.set()
        if self.plan.session is not None:
            self.plan.session.stop.set()

    def wait(self, seconds: float) -> bool:
        """Whether the job has ended, after at most so many seconds."""
        if self.stop.draining.is_set():
            self.stop.wake()
        self._replace_overdue()
        if not self.threads.wait(seconds):
            return False
        if self.plan.remote_output is not None and not self._put_rest(seconds):
            return False
        return self.gallery is None or self._close_gallery(self.gallery, seconds)

    def _put_rest(self, seconds: float) -> bool:
        """Waits for results that are being put; whether all of them are there."""
        assert self.plan.remote_output is not None
        if self.stop.error is not None:
            self.plan.remote_output.abort()
            return True
        return self.plan.remote_output.wait(seconds)

    def _replace_overdue(self) -> None:
        """Fails pictures whose decoder does not return; another thread decodes the others."""
        for overdue in self.watch.take_overdue(is_stopping=self.stop.draining.is_set()):
            self._fail(overdue.task, ProcessingError("decode", DOES_NOT_RETURN), overdue.share)
            self.threads.replace(overdue.thread, self._decode)

    def _close_gallery(self, gallery: GalleryWriter, seconds: float) -> bool:
        """Waits for the pictures that the gallery lacks; a job that stops leaves them."""
        if self._signal is not None or self.stop.error is not None:
            gallery.abort()
        return gallery.close(seconds)

    def abort(self, error: BaseException) -> None:
        """Ends the job with an error of its caller; no thread is left at the end."""
        self.stop.fail(error)
        if self.plan.session is not None:
            self.plan.session.stop.set()
        self.threads.join()
        if self.plan.remote_output is not None:
            self.plan.remote_output.abort()
        if self.gallery is not None:
            self.gallery.abort()
            self.gallery.close()
        self.decoder.close(is_complete=False)

    def finish(self) -> Report:
        """The report. Raises internal errors; all other errors are in the report."""
        self.decoder.close(is_complete=self.stop.error is None and self._signal is None)
        error = self.stop.error
        if error is None and self._signal is None and self.gallery is not None:
            error = self.gallery.error
        notes = (*self.journal.notes, *self.decoder.notes, *self.runners.notes)
        complete_report(self.report, self.plan, self.journal, notes, error, self._signal)
        return self.report


def _drop_ends(batch: list[AnyItem | EndOfStream]) -> list[AnyItem]:
    return [item for item in batch if not isinstance(item, EndOfStream)]
