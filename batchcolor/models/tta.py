"""How a network is asked: once where it learns, of the mirror image as well where it colours."""

from __future__ import annotations

from collections.abc import Callable

import torch


def average_with_mirror(
    look: Callable[[torch.Tensor], torch.Tensor], luma: torch.Tensor
) -> torch.Tensor:
    """The mean of the chroma that `look` gives luma squares `(N, 1, S, S)` and their mirror images.

    A photograph's mirror image has the mirrored colours, and a small network errs on each of the
    two a little differently.
    """
    chroma, mirrored = look(torch.cat([luma, luma.flip(3)])).chunk(2)
    return (chroma + mirrored.flip(3)) / 2
