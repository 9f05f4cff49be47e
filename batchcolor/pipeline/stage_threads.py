"""The threads of one job's stages."""

from __future__ import annotations

import threading
from collections.abc import Callable

from batchcolor.pipeline.report import Report
from batchcolor.pipeline.stages import Cancellation, start_thread
from batchcolor.pipeline.warning_notes import note_warnings


class StageThreads:
    """Starts the threads of a job and waits for them. A thread may start others."""

    def __init__(self, report: Report, cancellation: Cancellation) -> None:
        self._report, self._cancellation = report, cancellation
        self._threads: list[threading.Thread] = []

    def start(self, name: str, work: Callable[[], None]) -> None:
        """Starts a thread; the job reports the warnings that its code raises."""

        def work_for_job() -> None:
            with note_warnings(self._report):
                work()

        self._threads.append(start_thread(name, work_for_job, self._cancellation))

    def replace(self, thread: threading.Thread, work: Callable[[], None]) -> None:
        """Starts a thread in the place of one that does not return and is no longer waited for."""
        self._threads.remove(thread)
        self.start(thread.name, work)

    def join(self) -> None:
        """Waits until all threads have ended."""
        for thread in self._threads:  # one that is still running may append others
            thread.join()

    def wait(self, seconds: float) -> bool:
        """Whether all threads have ended, after at most so many seconds for each of two waits."""
        for thread in self._threads:
            thread.join(seconds if thread is self._threads[0] else 0)
        if self._cancellation.error is None:
            alive = [thread for thread in self._threads if thread.is_alive()]
            if alive:
                alive[0].join(seconds)
        return not any(thread.is_alive() for thread in self._threads)
