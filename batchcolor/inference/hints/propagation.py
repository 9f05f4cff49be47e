"""Propagates colour hints over the regions of a picture in which they lie.

The correction of chroma is the solution of a sparse least-squares problem on a small field: at the
hints it makes the chroma that of the hint, between neighbours of like luma it is smooth, and away
from hints it is pulled to zero, so that the model's chroma holds there. The same problem with the
value 1 at hints gives their influence at each position, 0..1. Where it is high, as in the region of
a hint, the correction is applied in full; where it is low, not at all: the pull alone would let the
colour of a hint fade out over the whole picture.

Source: A. Levin, D. Lischinski, Y. Weiss, "Colorization using Optimization", SIGGRAPH 2004; here
the unknown is the difference from the model's chroma, so that its detail is kept. It is solved
directly: affinities differ by a factor of 30,000, so that an iteration that stops early leaves
errors in whole regions.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse import linalg

from batchcolor.images.picture import resize_chroma
from batchcolor.inference.hints.hint_field import HintField

Field = NDArray[np.float32]
Values = NDArray[np.float64]
Matrix = Any
"""A scipy.sparse.csc_matrix, which has no type annotations."""

LUMA_STD = 0.035
"""Difference of luma between neighbours at which the affinity is 0.6 of that of equal luma, in a
picture of full contrast."""
FULL_CONTRAST = 0.15
"""Standard deviation of luma from which a picture has full contrast, as most photographs have. In a
faded one, edges are weaker, and hints would cross all of them."""
MIN_CONTRAST = 0.25
"""Least share of full contrast that is assumed: below, differences of luma are mostly grain."""
MIN_AFFINITY = 3e-5
"""Affinity across the strongest edge: keeps the problem well-posed."""
PRIOR_WEIGHT = 15.0
"""Pull to the model's chroma, summed over a square as wide as the longer side; an affinity is 1."""
MIN_INFLUENCE, FULL_INFLUENCE = 0.1, 0.5
"""Influence of hints up to which they change nothing, and from which they count in full."""
HINT_WEIGHT = 10.0
"""Weight of a hint at a position that it covers. Contradictory hints are averaged."""
NEIGHBOURS = ((0, 1), (1, 0), (1, 1), (1, -1))
"""Steps in y and x to half of the eight neighbours of a position."""


def propagate_hints(guide: Field, chroma: Field, hints: HintField) -> Field:
    """Returns the chroma `(2, h, w)` of a picture with hints, in -0.5..0.5.

    `guide` is luma `(h, w)` of `make_guide`; `chroma` is that of the model for the whole picture,
    `(2, s, s)`; `hints` are on the field of the guide.
    """
    prior = resize_chroma(chroma, guide.shape)
    if not hints.weight.any():
        return prior
    weight = HINT_WEIGHT * hints.weight.astype(np.float64)
    solver = linalg.splu(
        build_system(guide, weight),
        permc_spec="MMD_AT_PLUS_A",
        diag_pivot_thresh=0.0,
        options={"SymmetricMode": True},
    )
    wanted = weight * np.concatenate([hints.chroma - prior, np.ones((1, *guide.shape))])
    solved = solver.solve(wanted.reshape(3, -1).T).T.reshape(3, *guide.shape)
    influence = solved[2].clip(1e-6, 1)
    share = np.clip((influence - MIN_INFLUENCE) / (FULL_INFLUENCE - MIN_INFLUENCE), 0, 1)
    result: Field = (prior + solved[:2] * (share / influence)).astype(np.float32)
    clipped: Field = result.clip(-0.5, 0.5)
    return clipped


def build_system(guide: Field, weight: Values) -> Matrix:
    """Returns the symmetric positive definite matrix `(h w, h w)` of the least-squares problem.

    It is the Laplacian of the affinities, plus the weight of the hints `(h, w)` and of the prior on
    its diagonal.
    """
    height, width = guide.shape
    size = height * width
    luma = guide.astype(np.float64)
    luma_std = LUMA_STD * float(np.clip(luma.std() / FULL_CONTRAST, MIN_CONTRAST, 1))
    index = np.arange(size, dtype=np.int32).reshape(height, width)
    degree = np.zeros((height, width))
    rows, columns, values = [], [], []
    for first, second in _neighbour_slices(height, width):
        difference = luma[first] - luma[second]
        affinity = MIN_AFFINITY + np.exp(-(difference**2) / (2 * luma_std**2))
        degree[first] += affinity
        degree[second] += affinity
        rows += [index[first].ravel(), index[second].ravel()]
        columns += [index[second].ravel(), index[first].ravel()]
        values += [-affinity.ravel()] * 2
    prior = PRIOR_WEIGHT / max(height, width) ** 2
    diagonal = (degree + weight + prior).ravel()
    entries = np.concatenate([*values, diagonal])
    place = np.concatenate([*rows, index.ravel()]), np.concatenate([*columns, index.ravel()])
    return sparse.csc_matrix((entries, place), (size, size))


def _neighbour_slices(height: int, width: int) -> Iterator[tuple[Any, Any]]:
    for down, right in NEIGHBOURS:
        left_x, right_x = max(0, -right), max(0, right)
        first = slice(0, height - down), slice(left_x, width - right_x)
        second = slice(down, height), slice(right_x, width - left_x)
        yield first, second
