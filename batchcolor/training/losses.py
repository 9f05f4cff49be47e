"""What training makes small. Chroma tensors are `(N, 2, S, S)`, Cb and Cr in -0.5..0.5."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch.nn import functional

from batchcolor.color import BLUE_CB, GREEN_CB, GREEN_CR, RED_CR

Loss = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


def rgb_mse(chroma: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
    """Mean squared error of R, G and B in 0..1 that this chroma causes at the true luma.

    The plain reading of the published losses. As luma is shared, the error of each channel is
    linear in the error of chroma (BT.601); clipping to 0..1 is left out, so it never flatters.
    """
    error = chroma.float() - truth.float()
    cb, cr = error[:, 0], error[:, 1]
    green = GREEN_CB * cb + GREEN_CR * cr
    return ((RED_CR * cr) ** 2 + green**2 + (BLUE_CB * cb) ** 2).mean() / 3


def chroma_huber(chroma: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
    """Huber loss of Cb and Cr: forgives rare far misses, so it greys less than squares do."""
    return functional.huber_loss(chroma.float(), truth.float(), delta=0.02)


LOSSES: dict[str, Loss] = {"rgb-mse": rgb_mse, "chroma-huber": chroma_huber}
