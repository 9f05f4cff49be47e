"""Ordering of frames for temporal models: all frames of one film, and nothing between them."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol, TypeVar


class HasStream(Protocol):
    """A picture or frame of a film."""

    @property
    def stream(self) -> object | None:
        """Identifies the film; None for a still picture."""


@dataclass(frozen=True, eq=False)
class EndOfStream:
    """Follows the last frame of a film."""

    stream: object


T = TypeVar("T", bound=HasStream)


def one_stream_at_a_time(items: Iterable[T | EndOfStream]) -> Iterator[T]:
    """Yields the frames of one film up to its end before those of the next film.

    Items of other streams wait here. They hold their memory already, and the current film needs
    no more than its own, so waiting cannot block it.
    """
    waiting: deque[T | EndOfStream] = deque()
    current: object | None = None
    for item in items:
        waiting.append(item)
        del item  # the wait for the next item must not keep the memory of this one
        while (chosen := _pop_next(current, waiting)) is not None:
            if isinstance(chosen, EndOfStream):
                current = None
            else:
                current = chosen.stream
                yield chosen
            del chosen


def _pop_next(current: object | None, waiting: deque[T | EndOfStream]) -> T | EndOfStream | None:
    """Removes and returns the first item of the current stream, or of any if there is none."""
    for index, item in enumerate(waiting):
        if current is None or item.stream is current:
            del waiting[index]
            return item
    return None
