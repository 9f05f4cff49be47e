"""A job from top to bottom:

scan -> plan -> decode (threads) -> luma + small square -> batch (device) -> chroma
     -> join (threads) -> encode (threads) -> commit -> journal

Each arrow is a channel between threads; all channels share one budget of bytes. A picture that
fails at any step leaves with a reason, and the others continue. Frames of films join at "batch":
`video_task.py` has their steps before and after it.
"""

from __future__ import annotations

import hashlib
import json
import os
import threading
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from batchcolor.errors import LIMITS, ExitCode, OutputError, ProcessingError
from batchcolor.hooks.manager import Plugins, format_error
from batchcolor.hooks.types import Outcome
from batchcolor.images.decode import decode, estimate_memory
from batchcolor.images.encode import encode
from batchcolor.images.formats import VIDEO_SUFFIXES
from batchcolor.images.join import join
from batchcolor.images.picture import Picture, resize_luma
from batchcolor.images.scan import SkippedEntry
from batchcolor.images.verify import verify_image
from batchcolor.inference.runner import Runner
from batchcolor.pipeline.contact_strip import write_contact_strip
from batchcolor.pipeline.frame_order import EndOfStream, one_stream_at_a_time
from batchcolor.pipeline.planner import Plan, Task
from batchcolor.pipeline.report import Report
from batchcolor.pipeline.stages import ByteBudget, Cancellation, Channel, start_thread
from batchcolor.pipeline.video_admission import Admission
from batchcolor.pipeline.video_sink import ResumePoint
from batchcolor.pipeline.video_task import FrameItem, JobContext, VideoTask, probe_film
from batchcolor.storage.atomic import commit, remove_own_temporaries, remove_stale_temporaries
from batchcolor.storage.journal import Journal, JournalEntry, absolute_source, head_tail_digest

MAX_SKIPPED = 1000
"""Skipped entries that the report names; further ones are not kept."""


@dataclass
class Item:
    """One picture in flight."""

    task: Task
    share: int
    picture: Picture
    square: NDArray[np.float32]
    begins: Literal[True] = True
    """A picture is a film of one frame to a temporal model."""
    stream: None = None
    chroma: NDArray[np.float32] = field(default_factory=lambda: np.zeros((2, 1, 1), np.float32))


