"""Chunks: the parts of a job that workers colour, their size, and what follows a worker's death."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Collection
from dataclasses import dataclass, replace

from batchcolor.pipeline.planning.task import Task

MAX_DEATHS = 3
"""A chunk with which so many workers died is halved; a single file has failed."""
MAX_NODE_LOSSES = 3
"""Nodes that may be lost with a chunk before a further loss counts as a death of its worker."""
FIRST_SIZE = 8
"""Files of a chunk until the speed of a worker is known."""
MAX_SIZE = 256
MAX_BYTES = 256 * 2**20
"""Of the sources of a chunk with several files."""
SHARD_SECONDS = 5.0
"""A chunk should take a worker so long: what a lost node repeats at most."""


@dataclass(frozen=True)
class Chunk:
    """Tasks that one worker colours, and what happened to the workers that had them."""

    number: int
    tasks: tuple[Task, ...]
    deaths: int = 0
    """Workers that died while they coloured it, or a chunk of which it is a half."""
    node_losses: int = 0
    died_on: frozenset[str] = frozenset()
    """The nodes on which a worker died with it."""
    divides_into: int = 0
    """The most parts into which its film is to be divided, before any of it is coloured; 0 where
    its tasks are coloured."""

    @property
    def is_part(self) -> bool:
        """Whether it is a part of a film."""
        return self.tasks[0].part is not None

    @property
    def call(self) -> tuple[str, tuple[object, ...]]:
        """The method of a worker, and its arguments."""
        if self.divides_into:
            return "divide", (self.tasks[0], self.divides_into)
        return "color", (self.tasks,)

    @property
    def is_repeated(self) -> bool:
        """Whether a worker had it, or a chunk of which it is a part, and was lost."""
        return bool(self.deaths or self.node_losses)


class ChunkQueue:
    """Chunks that are coloured again, and the files that have failed. For one thread."""

    def __init__(self) -> None:
        self._waiting: deque[Chunk] = deque()

    def __len__(self) -> int:
        return len(self._waiting)

    def take(self, node: str, usable: Collection[str]) -> Chunk | None:
        """Returns a chunk for a worker on `node`: none whose worker died there, unless it died
        on all `usable` nodes."""
        for index, chunk in enumerate(self._waiting):
            if node not in chunk.died_on or chunk.died_on.issuperset(usable):
                del self._waiting[index]
                return chunk
        return None

    def put_back(self, chunk: Chunk) -> None:
        """Adds a chunk that no worker has begun."""
        self._waiting.appendleft(chunk)

    def add_lost(self, chunk: Chunk, node: str, *, is_node_lost: bool) -> Task | None:
        """Adds what is left of a chunk whose worker is gone. Returns the task that has failed.

        The loss of a node is no fault of the chunk. A chunk with which three workers died is
        halved, and each half again after one more death, until the guilty file is alone. What
        the worker wrote before is replaced, by the same results.
        """
        tasks = tuple(replace(task, replaces=True) for task in chunk.tasks)
        if is_node_lost and chunk.node_losses < MAX_NODE_LOSSES:
            self.put_back(replace(chunk, tasks=tasks, node_losses=chunk.node_losses + 1))
            return None
        deaths, died_on = chunk.deaths + 1, chunk.died_on | {node}
        again = replace(chunk, tasks=tasks, deaths=deaths, died_on=died_on)
        if deaths < MAX_DEATHS:
            self.put_back(again)
        elif len(tasks) == 1:
            return tasks[0]
        else:
            middle = len(tasks) // 2
            for half in (tasks[middle:], tasks[:middle]):
                self.put_back(replace(again, tasks=half, deaths=MAX_DEATHS - 1))
        return None


class ChunkSizer:
    """Chooses the number of files in the next chunk.

    Small chunks at first, so that all workers begin at once; then as many files as take a worker a
    few seconds; and near the end fewer, so that all workers end together.
    """

    def __init__(self) -> None:
        self._seconds: float | None = None
        """Of a worker for one file: a moving average."""

    def add(self, files: int, seconds: float) -> None:
        """Adds what a worker needed for a chunk."""
        each = seconds / max(1, files)
        self._seconds = each if self._seconds is None else 0.7 * self._seconds + 0.3 * each

    def choose_size(self, remaining: int | None, workers: int) -> int:
        """Returns the size of the next chunk, from 1.

        `remaining` are the files that no worker has; None where they are not counted yet.
        """
        size = FIRST_SIZE
        if self._seconds is not None:
            size = min(MAX_SIZE, int(SHARD_SECONDS / max(1e-6, self._seconds)))
        if remaining is not None:
            size = min(size, math.ceil(remaining / (2 * max(1, workers))))
        return max(1, size)
