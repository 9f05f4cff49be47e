"""Estimates motion between consecutive frames by coarse-to-fine block matching.

Frames are squares of luma, `(SIDE, SIDE)`, float32 in 0..1. Chroma is smooth, so motion at a
precision of 1/64 of the frame is sufficient to propagate it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Field = NDArray[np.float32]
Indices = NDArray[np.intp]

SIDE = 64
LEVELS = 3
"""Pyramid levels: a quarter, a half and the whole of `SIDE`."""
SEARCH_RADIUS = 3
"""Samples in each direction searched at the coarsest level: 12 of 64 at full size."""
MOTION_PENALTY = np.float32(0.002)
"""Luma difference by which a motion vector must be better than a shorter one, per sample; keeps
flat areas still."""
TOLERANCE = np.float32(0.06)
"""Luma difference, after compensation of motion and exposure, at which confidence is 1/e."""
MIN_STD = np.float32(0.01)
"""Standard deviation of luma below which a frame is flat."""


@dataclass(frozen=True)
class Match:
    """Position of each sample in the previous frame, and the confidence of the match.

    `rows` and `columns` are indices `(SIDE, SIDE)` into the previous frame; `confidence` is 0..1;
    `correlation` is that of both frames without motion, -1..1.
    """

    rows: Indices
    columns: Indices
    confidence: Field
    correlation: float


def match_frames(before: Field, now: Field) -> Match:
    """Matches `now` with the previous frame; differences of exposure are compensated."""
    similarity = correlate_frames(before, now)
    rows, columns = _estimate_motion(match_exposure(before, now), now)
    return Match(rows, columns, _compute_confidence(before[rows, columns], now), similarity)


def invert_match(match: Match, before: Field, now: Field) -> Match:
    """Returns the match of `before` with `now`, from that of `now` with `before`.

    Where several samples come from one, the most confident counts; what no sample comes from is
    taken to stand still, with the confidence that its luma gives.
    """
    rows, columns = (index.copy() for index in np.indices((SIDE, SIDE)))
    least_confident_first = np.unravel_index(
        np.argsort(match.confidence, axis=None, kind="stable"), (SIDE, SIDE)
    )
    origin = match.rows[least_confident_first], match.columns[least_confident_first]
    rows[origin], columns[origin] = least_confident_first
    confidence = _compute_confidence(now[rows, columns], before)
    return Match(rows, columns, confidence, match.correlation)


def _compute_confidence(moved: Field, target: Field) -> Field:
    """Returns the confidence, 0..1, that samples moved along motion are those of the target."""
    difference = compute_box_mean(np.abs(match_exposure(moved, target) - target), 1)
    confidence: Field = np.exp(-np.square(difference / TOLERANCE)).astype(np.float32)
    return confidence


def correlate_frames(before: Field, now: Field) -> float:
    """Returns the correlation of two frames without motion, -1..1."""
    return correlate(compute_box_mean(before, 2), compute_box_mean(now, 2))


def correlate(one: Field, other: Field) -> float:
    """Returns Pearson's correlation; 1 if both frames are flat, 0 if one is."""
    a, b = one - one.mean(), other - other.mean()
    spread = float(np.sqrt((a * a).mean() * (b * b).mean()))
    if spread < float(MIN_STD) ** 2:
        return 1.0 if max(float(a.std()), float(b.std())) < 3 * float(MIN_STD) else 0.0
    return float((a * b).mean()) / spread


def match_exposure(before: Field, now: Field) -> Field:
    """Returns `before` with the mean and standard deviation of `now`; the gain is limited."""
    spread = max(float(before.std()), float(MIN_STD))
    gain = float(np.clip(max(float(now.std()), float(MIN_STD)) / spread, 0.5, 2.0))
    fitted: Field = ((before - before.mean()) * np.float32(gain) + now.mean()).astype(np.float32)
    return fitted


def _estimate_motion(before: Field, now: Field) -> tuple[Indices, Indices]:
    """Returns the indices of each sample's best match, from the coarsest level to the finest."""
    shift_rows = shift_columns = np.zeros((1, 1), np.intp)
    for level in reversed(range(LEVELS)):
        factor = 1 << level
        small_before, small_now = _downsample(before, factor), _downsample(now, factor)
        side = SIDE // factor
        if level == LEVELS - 1:
            shift_rows = shift_columns = np.zeros((side, side), np.intp)
        else:
            shift_rows = 2 * shift_rows.repeat(2, 0).repeat(2, 1)
            shift_columns = 2 * shift_columns.repeat(2, 0).repeat(2, 1)
        radius = SEARCH_RADIUS if level == LEVELS - 1 else 1
        shift_rows, shift_columns = _refine(
            small_before, small_now, shift_rows, shift_columns, radius
        )
    return _to_indices(shift_rows, shift_columns)