class Pipeline:
    """One running job. `start` returns at once; `wait` blocks until the end or a time limit."""

    def __init__(self, plan: Plan, runner: Runner, plugins: Plugins, journal: Journal) -> None:
        self.plan, self.settings, self.runner = plan, plan.settings, runner
        self.plugins, self.journal = plugins, journal
        self.readers = plugins.readers()
        self.report = Report(runner.name, str(plan.output))
        self.stop = Cancellation()
        threads = self.settings.threads
        max_items = 2 * runner.batch_size + 4 * threads  # one batch in work, one waiting, threads
        self.budget = ByteBudget(self.settings.memory, max_items, self.stop)
        self.to_decode: Channel[tuple[Task, int] | VideoTask] = Channel(self.stop, 1)
        self.to_chroma: Channel[Item | FrameItem | EndOfStream] = Channel(self.stop, threads)
        self.to_encode: Channel[Item] = Channel(self.stop, 1)
        self._films_probed = threading.Event()
        self._finishing = threading.Lock()
        self.threads: list[threading.Thread] = []
        self._signal: ExitCode | None = None
        self._refused_films: dict[Path, ProcessingError] = {}
        self.context = JobContext(
            settings=self.settings,
            budget=self.budget,
            report=self.report,
            cancellation=self.stop,
            working_size=runner.working_size,
            is_temporal=runner.spec.temporal,
            submit=self.to_chroma.put,
            succeed=self.succeeded,
            fail=self.failed,
            start_thread=self._start_thread,
            find_resume_point=self._find_resume_point,
        )

    # ---- the stages in order -------------------------------------------------------------

    def _count(self) -> None:
        """Count names ahead of the work, then probe the films: none is begun before all are."""
        is_cancelled = self.stop.draining.is_set
        self.report.counted, has_films = self.plan.count_files(self.readers, is_cancelled)
        if has_films:
            self._probe_films()
        self._films_probed.set()
        self.stop.wake()

    def _probe_films(self) -> None:
        """Report the films that cannot be coloured as asked before any film is begun."""
        tasks = self.plan.tasks(self.journal, self.runner.weights_hash, (), VIDEO_SUFFIXES)
        for task in tasks:
            if self.stop.draining.is_set():
                return
            if isinstance(task, SkippedEntry) or task.action != "colour" or not task.found.film:
                continue
            try:
                self._probe(task)
            except ProcessingError as error:
                self._refused_films[task.found.path] = error
                self.report.refused.append((str(task.found.path), error.reason))

    def _scan_and_plan(self) -> None:
        for task in self.plan.tasks(self.journal, self.runner.weights_hash, self.readers):
            if self.stop.draining.is_set():
                break
            if isinstance(task, SkippedEntry) and task.failed:
                self.report.found += 1
                self._finish(Outcome(task.path, None, "failed", "scan", task.reason), None)
            elif isinstance(task, SkippedEntry):
                if len(self.report.passed) < MAX_SKIPPED:
                    self.report.passed.append((str(task.path), task.reason))
            elif self._needs_work(task) and not self._admit(task):
                break
        self.report.scanning = False
        self.to_decode.end()

    def _decode(self) -> None:
        for item in self.to_decode:
            if isinstance(item, VideoTask):
                item.run()
                continue
            task, share = item
            try:
                self.report.current = str(task.found.relative)
                picture = decode(task.found, self.settings.max_pixels, self.readers)
                square = resize_luma(picture.luma, self.runner.working_size)
                self.to_chroma.put(Item(task, share, picture, square))
            except ProcessingError as error:
                self.failed(task, error, share)
        self.to_chroma.end()

    def _chroma(self) -> None:
        for batch in self._batches():
            squares, begins = [i.square for i in batch], [i.begins for i in batch]
            fields = self.runner.run_frames(squares, begins)
            for item, chroma in zip(batch, fields, strict=True):
                self._receive_chroma(item, chroma)
        self.to_encode.end()

    def _batches(self) -> Iterator[list[Item | FrameItem]]:
        """Batches across pictures and films; for temporal models one frame at a time."""
        if self.runner.spec.temporal:
            items: Iterator[Item | FrameItem] = one_stream_at_a_time(self.to_chroma)
            yield from ([item] for item in items)
            return
        for batch in self.to_chroma.batches(lambda: self.runner.batch_size):
            yield [item for item in batch if not isinstance(item, EndOfStream)]

    def _receive_chroma(
        self, item: Item | FrameItem, chroma: NDArray[np.float32] | ProcessingError
    ) -> None:
        """Pass a picture to the encoders, and a frame back to its film."""
        error = chroma if isinstance(chroma, ProcessingError) else None
        if not isinstance(chroma, ProcessingError):
            try:
                item.chroma = self._filter_chroma(chroma, item)
            except ProcessingError as refused:
                error = refused
        if isinstance(item, FrameItem):
            if error is not None:
                item.stream.fail(error)
            item.stream.receive(item)
        elif error is not None:
            self.failed(item.task, error, item.share)
        else:
            self.to_encode.put(item)

    def _encode(self) -> None:
        for item in self.to_encode:
            task, picture = item.task, item.picture
            try:
                planes = join(picture, item.chroma, self.settings.strength, task.format)
                data = encode(planes, picture.metadata, self.settings.quality)
                del planes
                self._commit(task, data)
                self.succeeded(task, picture.notes)
            except ProcessingError as error:
                self.failed(task, error, item.share)
            except OutputError:
                raise
            except Exception as error:  # an encoder may raise anything; one picture is not the job
                self.failed(task, ProcessingError("encode", format_error(error)), item.share)
            else:
                self.budget.release(item.share)

    # ---- the parts of a stage ------------------------------------------------------------

    def _needs_work(self, task: Task) -> bool:
        """Whether the task is to be coloured. Reports it as skipped or failed where not."""
        self.report.found += 1
        if task.action == "colour":
            return True
        if task.action in ("refused", "failed before"):
            outcome = Outcome(task.found.path, None, "failed", task.step, task.reason)
            self._finish(outcome, None)
        else:
            is_foreign = task.action == "exists"
            self.report.existed += is_foreign
            notes = [f"exists already, {task.reason}: left as it is"] if is_foreign else []
            if task.action == "done before" and task.strip and not os.path.lexists(task.strip):
                notes = write_contact_strip(task, self.settings)
            source, target = task.found.path, task.target
            outcome = Outcome(source, target, "skipped", reason=task.action, notes=tuple(notes))
            self._finish(outcome, None)
        return False

    def _admit(self, task: Task) -> bool:
        """Reserve the memory of a picture or film and queue it; False when the job is stopping."""
        film = None
        try:
            if task.found.film:
                with self.stop.changed:
                    self.stop.wait_for(self._films_probed.is_set)
                film = VideoTask(task, self._probe(task), self.context)
                share = film.share
            else:
                share = estimate_memory(task.found, self.settings.max_pixels, self.readers)
            if share > self.budget.limit:
                self.report.too_large += 1
                raise ProcessingError(
                    LIMITS,
                    f"needs about {share // 2**20 + 1} MiB, more than --max-memory allows "
                    f"({self.budget.limit // 2**20} MiB)",
                )
        except ProcessingError as error:
            self.failed(task, error)
            return True
        if not self.budget.acquire(share):
            return False
        self.to_decode.put(film or (task, share))
        return True

    def _probe(self, task: Task) -> Admission:
        """What a film needs. Raises ProcessingError where it cannot be coloured as asked."""
        if task.found.path in self._refused_films:
            raise self._refused_films[task.found.path]
        return probe_film(task, self.settings, self.budget.limit, self.runner.batch_size)

    def _find_resume_point(self, task: Task) -> ResumePoint:
        """Segments of a film lie beside the journal; they fit the same source and settings."""
        expected = self.entry(task, Outcome(task.found.path, task.target, "done"))
        fingerprint = hashlib.sha256(json.dumps(asdict(expected)).encode()).hexdigest()
        name = hashlib.sha256(os.fsencode(expected.source)).hexdigest()[:16]
        return ResumePoint(self.journal.folder / "films" / name, fingerprint)

    def _filter_chroma(
        self, chroma: NDArray[np.float32], item: Item | FrameItem
    ) -> NDArray[np.float32]:
        if not self.plugins.filters_chroma:
            return chroma
        return self.plugins.filter_chroma(chroma, item.square, item.picture)

    def _commit(self, task: Task, data: bytes) -> None:
        try:
            commit(
                data,
                task.target,
                partial(verify_image, expected=task.format),
                replace=self.settings.if_exists == "overwrite",
                mtime_ns=task.found.mtime_ns,
            )
        except FileExistsError as error:
            raise ProcessingError("commit", "its name was taken while the job ran") from error

    def succeeded(self, task: Task, notes: list[str]) -> None:
        """Report a committed picture or film to the journal, the report and plugins."""
        outcome = Outcome(task.found.path, task.target, "done", notes=tuple(notes))
        self._finish(outcome, self.entry(task, outcome))

    def failed(self, task: Task, error: ProcessingError, share: int | None = None) -> None:
        """Report a failed picture or film and release its share of memory."""
        outcome = Outcome(task.found.path, None, "failed", error.step, error.reason)
        self._finish(outcome, self.entry(task, outcome))
        if share is not None:
            self.budget.release(share)

    def entry(self, task: Task, outcome: Outcome) -> JournalEntry:
        """The journal's line."""
        return JournalEntry(
            source=absolute_source(task.found.path),
            size=task.found.size,
            mtime_ns=task.found.mtime_ns,
            edges=head_tail_digest(task.found.path),
            settings=self.plan.fingerprint(task.format, is_film=task.found.film),
            weights=self.runner.weights_hash,
            target=str(task.target.relative_to(self.plan.output)),
            outcome=outcome.status,
            step=outcome.step,
            reason=outcome.reason,
            notes=outcome.notes,
        )

    def _finish(self, outcome: Outcome, entry: JournalEntry | None) -> None:
        with self._finishing:
            if entry is not None:
                self.journal.append(entry)
            self.report.add(outcome)
            self.plugins.done(outcome)

    # ---- start and end -------------------------------------------------------------------

    def start(self) -> None:
        """Start every stage."""
        remove_stale_temporaries(self.plan.output)
        for note in self.journal.notes:
            self.report.note(note)
        stages = [("scan", self._scan_and_plan), ("count", self._count), ("chroma", self._chroma)]
        for number in range(self.settings.threads):
            stages += [(f"decode-{number}", self._decode), (f"encode-{number}", self._encode)]
        for name, work in stages:
            self._start_thread(name, work)

    def _start_thread(self, name: str, work: Callable[[], None]) -> None:
        self.threads.append(start_thread(name, work, self.stop))

    def interrupt(self, code: ExitCode) -> None:
        """Start no new pictures and finish those in flight. For signal handlers."""
        self._signal = code
        self.stop.draining.set()

    def wait(self, seconds: float) -> bool:
        """Whether the job has ended, after at most so many seconds."""
        if self.stop.draining.is_set():
            self.stop.wake()
        for thread in self.threads:
            thread.join(seconds if thread is self.threads[0] else 0)
        if self.stop.error is None:
            alive = [thread for thread in self.threads if thread.is_alive()]
            if alive:
                alive[0].join(seconds)
        return not any(thread.is_alive() for thread in self.threads)

    def finish(self) -> Report:
        """The report. Raises internal errors; all other errors are in the report."""
        remove_own_temporaries()
        for note in self.runner.notes:
            self.report.note(note)
        error = self.stop.error
        if isinstance(error, OutputError):
            self.report.exit_code, self.report.message = error.exit_code, str(error)
        elif error is not None:
            raise error
        elif self._signal is not None:
            self.report.exit_code = self._signal
            self.report.message = "stopped; run the same command again to go on"
        self.report.finish()
        return self.report
