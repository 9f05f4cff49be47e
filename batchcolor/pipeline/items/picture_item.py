"""One picture in flight between decoding and encoding."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from batchcolor.images.picture import Picture
from batchcolor.inference.hints.picture_hints import PictureHints
from batchcolor.pipeline.planning.task import Task


@dataclass
class PictureItem:
    """A decoded picture, the square of its luma, and its chroma once the model has run."""

    task: Task
    share: int
    picture: Picture
    square: NDArray[np.float32]
    is_shot_start: Literal[True] = True
    """A picture is a film of one frame to a temporal model."""
    stream: None = None
    hints: PictureHints | None = None
    chroma: NDArray[np.float32] = field(default_factory=lambda: np.zeros((2, 1, 1), np.float32))
