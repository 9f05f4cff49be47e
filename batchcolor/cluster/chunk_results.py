"""ChunkResults: records what workers did, in the journal, in the report and with the plugins."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace

from batchcolor.cluster.chunk import Chunk
from batchcolor.cluster.chunk_worker import ChunkProgress, ChunkResult
from batchcolor.cluster.task_stream import TaskStream
from batchcolor.errors import WORKER, ProcessingError
from batchcolor.images.scan import SkippedEntry
from batchcolor.pipeline.planning.task import Task
from batchcolor.pipeline.records.recorder import Recorder
from batchcolor.storage.journal import absolute_source
from batchcolor.storage.mounts import set_tag

DIED = (
    "the process of its worker died each time, the last time with this file alone; the file, its "
    "decoder or the model is faulty"
)


@dataclass(frozen=True)
class RecordedChunk:
    """What was recorded of a chunk."""

    left: tuple[Task, ...]
    """Tasks that the worker did not begin, as it was stopped."""
    finished: int
    failed: int
    """Of the finished ones."""


class ChunkResults:
    """Records the results of one job. For one thread."""

    def __init__(self, recorder: Recorder, stream: TaskStream) -> None:
        """`stream` gets the objects that are not what their suffix says."""
        self._recorder, self._report, self._stream = recorder, recorder.report, stream
        self._frames = self._frames_expected = 0
        """Of the finished chunks."""

    def record(self, chunk: Chunk, result: ChunkResult) -> RecordedChunk:
        """Records what a worker finished of a chunk. Raises OutputError."""
        left = {absolute_source(task.source.path): task for task in chunk.tasks}
        again = [(left.pop(source), file) for source, file in result.other_formats]
        made = [(left.pop(entry.source), entry) for entry in result.entries]
        self._recorder.record_entries(made)
        failed = sum(entry.outcome == "failed" for _, entry in made)
        refused = [
            replace(left.pop(source), action="refused", step=step, reason=reason)
            for source, step, reason in result.refused
        ]
        refused += [
            late for task, file in again if (late := self._stream.add_other_format(task, file))
        ]
        for task in refused:
            self._recorder.skip(task)
        for source, reason in result.skipped:
            path = left.pop(source).source.path
            self._recorder.skip_entry(SkippedEntry(path, reason, is_foreign=True))
            self._report.scanned -= 1
        self.add_totals(result)
        finished = len(chunk.tasks) - len(left) - len(again)
        return RecordedChunk(tuple(left.values()), finished, failed + len(refused))

    def add_totals(self, result: ChunkResult) -> None:
        """Adds frames and notes of a chunk, or of a part of a film, to those of the job."""
        self._frames += result.frames
        self._frames_expected += result.frames_expected
        self._report.too_large += result.too_large
        for note in result.notes:
            self._report.note(note)

    def fail(self, task: Task) -> None:
        """Records a file whose workers died."""
        if task.found is not None:
            set_tag(task.source.path, task.found.tag)
        self._recorder.fail(task, ProcessingError(WORKER, DIED))

    def show_films(self, progress: Collection[ChunkProgress]) -> None:
        """Adds the frames of the films in work to those of the finished ones."""
        report = self._report
        report.frames = self._frames + sum(each.frames for each in progress)
        report.frames_expected = self._frames_expected + sum(
            each.frames_expected for each in progress
        )
        report.current = next((each.current for each in progress if each.current), "")
