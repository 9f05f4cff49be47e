"""Channels between threads, a budget of memory, and a cancellation that ends every wait."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

T = TypeVar("T")


class CancelledError(Exception):
    """Raised by every wait when the job ends at once."""


class Cancellation:
    """Ends a job early: `draining` lets work in flight finish, `fail` ends every wait."""

    def __init__(self) -> None:
        self.draining = threading.Event()
        self.error: BaseException | None = None
        self.changed = threading.Condition()

    def fail(self, error: BaseException) -> None:
        """Ends every wait with CancelledError; the first error is reported."""
        with self.changed:
            self.error = self.error or error
            self.changed.notify_all()

    def wake(self) -> None:
        """Makes every wait test its condition again."""
        with self.changed:
            self.changed.notify_all()

    def wait_for(self, ready: Callable[[], bool], timeout: float | None = None) -> bool:
        """Waits, with `changed` held, until `ready()` or for `timeout` seconds.

        Returns the last value of `ready()`. Raises CancelledError when the job has failed.
        """
        done = self.changed.wait_for(lambda: self.error is not None or ready(), timeout)
        if self.error is not None:
            raise CancelledError
        return done


class ByteBudget:
    """Limits the memory of pictures in flight, in bytes.

    A picture reserves its share once, before it is decoded, and releases it at the end, so no
    stage waits for the memory of another.

    `max_items` limits the number of pictures as well: more than keep every stage busy would only
    occupy memory.
    """

    def __init__(self, limit: int, max_items: int, stop: Cancellation) -> None:
        self.limit, self.max_items, self._stop = limit, max_items, stop
        self.used = self.items = 0

    def acquire(self, share: int) -> bool:
        """Waits until `share` bytes are free and reserves them; False when the job is stopping."""
        with self._stop.changed:
            self._stop.wait_for(
                lambda: (
                    self._stop.draining.is_set()
                    or (self.used + share <= self.limit and self.items < self.max_items)
                )
            )
            if self._stop.draining.is_set():
                return False
            self.used += share
            self.items += 1
            return True

    def release(self, share: int) -> None:
        """Releases the bytes of one item."""
        with self._stop.changed:
            self.used -= share
            self.items -= 1
            self._stop.changed.notify_all()


class Channel(Generic[T]):
    """Passes items between threads. The byte budget limits its length."""

    def __init__(self, stop: Cancellation, producers: int) -> None:
        self._stop, self._producers = stop, producers
        self._items: deque[T] = deque()

    def __len__(self) -> int:
        """Items that wait."""
        return len(self._items)

    def put(self, item: T) -> None:
        """Appends an item."""
        with self._stop.changed:
            self._items.append(item)
            self._stop.changed.notify_all()

    def end(self) -> None:
        """Ends one producer; after the last one, readers get what is left and end."""
        with self._stop.changed:
            self._producers -= 1
            self._stop.changed.notify_all()

    def __iter__(self) -> Iterator[T]:
        """Yields items until every producer has ended."""
        for batch in self.batches(1):
            yield batch.pop()

    def for_each(self, work: Callable[[T], None]) -> None:
        """Calls `work` for every item until every producer has ended.

        Keeps no reference to an item while it waits for the next one, as the variable of a loop
        does: its memory is free once `work` has released its budget.
        """
        for batch in self.batches(1):
            work(batch.pop())

    def batches(self, size: int | Callable[[], int], patience: float = 0.05) -> Iterator[list[T]]:
        """Yields lists of up to `size` items; shorter when none arrives for `patience` seconds.

        A caller that deletes its reference to a list before the next one frees the items.
        """
        while True:
            max_items = size() if callable(size) else size
            with self._stop.changed:
                self._stop.wait_for(lambda: bool(self._items) or self._producers <= 0)
                if not self._items:
                    return
                self._fill(max_items, time.monotonic() + patience)
                batch = [self._items.popleft() for _ in range(min(max_items, len(self._items)))]
            if batch:
                yield batch
            del batch  # else the wait for the next items keeps the memory of these

    def _fill(self, max_items: int, deadline: float) -> None:
        """Waits, with `changed` held, for more items until the deadline passes without any."""
        while len(self._items) < max_items and self._producers > 0:
            before, left = len(self._items), deadline - time.monotonic()

            def has_more(count: int = before) -> bool:
                return len(self._items) > count or self._producers <= 0

            if left <= 0 or not self._stop.wait_for(has_more, left):
                return


def start_thread(name: str, work: Callable[[], None], stop: Cancellation) -> threading.Thread:
    """Starts a thread; an exception in it ends the job, so that no other thread waits for it."""

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
