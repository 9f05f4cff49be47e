"""Measures how far colours wander within one second where the picture stands still.

The frame is divided into 16 x 16 blocks. Within each second of a shot, a block counts if the luma
of its samples hardly changes; its swing is the range of its mean Cb or Cr, whichever is larger.
Seconds in which the camera moves do not count: an even wall that it moves along has the same luma
everywhere, but its true colours differ from place to place.
"""

from __future__ import annotations

from collections import deque

import numpy as np

from batchcolor.images.picture import resize_chroma
from batchcolor.video.temporal.motion import SIDE, Field, Match

BLOCKS = 16
"""Blocks along each side."""
MAX_LUMA_RANGE = 0.03
"""Mean range of luma, 0..1, of the samples of a still block within one second."""
MIN_GRADIENT = 0.02
"""Change of luma from sample to sample at outlines, 0..1."""
MAX_CAMERA_RANGE = 1
"""Samples by which the outlines, in the median, may move within one second."""
STEP = 5
"""Frames from one measured second to the next."""
SCALE = 255.0


class SwingMeter:
    """Measures the frames of one film, which are added in order; `rate` is in frames per second."""

    def __init__(self, rate: float) -> None:
        self._frames: deque[tuple[Field, Field]] = deque(maxlen=max(2, round(rate)))
        self._camera: deque[tuple[int, int]] = deque([(0, 0)], maxlen=self._frames.maxlen)
        """Where the outlines are at each of these frames, in samples from their place at first."""
        self._until_next = 0
        self._means: list[float] = []
        self.largest = 0.0
        """Largest swing of a block, in 8-bit levels."""

    def add(self, luma: Field, chroma: Field, motion: Match | None) -> None:
        """Adds the next frame: luma `(64, 64)` in 0..1, and chroma `(2, s, s)` in -0.5..0.5.

        `motion` is the match with the previous frame; None at the start of a shot.
        """
        if motion is None:
            self._frames.clear()
            self._camera.clear()
            self._camera.append((0, 0))
            self._until_next = 0
        else:
            rows, columns = _find_median_shift(luma, motion)
            self._camera.append((self._camera[-1][0] + rows, self._camera[-1][1] + columns))
        self._frames.append((luma, resize_chroma(chroma, luma.shape)))
        if len(self._frames) < (self._frames.maxlen or 0):
            return
        if self._until_next == 0 and np.ptp(self._camera, axis=0).max() <= MAX_CAMERA_RANGE:
            self._measure()
        self._until_next = (self._until_next + 1) % STEP

    def _measure(self) -> None:
        lumas, chromas = (np.stack(part) for part in zip(*self._frames, strict=True))
        still = _average_blocks(np.ptp(lumas, axis=0)) < MAX_LUMA_RANGE
        swings = np.ptp(_average_blocks(chromas), axis=0).max(axis=0)[still]
        if swings.size:
            self._means.append(float(swings.mean()) * SCALE)
            self.largest = max(self.largest, float(swings.max()) * SCALE)

    @property
    def swing(self) -> float:
        """Mean swing of still blocks, in 8-bit levels; NaN if none stood still for a second."""
        return float(np.mean(self._means)) if self._means else float("nan")


def _find_median_shift(luma: Field, motion: Match) -> tuple[int, int]:
    """Returns by how many rows and columns the outlines moved since the previous frame."""
    is_outline = np.hypot(*np.gradient(luma)) > MIN_GRADIENT
    if not is_outline.any():
        return 0, 0
    rows, columns = np.indices((SIDE, SIDE))
    shifts = (motion.rows - rows)[is_outline], (motion.columns - columns)[is_outline]
    return int(np.median(shifts[0])), int(np.median(shifts[1]))


def _average_blocks(fields: Field) -> Field:
    """Returns the mean of each block over the last two axes."""
    side = fields.shape[-1] // BLOCKS
    means: Field = fields.reshape(*fields.shape[:-2], BLOCKS, side, BLOCKS, side).mean(
        axis=(-1, -3)
    )
    return means
