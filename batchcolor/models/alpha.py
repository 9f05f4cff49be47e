"""Alpha: stacked convolutional auto-encoders, 5 x 5 first filter, learnt on flowers.

The published model: 3 convolutions, upsampling, 6 convolutions, upsampling, 3 convolutions
and an output layer, ReLU, dropout, Adam; published loss 0.0415, validation loss 0.0388.
Those rows are kept. Ours are the widths, the strides (4, 2, 2 in the first three: a flower is
recognised by its whole shape, and chroma at a quarter of the working size is fine enough for it),
the batch normalisation and the loss; docs/experiments.md says why.
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
    deep: int = 192
    middle: int = 96
    last: int = 64
    dropout: float = 0.1


def convolution(inputs: int, outputs: int, kernel: int = 3, stride: int = 1) -> nn.Sequential:
    """A convolution that keeps the size (but for its stride), batch normalisation, ReLU."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, stride=stride, padding=kernel // 2, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
    )


class Alpha(nn.Module):
    """Luma `(N, 1, S, S)` in 0..1 to chroma `(N, 2, S/4, S/4)` in -0.5..0.5; S divisible by 16."""

    def __init__(self, widths: Widths | None = None) -> None:
        super().__init__()
        w = widths or Widths()
        self.encode = nn.Sequential(
            convolution(1, w.first, kernel=5, stride=4),  # (N, first, S/4, S/4)
            convolution(w.first, w.second, stride=2),  # (N, second, S/8, S/8)
            convolution(w.second, w.deep, stride=2),  # (N, deep, S/16, S/16)
        )
        self.middle = nn.Sequential(
            convolution(w.deep, w.deep),  # (N, deep, S/8, S/8), as the next four
            convolution(w.deep, w.deep),
            convolution(w.deep, w.deep),
            convolution(w.deep, w.deep),
            convolution(w.deep, w.deep),
            nn.Dropout2d(w.dropout),
            convolution(w.deep, w.middle),  # (N, middle, S/8, S/8)
        )
        output = nn.Conv2d(w.last, 2, 3, padding=1)
        self.decode = nn.Sequential(
            convolution(w.middle, w.last),  # (N, last, S/4, S/4), as the next two
            convolution(w.last, w.last),
            convolution(w.last, w.last),
            output,  # (N, 2, S/4, S/4): the output layer
        )
        self.upsample = nn.Upsample(scale_factor=2, mode="nearest")
        nn.init.zeros_(output.weight)  # training starts from grey, not from noise

    def forward(self, luma: torch.Tensor) -> torch.Tensor:
        """Chroma, Cb and Cr, of a batch of luma squares."""
        return self.look(luma) if self.training else average_with_mirror(self.look, luma)

    def look(self, luma: torch.Tensor) -> torch.Tensor:
        """The layers, from first to last."""
        x = self.encode(luma - 0.5)  # (N, deep, S/16, S/16)
        x = self.middle(self.upsample(x))  # (N, middle, S/8, S/8)
        x = self.decode(self.upsample(x))  # (N, 2, S/4, S/4)
        return 0.5 * torch.tanh(x)
