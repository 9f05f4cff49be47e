"""ClusterJob: one job on the nodes of a cluster, from its plan to its report.

scan -> plan -> chunks -> workers (decode -> ... -> commit) -> journal

The driver, which is this process, plans as any job does, gives chunks of tasks to workers, and
writes the one journal. A worker runs the pipeline of any job on its chunk. So what holds for a job
holds here: the same names, results, failures, resume.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from batchcolor.cluster.assignments import Assignments
from batchcolor.cluster.chunk import Chunk, ChunkQueue, ChunkSizer
from batchcolor.cluster.chunk_results import ChunkResults
from batchcolor.cluster.chunk_worker import ChunkProgress, ChunkResult, ChunkWorker
from batchcolor.cluster.divided_films import DividedFilms
from batchcolor.cluster.in_flight_chunks import InFlightChunks
from batchcolor.cluster.ray_cluster import RayCluster, Reply, Worker, WorkerLost
from batchcolor.cluster.task_stream import TaskStream
from batchcolor.cluster.worker_spec import make_worker_spec
from batchcolor.cluster.workforce import Workforce
from batchcolor.errors import ExitCode, OutputError
from batchcolor.hooks.manager import Plugins, RegisteredColorizer
from batchcolor.pipeline.films.film_survey import Division
from batchcolor.pipeline.gallery.open_gallery import open_gallery
from batchcolor.pipeline.gallery.writer import GalleryWriter
from batchcolor.pipeline.job import TICK, Observe
from batchcolor.pipeline.planning.planner import Plan
from batchcolor.pipeline.records.provenance_record import ProvenanceRecorder
from batchcolor.pipeline.records.recorder import Recorder
from batchcolor.pipeline.report import Report
from batchcolor.storage.atomic import remove_stale_temporaries
from batchcolor.storage.in_flight import forget_interrupted
from batchcolor.storage.journal import Journal
from batchcolor.storage.mounts import name_of


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
            self.gallery = open_gallery(plan, owned.spec.name, plugins.readers())
            self.report.gallery = self.gallery.place.first_page
        self.recorder = Recorder(
            *(plan, provenance, journal, self.report, plugins, self.gallery, observe)
        )
        self.stream = TaskStream(
            *(plan, journal, plugins, weights_hash, self.recorder, self.in_flight)
        )
        self.results = ChunkResults(self.recorder, self.stream)
        spec = make_worker_spec(plan, plugins, weights_hash, self.in_flight.folder)
        self.workforce = Workforce(cluster, self.report, spec, kind)
        self.queue, self.sizer, self.assigned = ChunkQueue(), ChunkSizer(), Assignments()
        self.films = DividedFilms(plan, self.report, self.stream, self.queue)
        self._chunks = 0
        """The number of the last chunk."""
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
        if self.assigned:
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
        for worker in self.assigned.choose_asked():
            self.cluster.call(worker, "find_progress")
        for reply in self.cluster.wait(TICK):
            self._receive(reply)
        if not self.assigned and not self.queue:
            self.stream.plan_other_formats()

    def _stop(self, code: ExitCode) -> None:
        self._is_stopping = True
        for worker in self.assigned.workers:
            self.cluster.call(worker, "interrupt", code)

    def _distribute(self) -> None:
        """Gives a chunk to each worker that has none."""
        usable, has_more = self.workforce.usable_nodes, True
        for worker in self.workforce.idle(self.assigned.workers):
            if not has_more and not self.queue:
                break
            chunk = self.queue.take(worker.node.id, usable)
            if chunk is None and has_more:
                chunk = self._take_chunk()
                has_more = chunk is not None
            if chunk is not None:
                self.in_flight.add(chunk)
                self.assigned.add(worker, chunk)
                method, arguments = chunk.call
                self.cluster.call(worker, method, *arguments)

    def _take_chunk(self) -> Chunk | None:
        """Returns a chunk of the next tasks; None where not enough are planned yet."""
        size = self.sizer.choose_size(self.stream.remaining, self.workforce.count)
        tasks = self.stream.take(size)
        if not tasks:
            return None
        self._chunks += 1
        others = self.workforce.count - 1 - self.assigned.films
        return self.films.begin(Chunk(self._chunks, tasks), others)

    def _receive(self, reply: Reply) -> None:
        worker, value = reply.worker, reply.value
        if isinstance(value, WorkerLost):
            self._lose(worker, value)
        elif isinstance(value, ChunkResult):
            self._record(worker, value)
        elif isinstance(value, Division):
            self.films.divide(self.assigned.release(worker), value)
        elif isinstance(value, ChunkProgress):
            self.assigned.set_progress(worker, value)
            self._show_progress()
        elif reply.method == "prepare":
            self.workforce.receive(worker, value)
        elif isinstance(value, BaseException):
            raise value

    # ---- the end of a chunk ------------------------------------------------------------------

    def _record(self, worker: Worker, result: ChunkResult) -> None:
        """Records what a worker finished of its chunk."""
        chunk = self.assigned.release(worker)
        if result.mismatch:
            self.workforce.refuse(worker.node, result.mismatch)
            self.queue.put_back(chunk)
            return
        if chunk.is_part:
            self._record_part(chunk, worker, result)
            return
        recorded = self.results.record(chunk, result)
        self.in_flight.remove(chunk)
        if self.plan.remote_output is not None:
            self.plan.remote_output.copy_journal(self.journal.path)
        self.sizer.add(len(chunk.tasks), result.seconds)
        self.workforce.count_finished(worker, chunk, recorded.finished, recorded.failed)
        self._show_progress()
        if result.exit_code == ExitCode.EXTERNAL_FAILURE:
            raise OutputError(result.message)
        if recorded.left and not self._is_stopping:  # the worker was stopped by someone else
            self._repeat(replace(chunk, tasks=recorded.left), worker, is_node_lost=False)

    def _record_part(self, chunk: Chunk, worker: Worker, result: ChunkResult) -> None:
        """Records a part of a film, whose failures are those of the film when it is coloured."""
        self.results.add_totals(result)
        self.workforce.count_finished(worker, chunk, 0, 0)
        self._show_progress()
        if result.exit_code == ExitCode.EXTERNAL_FAILURE:
            raise OutputError(result.message)
        if result.exit_code in (ExitCode.DONE, ExitCode.SOME_FAILED):
            self.films.finish_part(chunk)
        elif not self._is_stopping:  # the worker was stopped by someone else
            self._repeat(chunk, worker, is_node_lost=False)

    def _lose(self, worker: Worker, lost: WorkerLost) -> None:
        """Gives the chunk of a dead worker to another one; a file that is guilty has failed."""
        is_node_lost = self.workforce.lose(worker, lost.reason)
        if worker not in self.assigned:
            return
        chunk = self.assigned.release(worker)
        if not self._is_stopping:
            self._repeat(chunk, worker, is_node_lost=is_node_lost)

    def _repeat(self, chunk: Chunk, worker: Worker, *, is_node_lost: bool) -> None:
        failed = self.queue.add_lost(chunk, worker.node.id, is_node_lost=is_node_lost)
        if failed is not None and (chunk.is_part or chunk.divides_into):
            self.films.abandon(chunk)
        elif failed is not None:
            self.results.fail(failed)

    def _show_progress(self) -> None:
        progress = self.assigned.progress
        self.results.show_films(progress.values())
        self.workforce.show_progress(progress)

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
