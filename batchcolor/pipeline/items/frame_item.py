"""One frame of a film in flight between decoding and encoding."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from av.video.frame import VideoFrame
from numpy.typing import NDArray

from batchcolor.errors import ProcessingError
from batchcolor.pipeline.planning.task import Task
from batchcolor.video.source_info import SourceInfo
from batchcolor.video.temporal.shots import ShotPosition


class FrameStream(Protocol):
    """The film of a frame: `VideoTask`."""

    source: SourceInfo

    @property
    def task(self) -> Task:
        """Its source, and how it is coloured."""
        ...

    def receive(self, item: FrameItem) -> None:
        """Takes a frame back from inference."""

    def find_film_numbers(self, first: int, last: int) -> tuple[int, int]:
        """Returns the numbers in the film of the first frame of a shot and of a frame of it, which
        differ from those of a preview."""
        ...

    def fail(self, error: ProcessingError) -> None:
        """Ends the film with this error."""


@dataclass
class FrameItem:
    """One frame in flight."""

    stream: FrameStream
    number: int
    """From 0, in the film."""
    frame: VideoFrame | None
    """None if it is decoded again when it is encoded."""
    square: NDArray[np.float32]
    guide: NDArray[np.float32]
    """Luma along which motion is estimated."""
    shot_position: ShotPosition | None
    """Its position in its shot; None where shots are not tracked."""
    is_replayed: bool = False
    """Whether an earlier job wrote it already, and it only restores the state of the model."""
    chroma: NDArray[np.float32] | None = None
    """None until the model has returned it, and for frames that do not go to the model."""

    @property
    def task(self) -> Task:
        """The task of its film."""
        return self.stream.task

    @property
    def is_shot_start(self) -> bool:
        """Whether it is the first frame of its shot."""
        return self.shot_position is not None and self.shot_position.is_shot_start

    @property
    def picture(self) -> SourceInfo:
        """What chroma filters of plugins get: `path`, `width` and `height`."""
        return self.stream.source
