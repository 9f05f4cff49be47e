"""Measures how much the colours of a film flicker and drift.

Both figures are 0 for colours that do not change or that move with the luma:

- `flicker`: the chroma of a frame against that of the frame before, propagated along the motion of
  luma, where the motion is reliable; mean absolute difference of Cb and Cr, times 1000.
- `drift`: Jensen-Shannon divergence of the distributions of colour of neighbouring frames, averaged
  over steps of 1, 2 and 4 frames, times 1000. Known as CDC (Liu et al., "Temporally consistent
  video colorization with deep feature propagation and self-regularization learning", 2021).

Neither is counted over a cut.
"""

from __future__ import annotations

from collections import deque

import numpy as np
from numpy.typing import NDArray

from batchcolor.video.temporal.motion import Field, match_frames
from batchcolor.video.temporal.shots import is_cut
from batchcolor.video.temporal.stabilizer import resize_chroma

STEPS = (1, 2, 4)
BINS = 32
SPAN = 0.3
"""Chroma beyond which colours of films do not go; the outermost bins hold the rest."""
TRUSTED = 0.5
UNIT = 1000.0


class Flicker:
    """Takes the frames of one film in order: luma `(64, 64)` in 0..1 and chroma `(2, s, s)`."""

    def __init__(self) -> None:
        self._before: tuple[Field, Field] | None = None
        self._histories: deque[NDArray[np.float64]] = deque(maxlen=max(STEPS))
        self._differences: list[float] = []
        self._divergences: list[float] = []
        self.cuts = 0

    def add(self, luma: Field, chroma: Field) -> None:
        """The next frame."""
        chroma = resize_chroma(chroma, luma.shape[0])
        if self._before is not None:
            found = match_frames(self._before[0], luma)
            if is_cut(found):
                self.cuts += 1
                self._histories.clear()
            else:
                sure = found.confidence > TRUSTED
                moved = self._before[1][:, found.rows, found.columns]
                if sure.any():
                    self._differences.append(float(np.abs(chroma - moved)[:, sure].mean()))
        shares = _distributions(chroma)
        for step in STEPS:
            if len(self._histories) >= step:
                self._divergences.append(_divergence(self._histories[-step], shares))
        self._histories.append(shares)
        self._before = (luma, chroma)

    @property
    def flicker(self) -> float:
        """Mean difference of chroma along motion, in thousandths."""
        return UNIT * float(np.mean(self._differences)) if self._differences else 0.0

    @property
    def drift(self) -> float:
        """Mean divergence of distributions of chroma, in thousandths."""
        return UNIT * float(np.mean(self._divergences)) if self._divergences else 0.0


def _distributions(chroma: Field) -> NDArray[np.float64]:
    """Shares of Cb and of Cr in each bin, `(2, BINS)`."""
    edges = np.linspace(-SPAN, SPAN, BINS + 1)
    clipped = np.clip(chroma, -SPAN, SPAN)
    counts = np.stack([np.histogram(plane, edges)[0] for plane in clipped])
    shares: NDArray[np.float64] = counts / counts.sum(axis=1, keepdims=True)
    return shares


def _divergence(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    """Jensen-Shannon divergence in nats, mean of Cb and Cr; scipy returns its square root."""
    # Imported here, as scipy.spatial takes long to load and only `evaluate --video` needs it.
    from scipy.spatial.distance import jensenshannon

    return float(np.mean(jensenshannon(one, other, axis=1) ** 2))
