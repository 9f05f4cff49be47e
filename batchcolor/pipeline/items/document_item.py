"""One page of a document in flight between decoding and encoding."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from batchcolor.errors import ProcessingError
from batchcolor.images.picture import Picture
from batchcolor.inference.hints.picture_hints import PictureHints
from batchcolor.pipeline.planning.task import Task


class Document(Protocol):
    """The document of a page: `DocumentTask`."""

    @property
    def task(self) -> Task:
        """Its source, and how it is coloured."""
        ...

    def receive(self, item: PageItem, error: ProcessingError | None) -> None:
        """Takes a page back from inference."""

    def encode(self, item: PageItem) -> None:
        """Encodes and writes a page."""


@dataclass
class PageItem:
    """One page in flight."""

    document: Document
    number: int
    picture: Picture
    square: NDArray[np.float32]
    is_shot_start: Literal[True] = True
    stream: None = None
    """A page is a film of one frame to a temporal model."""
    hints: PictureHints | None = None
    chroma: NDArray[np.float32] = field(default_factory=lambda: np.zeros((2, 1, 1), np.float32))

    @property
    def task(self) -> Task:
        """The task of its document."""
        return self.document.task
