"""Alpha: stacked convolutional auto-encoders with a 5x5 first filter, trained on flowers.

Published model: 3 convolutions, upsampling, 6 convolutions, upsampling, 3 convolutions and an
output layer; ReLU, dropout, Adam; loss 0.0415, validation loss 0.0388. This layer structure is
kept. Not published, and chosen here: the channels, the strides (4, 2, 2 in the first three
convolutions, for a receptive field that covers a whole flower; chroma at a quarter of the working
size is sufficient), batch normalization and the loss. docs/experiments.md has the measurements.
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
class AlphaWidths:
    """Channels of the convolutions, and the dropout probability."""

    first: int = 64
    second: int = 128
    deep: int = 192
    middle: int = 96
    last: int = 64
    dropout: float = 0.1


class Alpha(nn.Module):
    """Maps luma `(N, 1, S, S)` in 0..1 to chroma `(N, 2, S/4, S/4)`; S divisible by 16."""

    def __init__(self, widths: AlphaWidths | None = None) -> None:
        super().__init__()
        w = widths or AlphaWidths()
        self.encode = nn.Sequential(
            conv_bn_relu(1, w.first, kernel=5, stride=4),  # (N, first, S/4, S/4)
            conv_bn_relu(w.first, w.second, stride=2),  # (N, second, S/8, S/8)
            conv_bn_relu(w.second, w.deep, stride=2),  # (N, deep, S/16, S/16)
        )
        self.middle = nn.Sequential(
            conv_bn_relu(w.deep, w.deep),  # (N, deep, S/8, S/8)
            conv_bn_relu(w.deep, w.deep),
            conv_bn_relu(w.deep, w.deep),
            conv_bn_relu(w.deep, w.deep),
            conv_bn_relu(w.deep, w.deep),
            nn.Dropout2d(w.dropout),
            conv_bn_relu(w.deep, w.middle),  # (N, middle, S/8, S/8)
        )
        output = nn.Conv2d(w.last, 2, 3, padding=1)
        self.decode = nn.Sequential(
            conv_bn_relu(w.middle, w.last),  # (N, last, S/4, S/4)
            conv_bn_relu(w.last, w.last),
            conv_bn_relu(w.last, w.last),
            output,  # (N, 2, S/4, S/4): the output layer
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
        x = self.encode(luma - 0.5)  # (N, deep, S/16, S/16)
        x = self.middle(self.upsample(x))  # (N, middle, S/8, S/8)
        x = self.decode(self.upsample(x))  # (N, 2, S/4, S/4)
        return 0.5 * torch.tanh(x)
