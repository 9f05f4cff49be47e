"""Finds colour hints that contradict each other, which a person can see and mend.

Every set of hints has a finite result: of two colours at one place the later one counts, and
between two hints on one surface the colours change gradually. Whether that is meant, only the
person knows.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from batchcolor.color import rgb_to_ycbcr
from batchcolor.inference.hints.hint import Hint
from batchcolor.inference.hints.hint_field import draw_hint

MIN_DIFFERENCE = 0.08
"""Distance in the CbCr plane from which two colours contradict each other: half of that between
the blue of a sky and grey."""
COVERED = 0.5
"""Share of a hint that another one covers, from which both are at one place."""
NEAR = 0.08
"""Distance, as a share of the longer side, up to which hints are next to each other."""
MAX_LUMA_RANGE = 0.05
"""Largest difference of luma on the way between two hints on one even surface."""
MAX_COMPARED = 200
"""Hints of one picture that are compared with each other."""
MAX_NOTES = 3
MAX_CELLS = 256
"""Positions of a hint whose distance to another one is computed."""

Cells = NDArray[np.int64]


def describe_contradictions(
    hints: Sequence[Hint], guide: NDArray[np.float32], picture_size: tuple[int, int]
) -> list[str]:
    """Returns sentences about hints that contradict each other; usually none.

    `guide` is luma `(h, w)` in 0..1; `picture_size` is width and height in pixels.
    """
    if len(hints) < 2:
        return []
    height, width = guide.shape
    cells = [
        np.argwhere(draw_hint(hint, (width, height), picture_size)) for hint in hints[:MAX_COMPARED]
    ]
    notes = list(_find(hints, cells, guide))
    more = len(notes) - MAX_NOTES
    if more > 0:
        return [*notes[:MAX_NOTES], f"{more} more pairs of colour hints contradict each other"]
    return notes


def _find(hints: Sequence[Hint], cells: list[Cells], guide: NDArray[np.float32]) -> Iterator[str]:
    colors = np.array([_find_chroma(hint) for hint in hints])
    for first, second in combinations(range(len(cells)), 2):
        if np.hypot(*(colors[first] - colors[second])) < MIN_DIFFERENCE:
            continue
        pair = f"colour hints {first + 1} ({hints[first].color}) and {second + 1} "
        pair += f"({hints[second].color})"
        if _is_covered(cells[first], cells[second]):
            yield f"{pair} are at the same place: the later one counts"
        elif _is_one_surface(cells[first], cells[second], guide):
            yield f"{pair} are next to each other on one surface: their colours are mixed there"


def _find_chroma(hint: Hint) -> tuple[float, float]:
    red, green, blue = (np.float32(value / 255) for value in hint.rgb)
    _, cb, cr = rgb_to_ycbcr(red, green, blue)
    return float(cb), float(cr)


def _is_covered(first: Cells, second: Cells) -> bool:
    """Whether hints of these positions `(n, 2)` are at one place, by the smaller one."""
    if (first.max(axis=0) < second.min(axis=0)).any() or (
        second.max(axis=0) < first.min(axis=0)
    ).any():
        return False
    common = len(set(map(tuple, first.tolist())) & set(map(tuple, second.tolist())))
    return common >= COVERED * min(len(first), len(second))


def _is_one_surface(first: Cells, second: Cells, guide: NDArray[np.float32]) -> bool:
    """Whether two hints are next to each other with no edge of luma on the way between them."""
    limit = NEAR * max(guide.shape)
    first, second = (cells[:: 1 + len(cells) // MAX_CELLS] for cells in (first, second))
    gap = np.maximum(first.min(axis=0) - second.max(axis=0), second.min(axis=0) - first.max(axis=0))
    if np.hypot(*gap.clip(min=0)) > limit:
        return False
    distances = np.linalg.norm(first[:, None] - second[None], axis=-1)
    start, end = np.unravel_index(int(distances.argmin()), distances.shape)
    if distances[start, end] > limit:
        return False
    steps = np.linspace(0, 1, 1 + int(np.ceil(distances[start, end])))[:, None]
    way = (first[start] + steps * (second[end] - first[start])).round().astype(int)
    return float(np.ptp(guide[way[:, 0], way[:, 1]])) <= MAX_LUMA_RANGE
