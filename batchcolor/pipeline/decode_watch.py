"""Finds decoders that do not return, such as a plugin's reader that waits for ever."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from batchcolor.pipeline.planning.task import Task
from batchcolor.pipeline.stages import CancelledError

MAX_SECONDS = 600.0
"""The largest pictures take seconds; a slow network drive may need minutes."""
MAX_SECONDS_AT_STOP = 60.0
"""The same while a job stops."""


@dataclass(frozen=True)
class Decoding:
    """A picture in a decoder."""

    task: Task
    share: int
    """Bytes of the memory budget."""
    thread: threading.Thread
    started: float


class DecodeWatch:
    """Pictures that are decoded at this moment, each in a thread of its own."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._current: dict[threading.Thread, Decoding] = {}

    @contextmanager
    def watch(self, task: Task, share: int) -> Iterator[None]:
        """Registers a picture of this thread until the end of the block.

        Raises CancelledError at the end where `take_overdue` returned it meanwhile: its failure is
        recorded, and another thread has taken the place of this one.
        """
        thread = threading.current_thread()
        with self._lock:
            self._current[thread] = Decoding(task, share, thread, time.monotonic())
        try:
            yield
        finally:
            with self._lock:
                is_in_time = self._current.pop(thread, None) is not None
            if not is_in_time:
                raise CancelledError

    def take_overdue(self, *, is_stopping: bool) -> list[Decoding]:
        """Returns what takes too long, once each, and no longer watches it."""
        limit = MAX_SECONDS_AT_STOP if is_stopping else MAX_SECONDS
        now = time.monotonic()
        with self._lock:
            overdue = [one for one in self._current.values() if now - one.started > limit]
            for one in overdue:
                del self._current[one.thread]
        return overdue
