"""Fetches objects ahead of the work, in order, within a limit of bytes."""

from __future__ import annotations

import contextlib
import threading
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")
U = TypeVar("U")
R = TypeVar("R")
MAX_AHEAD = 64
"""Objects that are fetched ahead of the work."""
MAX_BYTES_AHEAD = 256 * 2**20
"""Bytes that are fetched ahead of the work; a larger object is fetched alone."""
POLL = 0.2
"""Seconds between two checks whether the job has stopped."""


class TemporarySpace:
    """Limits the bytes of fetched objects on the local disk. Thread-safe."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.used = 0
        self._changed = threading.Condition()

    def has_room(self, size: int) -> bool:
        """Whether so many bytes are free now."""
        return not self.used or self.used + size <= self.limit

    def acquire(self, size: int, stop: threading.Event) -> bool:
        """Waits until so many bytes are free and reserves them; False when the job stops."""
        with self._changed:
            while not self.has_room(size):
                if stop.is_set():
                    return False
                self._changed.wait(POLL)
            self.used += size
            return True

    def adjust(self, size: int) -> None:
        """Changes what is reserved, without waiting."""
        self.release(-size)

    def release(self, size: int) -> None:
        """Frees bytes."""
        with self._changed:
            self.used -= size
            self._changed.notify_all()


def map_in_order(
    pool: ThreadPoolExecutor, work: Callable[[T], R], items: Iterator[T], ahead: int
) -> Iterator[R]:
    """Yields `work(item)` for every item in order; threads are up to `ahead` items further."""
    pending: deque[Future[R]] = deque()
    try:
        for item in items:
            pending.append(pool.submit(work, item))
            if len(pending) > ahead:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    finally:
        for future in pending:
            future.cancel()


class _EndedError(Exception):
    """The job has ended early."""


@dataclass(frozen=True)
class Sized(Generic[T]):
    """An item that is worked on ahead, and the bytes that are reserved for it."""

    item: T
    size: int


class Prefetcher(Generic[T]):
    """Passes items on in order. Those with a size are worked on ahead, by threads."""

    def __init__(
        self,
        pool: ThreadPoolExecutor,
        space: TemporarySpace,
        stop: threading.Event,
        ahead: int = MAX_AHEAD,
    ) -> None:
        self._pool, self._space, self._stop, self._ahead = pool, space, stop, ahead
        self._bytes = 0

    def run(self, items: Iterator[T | Sized[U]], work: Callable[[U, int], R]) -> Iterator[T | R]:
        """Yields `work(item, size)` of each `Sized` item, and the other items as they are.

        The size is reserved before the work; the caller releases it. So at most
        `ahead` objects and about `MAX_BYTES_AHEAD` bytes wait, and with those in work no more than
        the limit of the space. Ends early when the job stops.
        """
        pending: deque[tuple[T | Future[R], int]] = deque()
        try:
            for item in items:
                if isinstance(item, Sized):
                    while pending and not self._has_room(item.size):
                        yield self._take(pending)
                    if not self._space.acquire(item.size, self._stop):
                        return
                    pending.append((self._pool.submit(work, item.item, item.size), item.size))
                    self._bytes += item.size
                else:
                    pending.append((item, 0))
                while len(pending) > self._ahead or (pending and not _is_future(pending[0][0])):
                    yield self._take(pending)
            while pending:
                yield self._take(pending)
        except _EndedError:
            return
        finally:
            for future, _ in pending:
                if isinstance(future, Future):
                    future.cancel()

    def _has_room(self, size: int) -> bool:
        """Whether one more object may be fetched before those that wait are taken."""
        return self._bytes + size <= MAX_BYTES_AHEAD and self._space.has_room(size)

    def _take(self, pending: deque[tuple[T | Future[R], int]]) -> T | R:
        future, size = pending.popleft()
        self._bytes -= size
        if not isinstance(future, Future):
            return future
        while not self._stop.is_set():
            with contextlib.suppress(TimeoutError):
                return future.result(POLL)
        raise _EndedError


def _is_future(item: object) -> bool:
    return isinstance(item, Future)
