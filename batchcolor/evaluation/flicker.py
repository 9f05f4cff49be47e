"""Measures how much the colours of a film flicker and drift.

Both figures are 0 for colours that do not change or that move with the luma:

- `flicker`: mean absolute difference of Cb and Cr, times 1000, between a frame and the previous
  one propagated along the motion of luma, in areas where the motion estimate is reliable.
- `drift`: Jensen-Shannon divergence between the chroma histograms of frames 1, 2 and 4 apart, mean
  over these steps, times 1000. Known as CDC (Liu et al., "Temporally consistent
  video colorization with deep feature propagation and self-regularization learning", 2021).

Neither compares frames across a cut.
"""

from __future__ import annotations

from collections import deque

import numpy as np
from numpy.typing import NDArray

from batchcolor.images.picture import resize_chroma
from batchcolor.video.temporal.motion import Field, match_frames
from batchcolor.video.temporal.shots import is_cut

STEPS = (1, 2, 4)
"""Distances in frames between the histograms that are compared."""
BINS = 32
MAX_CHROMA = 0.3
"""Range of the histograms; the outermost bins also count chroma beyond it."""
MIN_CONFIDENCE = 0.5
"""Confidence of the motion estimate from which an area is compared."""
SCALE = 1000.0


class FlickerMeter:
    """Measures the frames of one film, which are added in order."""

    def __init__(self) -> None:
        self._previous: tuple[Field, Field] | None = None
        self._histograms: deque[NDArray[np.float64]] = deque(maxlen=max(STEPS))
        self._differences: list[float] = []
        self._divergences: list[float] = []
        self.cuts = 0

    def add(self, luma: Field, chroma: Field) -> None:
        """Adds the next frame: luma `(64, 64)` in 0..1, and chroma `(2, s, s)` in -0.5..0.5."""
        chroma = resize_chroma(chroma, luma.shape)
        if self._previous is not None:
            motion = match_frames(self._previous[0], luma)
            if is_cut(motion):
                self.cuts += 1
                self._histograms.clear()
            else:
                is_reliable = motion.confidence > MIN_CONFIDENCE
                propagated = self._previous[1][:, motion.rows, motion.columns]
                if is_reliable.any():
                    differences = np.abs(chroma - propagated)[:, is_reliable]
                    self._differences.append(float(differences.mean()))
        histograms = _compute_histograms(chroma)
        for step in STEPS:
            if len(self._histograms) >= step:
                self._divergences.append(_compute_divergence(self._histograms[-step], histograms))
        self._histograms.append(histograms)
        self._previous = (luma, chroma)

    @property
    def flicker(self) -> float:
        """Mean difference of chroma along motion, in thousandths."""
        return SCALE * float(np.mean(self._differences)) if self._differences else 0.0

    @property
    def drift(self) -> float:
        """Mean divergence of chroma histograms, in thousandths."""
        return SCALE * float(np.mean(self._divergences)) if self._divergences else 0.0


def _compute_histograms(chroma: Field) -> NDArray[np.float64]:
    """Returns the shares of Cb and of Cr in each bin, `(2, BINS)`."""
    edges = np.linspace(-MAX_CHROMA, MAX_CHROMA, BINS + 1)
    clipped = np.clip(chroma, -MAX_CHROMA, MAX_CHROMA)
    counts = np.stack([np.histogram(plane, edges)[0] for plane in clipped])
    histograms: NDArray[np.float64] = counts / counts.sum(axis=1, keepdims=True)
    return histograms


def _compute_divergence(first: NDArray[np.float64], second: NDArray[np.float64]) -> float:
    """Returns the Jensen-Shannon divergence in nats, mean of Cb and Cr."""
    # Imported here, as scipy.spatial takes long to load and only `evaluate --video` needs it.
    from scipy.spatial.distance import jensenshannon

    # scipy returns the square root of the divergence.
    return float(np.mean(jensenshannon(first, second, axis=1) ** 2))
