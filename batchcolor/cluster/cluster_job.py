"""A job on the nodes of a cluster, from its settings to its report.

scan -> plan -> chunks -> workers (decode -> ... -> commit) -> journal

The driver, which is this process, plans as any job does, gives chunks of tasks to workers, and
writes the one journal. A worker runs the pipeline of any job on its chunk. So what holds for a job
holds here: the same names, results, failures, resume.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from batchcolor.cluster.chunk import Chunk, ChunkQueue, ChunkSizer
from batchcolor.cluster.chunk_worker import ChunkProgress, ChunkResult, ChunkWorker, WorkerSpec
from batchcolor.cluster.in_flight_chunks import InFlightChunks
from batchcolor.cluster.node_check import describe_installation, hash_weights
from batchcolor.cluster.ray_cluster import Node, RayCluster, Reply, Worker, WorkerLost
from batchcolor.cluster.task_stream import TaskStream
from batchcolor.cluster.worker_storage import describe_names
from batchcolor.cluster.workforce import Workforce
from batchcolor.errors import (
    WORKER,
    ExitCode,
    OutputError,
    ProcessingError,
    UsageError,
)
from batchcolor.hooks.manager import Plugins, RegisteredColorizer
from batchcolor.images.scan import SkippedEntry
from batchcolor.pipeline.gallery.page import FIRST_PAGE
from batchcolor.pipeline.gallery.writer import GalleryWriter
from batchcolor.pipeline.job import (
    TICK,
    Observe,
    finish_empty_shard,
    has_tasks,
    open_journal,
    open_metrics,
    plan_job,
    record_end,
    refuse_existing,
)
from batchcolor.pipeline.observation.job_numbers import measure_report
from batchcolor.pipeline.options.settings import LEAST_MEMORY, RunSettings
from batchcolor.pipeline.planning.planner import Plan
from batchcolor.pipeline.records.provenance_record import ProvenanceRecorder
from batchcolor.pipeline.records.recorder import Recorder
from batchcolor.pipeline.records.run_record import RunRecorder
from batchcolor.pipeline.report import Report
from batchcolor.signals import handle_signals
from batchcolor.storage.atomic import remove_stale_temporaries
from batchcolor.storage.in_flight import forget_interrupted
from batchcolor.storage.journal import Journal, absolute_source
from batchcolor.storage.mounts import name_of, set_tag

PROGRESS_SECONDS = 2.0
"""Between two questions to a worker how far it is."""
DIED = (
    "the process of its worker died each time, the last time with this file alone; the file, its "
    "decoder or the model is faulty"
)


def run_on_cluster(
    settings: RunSettings,
    plugins: Plugins,
    watch: Callable[[Report], None],
    missing: Sequence[SkippedEntry] = (),
    observe: Observe | None = None,
    kind: type[ChunkWorker] = ChunkWorker,
) -> Report:
    """Colours what the settings name on a cluster; arguments and report are those of `job.run`.

    Raises UsageError, ModelError and ClusterError before any picture is coloured, and internal
    errors. A cluster that is lost later is in the report, with its exit code.
    """
    if settings.cluster is None:
        raise UsageError("the settings name no cluster")
    plan, owned = plan_job(settings, plugins, missing)
    with plan.open_session():
        if not has_tasks(plan, plugins):
            return finish_empty_shard(plan)
        digest = hash_weights(owned, settings.weights)
        if settings.if_exists == "error":
            refuse_existing(plan, plugins, digest)
        with open_metrics(settings) as metrics, open_journal(plan) as journal:
            journal.open()  # the lock first: workers write to the folder
            recorder = RunRecorder(plan, journal)
            with RayCluster(settings.cluster, settings.workers) as cluster:
                job = ClusterJob(plan, owned, plugins, journal, digest, cluster, kind, observe)

                def watch_and_record(report: Report) -> None:
                    watch(report)
                    recorder.update(report)
                    if metrics is not None:
                        metrics.update()

                if metrics is not None:
                    metrics.attach(job.report, partial(measure_report, job.report))
                with handle_signals(job.interrupt):
                    recorder.start(job.report)
                    report = job.run(watch_and_record)
            record_end(plan, journal, recorder, report)
            return report


class ClusterJob:
    """One job on a cluster. All methods but `interrupt` are for one thread."""

    def __init__(
        self,
        plan: Plan,
        owned: RegisteredColorizer,
        plugins: Plugins,
        journal: Journal,
        weights_hash: str,
        cluster: RayCluster,
        kind: type[ChunkWorker],
        observe: Observe | None = None,
    ) -> None:
        self.plan, self.journal, self.cluster = plan, journal, cluster
        shard = "" if plan.shard is None else str(plan.shard)
        self.report = Report(owned.spec.name, name_of(plan.output), shard)
        self.in_flight = InFlightChunks(journal.folder, plan.shard)
        provenance = ProvenanceRecorder(plan, owned.spec, plugins)
        self.gallery: GalleryWriter | None = None
        if plan.settings.gallery:
            self.gallery = GalleryWriter(
                plan.output, owned.spec.name, plugins.readers(), plan.shard
            )
            self.report.gallery = str(self.gallery.folder / FIRST_PAGE)
        self.recorder = Recorder(
            *(plan, provenance, journal, self.report, plugins, self.gallery, observe)
        )
        self.stream = TaskStream(
            *(plan, journal, plugins, weights_hash, self.recorder, self.in_flight)
        )
        spec = _make_spec(plan, plugins, weights_hash, self.in_flight.folder)
        self.workforce = Workforce(cluster, self.report, lambda node: _fit(spec, node), kind)
        self.queue, self.sizer = ChunkQueue(), ChunkSizer()
        self._working: dict[Worker, Chunk] = {}
        self._asked: dict[Worker, float] = {}
        """When a worker that has a chunk was asked last how far it is."""
        self._progress: dict[Worker, ChunkProgress] = {}
        self._frames = self._frames_expected = self._chunks = 0
        self._signal: ExitCode | None = None
        self._is_stopping = False

    def interrupt(self, code: ExitCode) -> None:
        """Starts no new chunks and finishes the pictures in flight. For signal handlers."""
        self._signal = code

    def run(self, watch: Callable[[Report], None]) -> Report:
        """Runs the job to its end; see `run_on_cluster`."""
        if self.journal.uses_lock:
            remove_stale_temporaries(self.plan.output, self.plan.shard)
        if self.gallery is not None:
            self.gallery.start()
        self.stream.start()
        try:
            while not self._is_finished():
                self._step()
                watch(self.report)
        except OutputError as error:
            self._fail_externally(error)
        finally:
            self.stream.close()
            self.workforce.close()
            self._close_gallery()
            self.in_flight.close(is_complete=self._is_complete)
        watch(self.report)
        return self._finish()

    # ---- one round ---------------------------------------------------------------------------

    def _is_finished(self) -> bool:
        if self._working:
            return False
        return self._is_stopping or (self.stream.is_empty and not self.queue)

    @property
    def _is_complete(self) -> bool:
        """Whether every file of the job was processed."""
        return not self._is_stopping and self._is_finished()

    def _step(self) -> None:
        if self._signal is not None and not self._is_stopping:
            self._stop(self._signal)
        if not self._is_stopping:
            if self.queue or self.stream.has_tasks:
                self.workforce.update()
            self._distribute()
        self._ask_progress()
        for reply in self.cluster.wait(TICK):
            self._receive(reply)
        if not self._working and not self.workforce.has_workers:
            time.sleep(TICK)  # `wait` has nothing to wait for

    def _stop(self, code: ExitCode) -> None:
        self._is_stopping = True
        for worker in self._working:
            self.cluster.call(worker, "interrupt", code)

    def _distribute(self) -> None:
        """Gives a chunk to each worker that has none."""
        for worker in self.workforce.idle(self._working):
            chunk = self.queue.take(worker.node.id, self.workforce.usable_nodes)
            if chunk is None:
                size = self.sizer.choose_size(self.stream.remaining, self.workforce.count)
                tasks = self.stream.take(size)
                if not tasks:
                    continue
                self._chunks += 1
                chunk = Chunk(self._chunks, tasks)
            self.in_flight.add(chunk)
            self._working[worker] = chunk
            self._asked[worker] = time.monotonic()
            self.cluster.call(worker, "color", chunk.tasks)

    def _ask_progress(self) -> None:
        """Asks workers that have had a chunk for a while how far they are."""
        now = time.monotonic()
        for worker, asked in self._asked.items():
            if now - asked > PROGRESS_SECONDS:
                self._asked[worker] = now
                self.cluster.call(worker, "find_progress")

    def _receive(self, reply: Reply) -> None:
        worker, value = reply.worker, reply.value
        if isinstance(value, WorkerLost):
            self._lose(worker, value)
        elif isinstance(value, ChunkResult):
            self._record(worker, value)
        elif isinstance(value, ChunkProgress):
            if worker in self._working:
                self._progress[worker] = value
                self._show_progress()
        elif reply.method == "prepare":
            self.workforce.receive(worker, value)
        elif isinstance(value, BaseException):
            raise value

    # ---- the end of a chunk ------------------------------------------------------------------

    def _record(self, worker: Worker, result: ChunkResult) -> None:
        """Records what a worker finished of its chunk."""
        chunk = self._release(worker)
        left = {absolute_source(task.source.path): task for task in chunk.tasks}
        failed = len(result.refused)
        for entry in result.entries:
            self.recorder.record_entry(left.pop(entry.source), entry)
            failed += entry.outcome == "failed"
        for source, step, reason in result.refused:
            task = left.pop(source)
            self.recorder.skip(replace(task, action="refused", step=step, reason=reason))
        for source, reason in result.skipped:
            path = left.pop(source).source.path
            self.recorder.skip_entry(SkippedEntry(path, reason, is_foreign=True))
            self.report.scanned -= 1
        self.in_flight.remove(chunk)
        self._frames += result.frames
        self._frames_expected += result.frames_expected
        self.report.too_large += result.too_large
        for note in result.notes:
            self.report.note(note)
        if self.plan.remote_output is not None:
            self.plan.remote_output.copy_journal(self.journal.path)
        self.sizer.add(len(chunk.tasks), result.seconds)
        self.workforce.count_finished(worker, chunk, len(chunk.tasks) - len(left), failed)
        self._show_progress()
        if result.exit_code == ExitCode.EXTERNAL_FAILURE:
            raise OutputError(result.message)
        if left and not self._is_stopping:  # the worker was stopped by someone else
            self._repeat(replace(chunk, tasks=tuple(left.values())), worker, is_node_lost=False)

    def _lose(self, worker: Worker, lost: WorkerLost) -> None:
        """Gives the chunk of a dead worker to another one; a file that is guilty has failed."""
        is_node_lost = self.workforce.lose(worker, lost.reason)
        if worker not in self._working:
            return
        chunk = self._release(worker)
        if self._is_stopping:
            return
        self._repeat(chunk, worker, is_node_lost=is_node_lost)

    def _repeat(self, chunk: Chunk, worker: Worker, *, is_node_lost: bool) -> None:
        failed = self.queue.add_lost(chunk, worker.node.id, is_node_lost=is_node_lost)
        if failed is not None:
            if failed.found is not None:
                set_tag(failed.source.path, failed.found.tag)
            self.recorder.fail(failed, ProcessingError(WORKER, DIED))

    def _release(self, worker: Worker) -> Chunk:
        self._asked.pop(worker, None)
        self._progress.pop(worker, None)
        return self._working.pop(worker)

    def _show_progress(self) -> None:
        """Adds the frames of the films in work to those of the finished ones."""
        values = self._progress.values()
        self.report.frames = self._frames + sum(value.frames for value in values)
        self.report.frames_expected = self._frames_expected + sum(
            value.frames_expected for value in values
        )
        self.report.current = next((value.current for value in values if value.current), "")
        self.workforce.show_progress(self._progress)

    # ---- the end of the job ------------------------------------------------------------------

    def _fail_externally(self, error: OutputError) -> None:
        """Ends the job with exit code 4; what the workers have in flight is not waited for."""
        self.report.exit_code, self.report.message = error.exit_code, str(error)
        self._is_stopping = True

    def _close_gallery(self) -> None:
        if self.gallery is not None:
            if self._is_stopping:
                self.gallery.abort()
            self.gallery.close()

    def _finish(self) -> Report:
        """The report."""
        if self.journal.uses_lock:  # no worker is left
            remove_stale_temporaries(self.plan.output, self.plan.shard)
            if self._is_complete:
                forget_interrupted(self.journal.folder, self.plan.shard, is_exclusive=True)
        for note in self.journal.notes:
            self.report.note(note)
        if self._signal is not None and self.report.exit_code == ExitCode.DONE:
            self.report.exit_code = self._signal
            self.report.message = "stopped; run the same command again to resume"
        self.report.finish()
        return self.report


def _make_spec(plan: Plan, plugins: Plugins, weights_hash: str, shared: Path) -> WorkerSpec:
    """What all workers get. The driver has the report and the gallery."""
    settings = plan.settings.model_copy(update={"report": None, "gallery": False})
    return WorkerSpec(
        settings=settings,
        roots=tuple(root for root in plan.roots if root.remote is None),
        output=plan.output,
        model_options=plan.model_options,
        folder=str(Path.cwd()),
        shared_folder=shared if plan.remote_output is None else None,
        remote_names=describe_names(plan) if plan.session is not None else None,
        with_plugins=len(plugins.origins) > 1,
        disabled_plugins=tuple(origin.package for origin in plugins.disabled),
        installation=describe_installation(plugins),
        weights_hash=weights_hash,
    )


def _fit(spec: WorkerSpec, node: Node) -> WorkerSpec:
    """Gives a worker its part of the node: threads as it has cores, and its part of memory."""
    settings = spec.settings
    threads = settings.workers or node.cpus_each
    memory = settings.max_memory or settings.memory // node.workers
    changed = {"workers": threads, "max_memory": max(memory, LEAST_MEMORY)}
    return replace(spec, settings=settings.model_copy(update=changed))
