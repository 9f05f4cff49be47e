"""TaskStream: plans the tasks of a job in a thread, a bounded number ahead of the workers."""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from collections.abc import Iterator
from dataclasses import replace

from batchcolor.cluster.chunk import MAX_BYTES
from batchcolor.cluster.in_flight_chunks import InFlightChunks
from batchcolor.hooks.manager import Plugins
from batchcolor.images.scan import ScannedFile, SkippedEntry
from batchcolor.pipeline.planning.planner import Plan
from batchcolor.pipeline.planning.task import Task
from batchcolor.pipeline.records.recorder import Recorder
from batchcolor.storage.journal import Journal, absolute_source

AHEAD = 4096
"""Tasks that are planned and that no worker has."""
PATIENCE = 0.5
"""Seconds that a worker may wait for more tasks."""
STOP_SECONDS = 0.2
"""Between two checks whether the job stops."""
LISTING_SECONDS = 0.1
"""How long a film may wait for the end of the listing, before it counts as one of many."""
CHANGED = "its content changed while the job ran; run the same command again"


class TaskStream:
    """Tasks whose action is to colour, in order. All others are recorded when they are planned."""

    def __init__(
        self,
        plan: Plan,
        journal: Journal,
        plugins: Plugins,
        weights_hash: str,
        recorder: Recorder,
        in_flight: InFlightChunks,
    ) -> None:
        self._plan, self._journal, self._weights_hash = plan, journal, weights_hash
        self._recorder, self._report, self._in_flight = recorder, recorder.report, in_flight
        self._readers = plugins.readers()
        self._tasks: queue.Queue[Task] = queue.Queue(AHEAD)
        self._next: Task | None = None
        self._taken_at = float("-inf")
        self._stop = threading.Event()
        self._is_listed = threading.Event()
        """Set when the sources are listed to their end."""
        self._is_fetched = threading.Event()
        """Set when every object that was listed has been fetched."""
        self._other_formats: dict[str, tuple[Task, ScannedFile]] = {}
        self._error: BaseException | None = None
        self._threads = [
            threading.Thread(target=work, name=f"cluster-{work.__name__}", daemon=True)
            for work in (self._plan_tasks, self._count)
        ]

    def start(self) -> None:
        """Starts to plan."""
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        """Ends the threads; `take` then returns nothing more that was not planned."""
        self._stop.set()
        for thread in self._threads:
            thread.join()

    @property
    def is_empty(self) -> bool:
        """Whether every task was taken. Raises what the planning raised."""
        is_planning = self._threads[0].is_alive()
        if self._error is not None:
            raise self._error
        return not is_planning and not self.has_tasks

    def add_other_format(self, task: Task, found: ScannedFile) -> Task | None:
        """Adds an object whose content, as a worker found it, is not what its suffix says.

        It gets another task when all others are coloured, so that the names of results do not
        depend on when workers find such objects. Returns the task, refused, where it is too late
        for that: the content has changed again.
        """
        if self._is_fetched.is_set():
            return replace(task, action="refused", step="scan", reason=CHANGED)
        file = replace(found, path=task.source.path, relative=task.source.relative)
        self._other_formats[str(task.source.path)] = task, file
        return None

    def plan_other_formats(self) -> None:
        """Plans the objects of `add_other_format`. Called when no worker has a task."""
        if self._is_listed.is_set() and not self.has_tasks:
            self._is_fetched.set()

    def _list_other_formats(self) -> Iterator[tuple[Task, ScannedFile]]:
        """Yields them when all other objects are fetched."""
        self._report.is_scanning = False
        self._is_listed.set()
        if self._plan.has_remote_sources:
            while not self._is_fetched.wait(STOP_SECONDS):
                if self._stop.is_set():
                    return
        for _, found in sorted(self._other_formats.items()):
            yield found
        self._other_formats.clear()

    @property
    def has_tasks(self) -> bool:
        """Whether a task is planned and not taken."""
        return self._next is not None or not self._tasks.empty()

    @property
    def films_waiting(self) -> int | None:
        """Films that were not taken; None before all sources are listed."""
        if not self._is_listed.wait(LISTING_SECONDS):
            return None
        with self._tasks.mutex:
            waiting: list[Task] = [*self._tasks.queue]
        waiting += [] if self._next is None else [self._next]
        return sum(task.source.is_film for task in waiting)

    @property
    def remaining(self) -> int | None:
        """Tasks that were not taken, as far as they are counted; None before they are."""
        total = self._report.total
        if total is None:
            return None
        planned = self._tasks.qsize() + (self._next is not None)
        return max(0, total - self._report.scanned) + planned

    def take(self, size: int) -> tuple[Task, ...]:
        """Returns up to `size` tasks, a film alone; none where none is planned yet.

        While planning is slower than the workers, tasks are collected for half a second, so that
        chunks of single files do not keep the driver busy.
        """
        now = time.monotonic()
        if not self._has_enough(size) and now - self._taken_at < PATIENCE:
            return ()
        self._taken_at = now
        taken: list[Task] = []
        read = 0
        for task in self._available():
            is_alone = task.source.is_film
            if taken and (is_alone or len(taken) == size or read + task.source.size > MAX_BYTES):
                self._next = task
                break
            taken.append(task)
            read += task.source.size
            if is_alone or len(taken) == size:
                break
        return tuple(taken)

    def _has_enough(self, size: int) -> bool:
        return self._tasks.qsize() >= size or self._is_listed.is_set()

    def _available(self) -> Iterator[Task]:
        if self._next is not None:
            task, self._next = self._next, None
            yield task
        with contextlib.suppress(queue.Empty):
            while True:
                yield self._tasks.get_nowait()

    def _plan_tasks(self) -> None:
        try:
            for task in self._plan.tasks(
                *(self._journal, self._weights_hash, self._readers),
                selects=True,
                list_other_formats=self._list_other_formats,
            ):
                if self._stop.is_set():
                    return
                if isinstance(task, SkippedEntry):
                    self._recorder.skip_entry(task)
                    continue
                self._report.scanned += not self._is_listed.is_set()
                chosen = self._resume(task)
                if chosen.action != "colour":
                    self._recorder.skip(chosen)
                elif not self._put(chosen):
                    return
        except BaseException as error:
            self._error = error

    def _resume(self, task: Task) -> Task:
        """A task whose result a worker of a killed driver may have written, to be done again.

        A result on a disk has the modification time of its source; one that was changed since is
        kept. Such a worker may live for some seconds more: what it writes meanwhile is replaced.
        """
        if task.action not in ("colour", "exists") or not self._in_flight.interrupted:
            return task
        if absolute_source(task.source.path) not in self._in_flight.interrupted:
            return task
        if task.action == "colour":
            return replace(task, replaces=True)
        is_file = self._plan.remote_output is None and not task.target.is_dir()
        if is_file and task.target.stat().st_mtime_ns != task.source.mtime_ns:
            return task
        return replace(task, action="colour", reason="", replaces=True)

    def _put(self, task: Task) -> bool:
        """Adds a task when there is room; False when the job stops."""
        while not self._stop.is_set():
            with contextlib.suppress(queue.Full):
                self._tasks.put(task, timeout=STOP_SECONDS)
                return True
        return False

    def _count(self) -> None:
        """Counts names ahead of the work, for the total."""
        try:
            counted = self._plan.count_files(self._readers, self._stop.is_set)
            if not self._stop.is_set():
                self._report.counted = counted.own
                self._report.counted_of_all = counted.every
        except BaseException as error:
            self._error = error
