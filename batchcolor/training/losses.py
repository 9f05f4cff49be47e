"""Training losses. Chroma and target are `(N, 2, S, S)`, Cb and Cr in -0.5..0.5."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch.nn import functional

from batchcolor.color import rgb_mse

Loss = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


def chroma_huber(chroma: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Returns the Huber loss of Cb and Cr.

    Outliers weigh less than in the squared error, so predictions are less desaturated.
    """
    return functional.huber_loss(chroma.float(), target.float(), delta=0.02)


LOSSES: dict[str, Loss] = {"rgb-mse": rgb_mse, "chroma-huber": chroma_huber}
