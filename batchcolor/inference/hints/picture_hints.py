"""PictureHints: the colour hints of one picture, ready to be applied to its chroma."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from batchcolor.inference.hints.contradictions import describe_contradictions
from batchcolor.inference.hints.guide import make_guide
from batchcolor.inference.hints.hint import Hint
from batchcolor.inference.hints.hint_field import HintField, make_hint_field
from batchcolor.inference.hints.painted_hints import read_painted_hints


@dataclass(frozen=True)
class PictureHints:
    """Hints and the luma along which they are propagated, on one small field."""

    guide: NDArray[np.float32]
    """Luma `(h, w)` in 0..1."""
    field: HintField
    notes: tuple[str, ...] = ()
    """What a person should know about the hints: that they contradict each other."""

    def apply(self, chroma: NDArray[np.float32]) -> NDArray[np.float32]:
        """Returns chroma `(2, h, w)` with the hints; `chroma` is that of the model `(2, s, s)`."""
        # Here, as SciPy takes long to import, and most jobs have no hints.
        from batchcolor.inference.hints.propagation import propagate_hints

        return propagate_hints(self.guide, chroma, self.field)

    def as_square(self, side: int) -> NDArray[np.float32]:
        """Returns the hints as models take them that propagate hints themselves: `(3, S, S)`.

        The first channel is 1 where a hint is and 0 elsewhere; the others are Cb and Cr of the
        hint in -0.5..0.5, and 0 elsewhere.
        """
        result = np.zeros((3, side, side), np.float32)
        height, width = self.guide.shape
        rows, columns = np.nonzero(self.field.weight)
        target = rows * side // height, columns * side // width
        count = np.zeros((side, side), np.float32)
        np.add.at(count, target, 1)
        for channel in range(2):
            np.add.at(result[channel + 1], target, self.field.chroma[channel, rows, columns])
        result[0] = count > 0
        result[1:] /= np.maximum(count, 1)
        return result


def prepare_hints(
    luma: NDArray[Any],
    hints: Sequence[Hint],
    painted: Path | None = None,
    picture_size: tuple[int, int] | None = None,
) -> PictureHints | None:
    """Returns the hints of a picture with luma `(H, W)`, upright; None where it has none.

    Listed hints cover painted ones. `picture_size` is width and height of the picture, whose pixels
    are the unit of hints, where `luma` is reduced. Raises ProcessingError for hints that cannot be
    used.
    """
    if not hints and painted is None:
        return None
    guide = make_guide(luma)
    size = picture_size or (int(luma.shape[1]), int(luma.shape[0]))
    field = make_hint_field(hints, guide, size)
    if painted is not None:
        field = field.over(read_painted_hints(painted, guide, size))
    return PictureHints(guide, field, tuple(describe_contradictions(hints, guide, size)))
