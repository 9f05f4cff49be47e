"""What training makes small. Chroma tensors are `(N, 2, S, S)`, Cb and Cr in -0.5..0.5."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch.nn import functional

from batchcolor.color import rgb_mse

Loss = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


def chroma_huber(chroma: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
    """Huber loss of Cb and Cr: forgives rare far misses, so it greys less than squares do."""
    return functional.huber_loss(chroma.float(), truth.float(), delta=0.02)


LOSSES: dict[str, Loss] = {"rgb-mse": rgb_mse, "chroma-huber": chroma_huber}
