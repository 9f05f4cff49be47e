"""ChunkWorker: a process of a node that loads the model once and colours chunks of the job.

It is the object behind a Ray actor, and knows nothing of Ray. `color` runs the pipeline of
every job on the tasks of a chunk; the other methods are called from another thread meanwhile.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from batchcolor.cluster.chunk_journal import ChunkJournal
from batchcolor.cluster.node_check import (
    describe_installation,
    find_library_mismatch,
    find_missing_path,
    find_version_mismatch,
    find_weights_mismatch,
    find_write_obstacle,
    hash_weights,
)
from batchcolor.cluster.worker_spec import WorkerSpec
from batchcolor.cluster.worker_storage import WorkerStorage
from batchcolor.errors import BatchcolorError, ExitCode
from batchcolor.hooks.manager import DISABLE, Plugins, load_plugins
from batchcolor.hooks.types import Reader
from batchcolor.images.scan import ScannedFile, SkippedEntry
from batchcolor.inference.gpu_presence import may_have_gpu
from batchcolor.pipeline.films.film_survey import Division, divide_film
from batchcolor.pipeline.films.video_admission import probe_film
from batchcolor.pipeline.job import Interrupt, load_job_runner, run_pipeline
from batchcolor.pipeline.planning.planner import FileCount, Plan
from batchcolor.pipeline.planning.task import ListOtherFormats, Task
from batchcolor.pipeline.report import Report
from batchcolor.storage.atomic import claim_folder
from batchcolor.storage.journal import Journal, JournalEntry, absolute_source
from batchcolor.storage.remote.input_location import read_local_copy

if TYPE_CHECKING:
    from batchcolor.inference.runner import Runner

MAX_CHECKED = 20
"""Sources that a node must see before it is used."""


@dataclass(frozen=True)
class ChunkResult:
    """What a worker reports of a chunk."""

    entries: tuple[JournalEntry, ...]
    """Of the files that are finished: of all, unless the worker was stopped."""
    seconds: float
    refused: tuple[tuple[str, str, str], ...] = ()
    """Source, step and reason of files that failed without an entry, as those that cannot be
    fetched."""
    skipped: tuple[tuple[str, str], ...] = ()
    """Source and reason of objects whose content shows that they are no pictures."""
    other_formats: tuple[tuple[str, ScannedFile], ...] = ()
    """Source and content of objects that are not what their suffix says: the driver names their
    results anew."""
    mismatch: str = ""
    """Why this node cannot colour the chunk, of which it has begun nothing."""
    frames: int = 0
    frames_expected: int = 0
    too_large: int = 0
    notes: tuple[str, ...] = ()
    exit_code: ExitCode = ExitCode.DONE
    message: str = ""


@dataclass(frozen=True)
class ChunkProgress:
    """What a worker has done of its chunk so far."""

    finished: int = 0
    frames: int = 0
    frames_expected: int = 0
    current: str = ""


@dataclass(frozen=True)
class ChunkPlan(Plan):
    """The plan of one chunk: the tasks that the driver chose."""

    listed: tuple[Task, ...] = ()
    storage: WorkerStorage | None = None

    def tasks(
        self,
        journal: Journal,
        weights_hash: str,
        readers: Sequence[Reader] = (),
        suffixes: Collection[str] = (),
        *,
        fetches: bool = False,
        selects: bool = False,
        list_other_formats: ListOtherFormats = tuple,
    ) -> Iterator[Task | SkippedEntry]:
        """Yields the tasks; with `suffixes` only those of local files with one of them."""
        if self.storage is not None:
            if not suffixes:  # films are not probed before they are fetched
                yield from self.storage.fetch(self.listed, readers)
            return
        for task in self.listed:
            if not suffixes or task.source.path.suffix.lower() in suffixes:
                yield task

    @property
    def has_remote_sources(self) -> bool:
        """Whether files may have to be fetched."""
        return self.storage is not None

    def count_files(self, readers: Sequence[Reader], is_cancelled: Callable[[], bool]) -> FileCount:
        """The number of tasks, and whether a film is among them."""
        count = len(self.listed)
        return FileCount(count, count, any(task.source.is_film for task in self.listed))


class ChunkWorker:
    """Colours chunks of one job. `prepare` first, then `color` for one chunk after another."""

    def __init__(self, spec: WorkerSpec) -> None:
        self.spec = spec
        self._plugins: Plugins | None = None
        self._runner: Runner | None = None
        self._interrupt: Interrupt | None = None
        self._report: Report | None = None
        self._stop: ExitCode | None = None
        self._storage: WorkerStorage | None = None
        self._weights: dict[str, str] = {}
        """Digests of the weights of models that decisions name."""

    def prepare(self) -> str:
        """Loads plugins and model. Returns why this node cannot be used; empty where it can."""
        spec = self.spec
        claim_folder(spec.output, spec.settings.shard)
        with contextlib.suppress(OSError):  # a job of absolute paths and addresses needs none
            os.chdir(spec.folder)
        disabled = [os.environ.get(DISABLE, ""), *spec.disabled_plugins]
        os.environ[DISABLE] = ",".join(disabled)
        self._plugins = load_plugins(spec.with_plugins)
        if mismatch := self._find_mismatch(self._plugins):
            return mismatch
        model = spec.settings.model
        try:
            if mismatch := self._find_missing_path():
                return mismatch
            registered = self._plugins.find(model)
            digest = hash_weights(registered, spec.settings.weights)
            if mismatch := find_weights_mismatch(spec.weights_hash, digest, model):
                return mismatch
            if spec.remote_names is not None:
                self._storage = WorkerStorage(spec.settings, spec.remote_names)
            self._runner = load_job_runner(spec.settings, registered)
        except BatchcolorError as error:
            return f"it cannot begin: {error}"
        return ""

    def _find_mismatch(self, plugins: Plugins) -> str:
        """How the installation of this node differs from the driver's; empty where it does not."""
        driver, node = self.spec.installation, describe_installation(plugins)
        if mismatch := find_version_mismatch(driver, node):
            return mismatch
        is_automatic = self.spec.settings.backend == "auto" and not may_have_gpu()
        chooses = is_automatic or self.spec.settings.backend == "openvino"
        return find_library_mismatch(driver, node, may_choose_backend=chooses)

    def _find_missing_path(self) -> str:
        """Which file or folder of the job this node lacks or cannot write to; empty where none.

        References and weights with a URL are copied to it. Raises UsageError where one cannot be.
        """
        spec = self.spec
        paths = [root.path for root in spec.roots[:MAX_CHECKED]]
        paths += [] if spec.shared_folder is None else [spec.shared_folder]
        for path, url in spec.inputs[:MAX_CHECKED]:
            if url and not path.exists():
                read_local_copy(url)
            paths.append(path)
        shared = spec.shared_folder
        return find_missing_path(paths) or (find_write_obstacle(shared) if shared else "")

    def color(self, tasks: tuple[Task, ...]) -> ChunkResult:
        """Colours a chunk. Raises internal errors only: all others are in the result."""
        from batchcolor.pipeline.executor import Pipeline

        assert self._plugins is not None  # `prepare` was called
        assert self._runner is not None
        if mismatch := self._find_weights_mismatch(tasks):
            return ChunkResult((), 0.0, mismatch=mismatch)
        started = time.monotonic()
        plan = self._make_plan(tasks)
        journal = ChunkJournal(plan.output, plan.shard)
        pipeline = Pipeline(plan, self._runner, self._plugins, journal, is_part=True)
        report = run_pipeline(pipeline, self._watch, self._receive_interrupts, self._watch)
        recorded = {entry.source for entry in journal.collected}
        refused = [
            (source, outcome.step, outcome.reason)
            for outcome in report.failures
            if (source := absolute_source(outcome.source)) not in recorded
        ]
        return ChunkResult(
            entries=tuple(journal.collected),
            seconds=time.monotonic() - started,
            refused=tuple(refused),
            skipped=tuple(report.skipped_entries),
            other_formats=() if self._storage is None else self._storage.take_other_formats(),
            frames=report.frames,
            frames_expected=report.frames_expected,
            too_large=report.too_large,
            notes=tuple(report.notes),
            exit_code=report.exit_code,
            message=report.message,
        )

    def divide(self, task: Task, parts: int) -> Division:
        """Divides a film into parts for several workers. It stays whole where that fails: the
        cause is reported when it is coloured."""
        from batchcolor.pipeline.executor import Pipeline

        assert self._plugins is not None  # `prepare` was called
        assert self._runner is not None
        plan = self._make_plan((task,))
        journal = ChunkJournal(plan.output, plan.shard)
        pipeline = Pipeline(plan, self._runner, self._plugins, journal, is_part=True)
        try:
            memory, squares = pipeline.budget.limit, self._runner.squares_at_once
            admission = probe_film(task, self.spec.settings, memory, squares)
            pipeline.context.open_output()
            return divide_film(
                task, admission, pipeline.context, parts, lambda: self._stop is not None
            )
        except (BatchcolorError, OSError):
            return Division()

    def _find_weights_mismatch(self, tasks: Sequence[Task]) -> str:
        """How weights of this node differ from those that the driver found for a model of a
        decision; empty where they do not."""
        assert self._plugins is not None
        for task in tasks:
            chosen = task.correction.model
            if chosen is None or chosen.name == self.spec.settings.model:
                continue
            model = chosen.name
            if model not in self._weights:
                try:
                    self._weights[model] = hash_weights(self._plugins.find(model), None)
                except BatchcolorError as error:
                    return f"it cannot load the model of a decision: {error}"
            if found := find_weights_mismatch(task.weights_hash, self._weights[model], model):
                return found
        return ""

    def _make_plan(self, tasks: tuple[Task, ...]) -> ChunkPlan:
        spec, storage = self.spec, self._storage
        plan = ChunkPlan(spec.settings, spec.roots, spec.output, spec.model_options, listed=tasks)
        if storage is None:
            return plan
        remote_output = storage.output
        return replace(
            plan,
            output=spec.output if remote_output is None else remote_output.folder,
            session=storage.session,
            remote_output=remote_output,
            listed=tuple(map(storage.translate, tasks)),
            storage=storage,
        )

    def find_progress(self) -> ChunkProgress:
        """Returns what is done of the current chunk. Called while `color` runs."""
        report = self._report
        if report is None:
            return ChunkProgress()
        finished = report.scanned - report.left
        return ChunkProgress(finished, report.frames, report.frames_expected, report.current)

    def interrupt(self, code: ExitCode) -> None:
        """Finishes what is in flight; `color` then returns. Called while it runs."""
        self._stop = code
        interrupt = self._interrupt
        if interrupt is not None:
            interrupt(code)

    def _watch(self, report: Report) -> None:
        self._report = report

    @contextlib.contextmanager
    def _receive_interrupts(self, interrupt: Interrupt) -> Iterator[None]:
        self._interrupt = interrupt
        if self._stop is not None:  # it arrived before the pipeline was set up
            interrupt(self._stop)
        try:
            yield
        finally:
            self._interrupt = self._report = None
