"""Measures halos: colours of an object that reach over its outline into what lies beside it.

At a strong edge of luma, chroma beside the edge is compared with chroma farther away on the same
side, where luma is the same in both places and so the surface presumably is. The figure is the
mean distance of (Cb, Cr) in 8-bit levels; the film's own colours have one too, to compare with.
"""

from __future__ import annotations

import numpy as np

from batchcolor.images.picture import resize_chroma
from batchcolor.video.temporal.motion import Field

MIN_EDGE = 0.15
"""Difference of luma, 0..1, between both sides of a strong edge, two samples apart."""
NEAR, FAR = 2, 6
"""Distances in samples, of 64, from the edge."""
MAX_LUMA_DIFFERENCE = 0.03
"""Difference of luma between both places on the same surface."""
SCALE = 255.0


class HaloMeter:
    """Measures the frames of one film."""

    def __init__(self) -> None:
        self._sum = self._count = 0.0

    def add(self, luma: Field, chroma: Field) -> None:
        """Adds a frame: luma `(64, 64)` in 0..1, and chroma `(2, s, s)` in -0.5..0.5."""
        chroma = resize_chroma(chroma, luma.shape)
        for turned, planes in ((luma, chroma), (luma.T, chroma.transpose(0, 2, 1))):
            for mirrored, side in ((turned, planes), (turned[:, ::-1], planes[:, :, ::-1])):
                self._add_right_sides(mirrored, side)

    def _add_right_sides(self, luma: Field, chroma: Field) -> None:
        """Adds what lies to the right of vertical edges."""
        width = luma.shape[1]
        edge = np.abs(luma[:, 2:] - luma[:, :-2])[:, : width - FAR - 1]  # around columns 1, 2, ...
        near, far = slice(1 + NEAR, width - FAR + NEAR), slice(1 + FAR, width)
        is_same = np.ptp(
            [luma[:, 1 + step : width - FAR + step] for step in range(NEAR, FAR + 1)], axis=0
        )
        is_compared = (edge > MIN_EDGE) & (is_same < MAX_LUMA_DIFFERENCE)
        distance = np.hypot(*(chroma[:, :, near] - chroma[:, :, far]))[is_compared]
        self._sum += float(distance.sum())
        self._count += distance.size

    @property
    def halo(self) -> float:
        """The mean distance in 8-bit levels; NaN without a strong edge beside an even surface."""
        return SCALE * self._sum / self._count if self._count else float("nan")
