"""Bounded stages: bytes in flight, channels between threads, and a stop that reaches every wait."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

T = TypeVar("T")


class CancelledError(Exception):
    """Raised out of every wait when the job is ended at once."""


class Cancellation:
    """How a job ends early: `draining` lets work in flight finish, `fail` ends every wait."""

    def __init__(self) -> None:
        self.draining = threading.Event()
        self.error: BaseException | None = None
        self.changed = threading.Condition()

    def fail(self, error: BaseException) -> None:
        """End every wait with CancelledError; the first error is reported."""
        with self.changed:
            self.error = self.error or error
            self.changed.notify_all()

    def wake(self) -> None:
        """Let every wait look again."""
        with self.changed:
            self.changed.notify_all()

    def wait_for(self, ready: Callable[[], bool], timeout: float | None = None) -> bool:
        """Wait with `changed` held. Raises CancelledError when the job has failed."""
        done = self.changed.wait_for(lambda: self.error is not None or ready(), timeout)
        if self.error is not None:
            raise CancelledError
        return done


class ByteBudget:
    """Bytes in flight. A picture takes its share once, before it is decoded, and gives it back
    when it has left the line, so no stage can wait for another's share.

    `most` bounds the shares as well: beyond what keeps every stage busy, small pictures that
    wait decoded would only take memory.
    """

    def __init__(self, limit: int, most: int, stop: Cancellation) -> None:
        self.limit, self.most, self._stop = limit, most, stop
        self.used = self.shares = 0

    def acquire(self, share: int) -> bool:
        """Wait until `share` bytes are free; False when no new work is wanted any more."""
        with self._stop.changed:
            self._stop.wait_for(
                lambda: (
                    self._stop.draining.is_set()
                    or (self.used + share <= self.limit and self.shares < self.most)
                )
            )
            if self._stop.draining.is_set():
                return False
            self.used += share
            self.shares += 1
            return True

    def release(self, share: int) -> None:
        """Give a share back."""
        with self._stop.changed:
            self.used -= share
            self.shares -= 1
            self._stop.changed.notify_all()


class Channel(Generic[T]):
    """Items from some threads to others. What it holds is bounded by the byte budget."""

    def __init__(self, stop: Cancellation, producers: int) -> None:
        self._stop, self._producers = stop, producers
        self._items: deque[T] = deque()

    def put(self, item: T) -> None:
        """Hand an item on."""
        with self._stop.changed:
            self._items.append(item)
            self._stop.changed.notify_all()

    def end(self) -> None:
        """One producer has no more."""
        with self._stop.changed:
            self._producers -= 1
            self._stop.changed.notify_all()

    def __iter__(self) -> Iterator[T]:
        """Items until every producer has ended."""
        for batch in self.batches(1):
            yield batch[0]

    def batches(self, size: int | Callable[[], int], patience: float = 0.05) -> Iterator[list[T]]:
        """Lists of up to `size` items; a shorter one when nothing more comes for `patience` s."""
        while True:
            most = size() if callable(size) else size
            with self._stop.changed:
                self._stop.wait_for(lambda: bool(self._items) or self._producers <= 0)
                if not self._items:
                    return
                self._fill(most, time.monotonic() + patience)
                batch = [self._items.popleft() for _ in range(min(most, len(self._items)))]
            if batch:
                yield batch

    def _fill(self, most: int, deadline: float) -> None:
        """Wait for more while more keeps coming before the deadline; `changed` is held."""
        while len(self._items) < most and self._producers > 0:
            before, left = len(self._items), deadline - time.monotonic()

            def more(count: int = before) -> bool:
                return len(self._items) > count or self._producers <= 0

            if left <= 0 or not self._stop.wait_for(more, left):
                return


def start_thread(name: str, work: Callable[[], None], stop: Cancellation) -> threading.Thread:
    """A thread whose death stops the job instead of hanging it."""

    def guarded() -> None:
        try:
            work()
        except CancelledError:
            pass
        except BaseException as error:
            stop.fail(error)

    thread = threading.Thread(target=guarded, name=name, daemon=True)
    thread.start()
    return thread
