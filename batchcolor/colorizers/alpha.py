"""Alpha: stacked convolutional auto-encoders, 5 x 5 first filter, learnt on flowers.

The published model: 3 convolutions, upsampling, 6 convolutions, upsampling, 3 convolutions
and an output layer, ReLU, dropout, Adam; published loss 0.0415, validation loss 0.0388.
Those rows are kept. Ours are the widths, the strides (2, 2, 2 in the first three: a flower is
recognised by its whole shape, and chroma at half the working size is fine enough for it),
the batch normalisation and the loss; docs/experiments.md says why.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

ARCHITECTURE = 1
"""Version of the layers below; weights of another version are refused."""


@dataclass(frozen=True)
class Widths:
    """Channels of the convolutions, and the share of activations that dropout hides."""

    first: int = 32
    second: int = 64
    deep: int = 128
    last: int = 48
    dropout: float = 0.1


def convolution(inputs: int, outputs: int, kernel: int = 3, stride: int = 1) -> nn.Sequential:
    """A convolution that keeps the size (but for its stride), batch normalisation, ReLU."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, stride=stride, padding=kernel // 2, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
    )


class Alpha(nn.Module):
    """Luma `(N, 1, S, S)` in 0..1 to chroma `(N, 2, S/2, S/2)` in -0.5..0.5; S divisible by 8."""

    def __init__(self, widths: Widths | None = None) -> None:
        super().__init__()
        w = widths or Widths()
        self.encode = nn.Sequential(
            convolution(1, w.first, kernel=5, stride=2),  # (N, first, S/2, S/2)
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
            convolution(w.second, w.last),  # (N, last, S/2, S/2), as the next two
            convolution(w.last, w.last),
            convolution(w.last, w.last),
            output,  # (N, 2, S/2, S/2): the output layer
        )
        self.upsample = nn.Upsample(scale_factor=2, mode="nearest")
        nn.init.zeros_(output.weight)  # training starts from grey, not from noise

    def forward(self, luma: torch.Tensor) -> torch.Tensor:
        """Chroma, Cb and Cr, of a batch of luma squares."""
        x = self.encode(luma - 0.5)  # (N, deep, S/8, S/8)
        x = self.middle(self.upsample(x))  # (N, second, S/4, S/4)
        x = self.decode(self.upsample(x))  # (N, 2, S/2, S/2)
        return 0.5 * torch.tanh(x)
