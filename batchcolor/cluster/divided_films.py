"""DividedFilms: films of which several workers colour parts, before one joins them.

A worker divides a film, all workers colour its parts, and then the film is a chunk as any other,
whose worker finds the segments of the parts. So a part that fails costs time alone.
"""

from __future__ import annotations

from dataclasses import replace

from batchcolor.cluster.chunk import Chunk, ChunkQueue
from batchcolor.cluster.task_stream import TaskStream
from batchcolor.pipeline.films.film_survey import Division
from batchcolor.pipeline.planning.planner import Plan
from batchcolor.pipeline.report import Report

PARTS_OF_WORKER = 2
"""Parts for each worker, as some need longer than others."""


class DividedFilms:
    """The films of one job. For one thread."""

    def __init__(self, plan: Plan, report: Report, stream: TaskStream, queue: ChunkQueue) -> None:
        self._report, self._stream, self._queue = report, stream, queue
        self._is_shared = plan.remote_output is None and not plan.has_remote_sources
        """Whether all workers see the segments of a film, and its source."""
        self._parts_left: dict[int, int] = {}
        """By the number of the film's chunk."""

    def begin(self, chunk: Chunk, others: int) -> Chunk:
        """Returns the chunk with which a worker begins: a film that is to be divided first, where
        there are fewer films than workers. `others` are the workers beside it without a film."""
        if not (self._is_shared and others > 0 and chunk.tasks[0].source.is_film):
            return chunk
        waiting = self._stream.films_waiting
        if waiting is None or waiting >= others:
            return chunk
        return replace(chunk, divides_into=PARTS_OF_WORKER * (others + 1))

    def divide(self, chunk: Chunk, division: Division) -> None:
        """Takes the end of a division."""
        task = chunk.tasks[0]
        if division.note:
            self._report.note_film(str(task.source.relative), division.note)
        whole = Chunk(chunk.number, chunk.tasks)
        self._parts_left[chunk.number] = len(division.parts)
        if not division.parts:
            self._finish(whole)
        for number in reversed(division.parts):
            self._queue.put_back(replace(whole, tasks=(replace(task, part=number),)))

    def finish_part(self, chunk: Chunk) -> None:
        """Takes the end of a part, finished or not; after the last one, the film is coloured."""
        self._parts_left[chunk.number] -= 1
        if not self._parts_left[chunk.number]:
            self._finish(Chunk(chunk.number, (replace(chunk.tasks[0], part=None),)))

    def abandon(self, chunk: Chunk) -> None:
        """Takes a part, or a film to be divided, with which three workers died."""
        if chunk.is_part:
            self.finish_part(chunk)
        else:
            self.divide(chunk, Division())

    def _finish(self, film: Chunk) -> None:
        del self._parts_left[film.number]
        self._queue.put_back(film)