def _refine(
    before: Field, now: Field, shift_rows: Indices, shift_columns: Indices, radius: int
) -> tuple[Indices, Indices]:
    """Returns for each sample the best shift within `radius` of the given one."""
    steps = np.arange(-radius, radius + 1)
    by_rows, by_columns = np.repeat(steps, len(steps)), np.tile(steps, len(steps))
    cost = _compute_box_sum(
        _compare_candidates(before, now, shift_rows, shift_columns, by_rows, by_columns), 2
    )
    rows_moved = np.abs(shift_rows + steps[:, None, None])
    columns_moved = np.abs(shift_columns + steps[:, None, None])
    distance = (rows_moved[:, None] + columns_moved[None]).reshape(cost.shape)
    cost += (MOTION_PENALTY * 25 * np.arange(5)).take(distance, mode="clip")
    best = _find_smallest(cost)
    return shift_rows + by_rows[best], shift_columns + by_columns[best]


def _compare_candidates(
    before: Field,
    now: Field,
    shift_rows: Indices,
    shift_columns: Indices,
    by_rows: Indices,
    by_columns: Indices,
) -> Field:
    """Returns the difference of each sample and each candidate's sample, `(candidates, s, s)`.

    The previous frame is extended by its edges so far that no shift leaves it.
    """
    reach = max(int(np.abs(shift_rows).max()), int(np.abs(shift_columns).max())) + int(by_rows[-1])
    padded = _extend_edges(before, reach)
    here = np.arange(reach, reach + len(before))
    length = padded.shape[1]
    position = (here[:, None] + shift_rows) * length + here + shift_columns
    candidates = position + (by_rows * length + by_columns)[:, None, None]
    difference: Field = padded.take(candidates)
    difference -= now
    np.abs(difference, out=difference)
    return difference


def _find_smallest(cost: Field) -> Indices:
    """Returns the index of the smallest cost of each sample, `(s, s)`; the first one if equal."""
    best: Indices
    if len(cost) > 9:
        best = cost.argmin(axis=0)
        return best
    smallest, best = cost[0].copy(), np.zeros(cost.shape[1:], np.intp)
    for index in range(1, len(cost)):  # several times as fast as argmin for few candidates
        is_smaller = cost[index] < smallest
        np.copyto(smallest, cost[index], where=is_smaller)
        best[is_smaller] = index
    return best


def _to_indices(shift_rows: Indices, shift_columns: Indices) -> tuple[Indices, Indices]:
    side = shift_rows.shape[-1]
    here = np.arange(side)
    rows = np.clip(here[:, None] + shift_rows, 0, side - 1)
    columns = np.clip(here[None, :] + shift_columns, 0, side - 1)
    return rows, columns


def _downsample(picture: Field, factor: int) -> Field:
    side = picture.shape[0] // factor
    small: Field = picture.reshape(side, factor, side, factor).mean(axis=(1, 3))
    return small


def _compute_box_sum(stack: Field, radius: int) -> Field:
    """Returns sums over a square window around each sample of the last two axes; edges repeat."""
    padded = _extend_edges(stack, radius)
    window = 2 * radius + 1
    height, length = stack.shape[-2:]
    rows = padded[..., :height, :].copy()
    for step in range(1, window):
        rows += padded[..., step : step + height, :]
    total = rows[..., :length].copy()
    for step in range(1, window):
        total += rows[..., step : step + length]
    return total


def _extend_edges(stack: Field, width: int) -> Field:
    """Returns the last two axes extended by `width` samples on each side; edges repeat."""
    height, length = stack.shape[-2:]
    padded = np.empty((*stack.shape[:-2], height + 2 * width, length + 2 * width), stack.dtype)
    padded[..., width : width + height, width : width + length] = stack
    padded[..., width : width + height, :width] = stack[..., :1]
    padded[..., width : width + height, width + length :] = stack[..., -1:]
    padded[..., :width, :] = padded[..., width : width + 1, :]
    padded[..., width + height :, :] = padded[..., width + height - 1 : width + height, :]
    return padded


def compute_box_mean(picture: Field, radius: int) -> Field:
    """Returns means over a square window around each sample."""
    mean: Field = _compute_box_sum(picture, radius) / np.float32((2 * radius + 1) ** 2)
    return mean
