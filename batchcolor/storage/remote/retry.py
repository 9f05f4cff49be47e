"""Repeats operations on remote storage that fail for the moment: throttling, time-outs, torn
connections."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from batchcolor.storage.remote.errors import StorageError, classify, explain, find_status

T = TypeVar("T")
FIRST_WAIT, LONGEST_WAIT = 0.25, 20.0
"""Seconds before the first repetition, and at most before a later one."""
DEFAULT_RETRIES = 8


@dataclass(frozen=True)
class Retry:
    """How often an operation is repeated. `stop` ends the waits: the job was aborted."""

    retries: int = DEFAULT_RETRIES
    stop: threading.Event | None = None

    def call(self, operation: Callable[[], T]) -> T:
        """Returns what the operation returns.

        Only errors that pass by themselves are repeated, after waits that double; a random part
        keeps the threads of many computers apart. Raises StorageError, and whatever is no error of
        the storage, such as MemoryError.
        """
        for attempt in range(self.retries + 1):
            try:
                return operation()
            except StorageError:
                raise
            except (MemoryError, NotImplementedError):
                raise
            except Exception as error:
                kind = classify(error)
                is_stopped = self.stop is not None and self.stop.is_set()
                if kind != "transient" or attempt == self.retries or is_stopped:
                    tried = f" ({attempt + 1} attempts)" if attempt else ""
                    sentence = explain(error) + tried
                    raise StorageError(kind, sentence, find_status(error)) from error
                self.wait(attempt)
        raise AssertionError("the last attempt returns or raises")

    def wait(self, attempt: int) -> None:
        """Waits before the repetition with this number, from 0; less where the job is stopped."""
        seconds = min(LONGEST_WAIT, FIRST_WAIT * 2**attempt)
        event = self.stop or threading.Event()
        event.wait(seconds * random.uniform(0.5, 1.0))
