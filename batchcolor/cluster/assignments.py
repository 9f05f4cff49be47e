"""Assignments: which worker has which chunk, and how far it is."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping

from batchcolor.cluster.chunk import Chunk
from batchcolor.cluster.chunk_worker import ChunkProgress
from batchcolor.cluster.ray_cluster import Worker

PROGRESS_SECONDS = 2.0
"""Between two questions to a worker how far it is."""


class Assignments:
    """The chunks in work. False where there are none."""

    def __init__(self) -> None:
        self._chunks: dict[Worker, Chunk] = {}
        self._asked: dict[Worker, float] = {}
        """When a worker was asked last how far it is, or got its chunk."""
        self._progress: dict[Worker, ChunkProgress] = {}

    def __len__(self) -> int:
        return len(self._chunks)

    def __contains__(self, worker: Worker) -> bool:
        return worker in self._chunks

    @property
    def workers(self) -> Collection[Worker]:
        """Those that have a chunk."""
        return self._chunks.keys()

    @property
    def films(self) -> int:
        """Chunks of whole films."""
        chunks = self._chunks.values()
        return sum(chunk.tasks[0].source.is_film and not chunk.is_part for chunk in chunks)

    @property
    def progress(self) -> Mapping[Worker, ChunkProgress]:
        """The last answers of workers that have a chunk."""
        return self._progress

    def add(self, worker: Worker, chunk: Chunk) -> None:
        """Adds a chunk that a worker gets."""
        self._chunks[worker], self._asked[worker] = chunk, time.monotonic()

    def release(self, worker: Worker) -> Chunk:
        """Removes and returns the chunk that a worker had."""
        del self._asked[worker]
        self._progress.pop(worker, None)
        return self._chunks.pop(worker)

    def choose_asked(self) -> list[Worker]:
        """Returns the workers that have had a chunk for a while since they were asked last."""
        now = time.monotonic()
        chosen = [worker for worker, asked in self._asked.items() if now - asked > PROGRESS_SECONDS]
        self._asked.update(dict.fromkeys(chosen, now))
        return chosen

    def set_progress(self, worker: Worker, progress: ChunkProgress) -> None:
        """Keeps the answer of a worker, unless its chunk is finished."""
        if worker in self._chunks:
            self._progress[worker] = progress
