"""One source after the other: for colorizers that remember the frames that they have seen."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from batchcolor.pipeline.executor import Item
    from batchcolor.pipeline.video_task import FrameItem, VideoTask


class Over:
    """Comes after the last frame of a film."""

    def __init__(self, line: VideoTask) -> None:
        self.line = line


def one_source_at_a_time(items: Iterable[Item | FrameItem | Over]) -> Iterator[Item | FrameItem]:
    """The items one by one: all frames of a film, and nothing between them.

    What comes meanwhile waits here; as it has its share of memory, and the film needs no other
    than its own, nobody waits for it in vain.
    """
    waiting: deque[Item | FrameItem | Over] = deque()
    turn: VideoTask | None = None
    for item in items:
        waiting.append(item)
        while waiting:
            chosen = _next_of(turn, waiting)
            if chosen is None:
                break
            line = getattr(chosen, "line", None)
            turn = None if isinstance(chosen, Over) else line
            if not isinstance(chosen, Over):
                yield chosen


def _next_of(
    turn: VideoTask | None, waiting: deque[Item | FrameItem | Over]
) -> Item | FrameItem | Over | None:
    """Take out the first one whose turn it is."""
    for index, item in enumerate(waiting):
        if turn is None or getattr(item, "line", None) is turn:
            del waiting[index]
            return item
    return None
