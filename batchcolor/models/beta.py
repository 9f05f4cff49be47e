"""Beta: stacked convolutional auto-encoders with a 3x3 first filter, trained on CIFAR-10.

Published model: 12 convolutions with an upsampling after the third and the ninth; ReLU, dropout,
RMSprop; loss 0.0037, validation loss 0.0035. This layer structure is kept. Not published, and
chosen here: the channels, the strides (2, 2, 2 in the first three convolutions, so that six wide
convolutions cover the whole image at the cost of four narrow ones at twice the size; chroma at
half the working size adds 0.4 % to the error), batch normalization and the loss.
docs/experiments.md has the measurements.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

from batchcolor.models.layers import conv_bn_relu
from batchcolor.models.tta import average_with_mirror

ARCHITECTURE = 2
"""Version of the layers below; weights of another version are refused."""


@dataclass(frozen=True)
class BetaWidths:
    """Channels of the convolutions, and the dropout probability."""

    first: int = 64
    second: int = 128
    deep: int = 256
    last: int = 64
    dropout: float = 0.12


class Beta(nn.Module):
    """Maps luma `(N, 1, S, S)` in 0..1 to chroma `(N, 2, S/2, S/2)`; S divisible by 8."""

    def __init__(self, widths: BetaWidths | None = None) -> None:
        super().__init__()
        w = widths or BetaWidths()
        self.encode = nn.Sequential(
            conv_bn_relu(1, w.first, stride=2),  # (N, first, S/2, S/2)
            conv_bn_relu(w.first, w.second, stride=2),  # (N, second, S/4, S/4)
            conv_bn_relu(w.second, w.deep, stride=2),  # (N, deep, S/8, S/8)
        )
        self.middle = nn.Sequential(
            conv_bn_relu(w.deep, w.deep),  # (N, deep, S/4, S/4)
            conv_bn_relu(w.deep, w.deep),
            conv_bn_relu(w.deep, w.deep),
            conv_bn_relu(w.deep, w.deep),
            conv_bn_relu(w.deep, w.deep),
            nn.Dropout2d(w.dropout),
            conv_bn_relu(w.deep, w.second),  # (N, second, S/4, S/4)
        )
        output = nn.Conv2d(w.last, 2, 3, padding=1)
        self.decode = nn.Sequential(
            conv_bn_relu(w.second, w.last),  # (N, last, S/2, S/2)
            conv_bn_relu(w.last, w.last),  # (N, last, S/2, S/2)
            output,  # (N, 2, S/2, S/2)
        )
        self.upsample = nn.Upsample(scale_factor=2, mode="nearest")
        nn.init.zeros_(output.weight)  # the output is grey at the first step of training

    def forward(self, luma: torch.Tensor) -> torch.Tensor:
        """Returns chroma, Cb and Cr; in eval mode, averaged with that of the mirrored input."""
        if self.training:
            return self.forward_once(luma)
        return average_with_mirror(self.forward_once, luma)

    def forward_once(self, luma: torch.Tensor) -> torch.Tensor:
        """Returns chroma from one forward pass."""
        x = self.encode(luma - 0.5)  # (N, deep, S/8, S/8)
        x = self.middle(self.upsample(x))  # (N, second, S/4, S/4)
        x = self.decode(self.upsample(x))  # (N, 2, S/2, S/2)
        return 0.5 * torch.tanh(x)
