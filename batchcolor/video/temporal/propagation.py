"""Averages chroma along motion, from frame to frame in one direction.

Each frame's chroma is added to the sum of the frames before it, which is moved along motion and
reduced where the frames do not match. The sum divided by its weight is the mean along the path of
each sample. The luma of those frames is averaged in the same way: where its mean differs from the
luma of the frame, the path has left its object, as happens behind an edge that moves by less than
one sample each frame, and the sum is reduced as well.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from batchcolor.video.temporal.motion import Field, Match, compute_box_mean, match_exposure

RETENTION = np.float32(0.998)
"""Weight of a frame in the mean of the next one where both match: half of it after 346 frames."""
MIN_CARRY = np.float32(1e-4)
"""Smallest factor of the sum, so that frames without chroma of their own have a mean anywhere."""
MIN_WEIGHT = np.float32(1e-30)
"""Weight below which a sum is not reduced: after many frames without a match it would be zero."""
LUMA_TOLERANCE = np.float32(0.12)
"""Difference from the mean luma of the path at which the sum is reduced to 1/e."""


@dataclass(frozen=True)
class Trace:
    """Sums along the path of each sample up to and including one frame.

    `chroma` is `(2, SIDE, SIDE)`; `weight`, `luma` and `frames` are `(SIDE, SIDE)`. `weight` counts
    frames with chroma of their own, `frames` all frames, each by how well it matches.
    """

    chroma: Field
    weight: Field
    luma: Field
    frames: Field

    def add(
        self, guide: Field, own: Field | None, motion: Match, own_weight: Field | None = None
    ) -> Trace:
        """Returns the trace of the next frame; `own` is its chroma, or None if it has none.

        `own_weight` `(SIDE, SIDE)` is the number of frames that its chroma counts for; None for 1.
        """
        rows, columns = motion.rows, motion.columns
        frames, luma = self.frames[rows, columns], self.luma[rows, columns]
        difference = compute_box_mean(np.abs(match_exposure(luma / frames, guide) - guide), 1)
        carry = RETENTION * motion.confidence * np.exp(-np.square(difference / LUMA_TOLERANCE))
        np.maximum(carry, MIN_CARRY, out=carry)
        weight = self.weight[rows, columns]
        share = np.where(carry * weight < MIN_WEIGHT, np.float32(1), carry)
        chroma = share * self.chroma[:, rows, columns]
        weight = share * weight
        if own is not None:
            chroma += own if own_weight is None else own_weight * own
            weight += 1 if own_weight is None else own_weight
        return Trace(chroma, weight, guide + carry * luma, 1 + carry * frames)

    @property
    def mean(self) -> Field:
        """Mean chroma along the paths, `(2, SIDE, SIDE)`."""
        mean: Field = self.chroma / self.weight
        return mean


def begin_trace(guide: Field, own: Field | None, own_weight: Field | None = None) -> Trace:
    """Returns the trace of the first frame of a shot, or of the last one for the way back."""
    ones = np.ones_like(guide)
    if own is None:
        return Trace(np.zeros((2, *guide.shape), np.float32), np.zeros_like(guide), guide, ones)
    if own_weight is not None:
        return Trace(own_weight * own, own_weight, guide, ones)
    return Trace(own, ones, guide, ones)


def join_traces(
    forward: Trace, backward: Trace, own: Field | None, own_weight: Field | None = None
) -> Field:
    """Returns the mean chroma of a frame, which both traces include, along its paths."""
    chroma, weight = forward.chroma + backward.chroma, forward.weight + backward.weight
    if own is not None and own_weight is not None:
        chroma, weight = chroma - own_weight * own, weight - own_weight
    elif own is not None:
        chroma, weight = chroma - own, weight - 1
    joined: Field = chroma / weight
    return joined
