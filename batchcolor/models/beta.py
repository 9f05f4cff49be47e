"""Beta: stacked convolutional auto-encoders, 3 x 3 first filter, learnt on CIFAR-10.

The published model: 12 convolutions with an upsampling after the third and the ninth, ReLU,
dropout, RMSprop; published loss 0.0037, validation loss 0.0035. Those rows are kept. Ours
are the widths, the strides (2, 2, 2 in the first three, so that six wide convolutions look at
the whole picture for the price of four narrow ones at twice the size; chroma at half the working
size loses 0.4 % of its error), the batch normalisation and the loss; docs/experiments.md says why.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

from batchcolor.models.tta import average_with_mirror

ARCHITECTURE = 2
"""Version of the layers below; weights of another version are refused."""


@dataclass(frozen=True)
class Widths:
    """Channels of the convolutions, and the share of activations that dropout hides."""

    first: int = 64
    second: int = 128
    deep: int = 256
    last: int = 64
    dropout: float = 0.12


def convolution(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    """A 3 x 3 convolution, batch normalisation, ReLU."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
    )


class Beta(nn.Module):
    """Luma `(N, 1, S, S)` in 0..1 to chroma `(N, 2, S/2, S/2)` in -0.5..0.5; S divisible by 8."""

    def __init__(self, widths: Widths | None = None) -> None:
        super().__init__()
        w = widths or Widths()
        self.encode = nn.Sequential(
            convolution(1, w.first, stride=2),  # (N, first, S/2, S/2)
            convolution(w.first, w.second, stride=2),  # (N, second, S/4, S/4)
            convolution(w.second, w.deep, stride=2),  # (N, deep, S/8, S/8)
        )
        self.middle = nn.Sequential(
            convolution(w.deep, w.deep),  # (N, deep, S/4, S/4), as the next four
            convolution(w.deep, w.deep),
            convolution(w.deep, w.deep),
            convolution(w.deep, w.deep),
            convolution(w.deep, w.deep),
            nn.Dropout2d(w.dropout),
            convolution(w.deep, w.second),  # (N, second, S/4, S/4)
        )
        output = nn.Conv2d(w.last, 2, 3, padding=1)
        self.decode = nn.Sequential(
            convolution(w.second, w.last),  # (N, last, S/2, S/2)
            convolution(w.last, w.last),  # (N, last, S/2, S/2)
            output,  # (N, 2, S/2, S/2)
        )
        self.upsample = nn.Upsample(scale_factor=2, mode="nearest")
        nn.init.zeros_(output.weight)  # training starts from grey, not from noise

    def forward(self, luma: torch.Tensor) -> torch.Tensor:
        """Chroma, Cb and Cr, of a batch of luma squares."""
        return self.look(luma) if self.training else average_with_mirror(self.look, luma)

    def look(self, luma: torch.Tensor) -> torch.Tensor:
        """The layers, from first to last."""
        x = self.encode(luma - 0.5)  # (N, deep, S/8, S/8)
        x = self.middle(self.upsample(x))  # (N, second, S/4, S/4)
        x = self.decode(self.upsample(x))  # (N, 2, S/2, S/2)
        return 0.5 * torch.tanh(x)
