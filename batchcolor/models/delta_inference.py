"""Delta rearranged for inference: the same function of luma, with fewer operations.

Four properties of the trained network make it shorter, exact but for rounding:

- `log_softmax` subtracts one value from all logits of a position, and the softmax after it does
  not depend on that value. So the logits of both scales are averaged as they are.
- The classifier is linear, and the weights of a bilinear resize sum to 1. So the features of both
  scales are averaged and classified once, to which the correction of both scales is added.
- Nearest-neighbour doubling followed by a 3x3 convolution is a transposed 4x4 convolution of
  stride 2, which has 16 instead of 36 multiplications for each input pixel.
- Vividness is a linear function of the logits, so it is part of the classifier. What follows is
  computed for each position alone: as matrix products with the palette as last dimension, in which
  softmax reads consecutive values.
"""

from __future__ import annotations

from typing import cast

import torch
from torch import nn
from torch.nn import functional

from batchcolor.models.delta import (
    FEATURE_SCALE,
    SHARPENING,
    Delta,
    reduce_luma,
    resize_bilinear,
)


class PaletteHead(nn.Module):
    """Maps features of two scales, `(N, C, s, s)` each, and luma to chroma and doubt."""

    def __init__(self, delta: Delta) -> None:
        super().__init__()
        self.delta = delta
        self.classifier = nn.Linear(delta.classifier.in_channels, len(delta.palette))
        sharpening = 1 + SHARPENING * delta.vividness
        weight, bias = delta.classifier.weight[:, :, 0, 0], delta.classifier.bias
        assert bias is not None
        self.classifier.weight = nn.Parameter(weight.detach() * sharpening)
        self.classifier.bias = nn.Parameter(
            bias.detach() * sharpening + delta.vividness * delta.saturation_boost()
        )
        hidden, _, last = (cast(nn.Conv2d, layer) for layer in delta.scale_head)
        assert hidden.bias is not None
        assert last.bias is not None
        self.hidden = nn.Linear(hidden.in_channels, hidden.out_channels)
        self.hidden.weight = nn.Parameter(hidden.weight.detach()[:, :, 0, 0])
        self.hidden.bias = nn.Parameter(hidden.bias.detach())
        self.correction = nn.Linear(last.in_channels, last.out_channels, bias=False)
        self.correction.weight = nn.Parameter(last.weight.detach()[:, :, 0, 0] * sharpening)
        self.classifier.bias.data += last.bias.detach() * sharpening

    def forward(self, fine: torch.Tensor, coarse: torch.Tensor, luma: torch.Tensor) -> torch.Tensor:
        """Returns chroma in -0.5..0.5 and doubt, `(N, 3, s, s)`."""
        features = (fine + coarse) / 2
        hidden = functional.relu(self.hidden(torch.cat([fine, coarse], dim=1).permute(0, 2, 3, 1)))
        logits = self.classifier(features.permute(0, 2, 3, 1)) + self.correction(hidden)
        expected_error = logits.softmax(dim=-1) @ self.delta.pairwise_ciede2000  # symmetric
        chroma = (-expected_error).softmax(dim=-1) @ self.delta.palette  # (N, s, s, 2)
        chroma = self.delta.stretch_chroma(chroma.permute(0, 3, 1, 2))
        chroma = self.delta.finish_chroma(chroma, luma, expected_error)
        doubt = self.delta.doubt(features, chroma, expected_error.amin(dim=-1)[:, None], luma)
        return torch.cat([chroma, doubt], dim=1)


class DoublingConvolution(nn.Module):
    """Nearest-neighbour doubling, concatenation, a 3x3 convolution and ReLU.

    Weights are those of a `conv_bn_relu` whose first `inputs` input channels are doubled.
    """

    def __init__(self, block: nn.Sequential, inputs: int) -> None:
        super().__init__()
        kernel, bias = fold_batch_norm(block)
        outputs, skipped = kernel.shape[0], kernel.shape[1] - inputs
        self.at_half = nn.ConvTranspose2d(inputs, outputs, 4, stride=2, padding=1, bias=False)
        self.at_full = nn.Conv2d(skipped, outputs, 3, padding=1)
        self.at_half.weight = nn.Parameter(make_doubling_kernel(kernel[:, :inputs]))
        self.at_full.weight = nn.Parameter(kernel[:, inputs:].clone())
        self.at_full.bias = nn.Parameter(bias)

    def forward(self, x: torch.Tensor, skip: torch.Tensor) -> torch.Tensor:
        """Maps `(N, inputs, s, s)` and `(N, skipped, 2s, 2s)` to `(N, outputs, 2s, 2s)`."""
        return functional.relu(self.at_half(x) + self.at_full(skip))


class DeltaForInference(nn.Module):
    """Maps luma `(N, 1, S, S)` in 0..1 to chroma `(N, 2, S/4, S/4)`, as `delta` in eval mode."""

    def __init__(self, delta: Delta) -> None:
        super().__init__()
        self.delta = delta
        self.head = PaletteHead(delta)
        blocks = (delta.up16, delta.up8, delta.up4)
        inputs = (delta.deep, delta.up16, delta.up8)
        self.doubling = nn.ModuleList(
            DoublingConvolution(block, count_outputs(below))
            for block, below in zip(blocks, inputs, strict=True)
        )

    def forward(self, luma: torch.Tensor) -> torch.Tensor:
        """Returns chroma `(N, 2, S/4, S/4)` in -0.5..0.5."""
        return self.colorize_with_doubt(luma)[:, :2]

    def colorize_with_doubt(self, luma: torch.Tensor) -> torch.Tensor:
        """Returns chroma and doubt `(N, 3, S/4, S/4)`."""
        result: torch.Tensor = self.head(*self.multi_scale_features(luma), luma)
        return result

    def multi_scale_features(self, luma: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Returns the features `(N, C, S/4, S/4)` of both scales, the coarse ones enlarged."""
        fine = self.compute_features(luma)
        coarse = resize_bilinear(self.compute_features(reduce_luma(luma)), fine.shape[-1])
        return fine, coarse

    def compute_features(self, luma: torch.Tensor) -> torch.Tensor:
        """Returns the features `(N, C, S/4, S/4)` that the classifier takes."""
        *skips, deepest = self.delta.encoder(luma)
        x: torch.Tensor = self.delta.deep(deepest / FEATURE_SCALE)
        for block, skip in zip(self.doubling, reversed(skips), strict=True):
            x = block(x, skip)
        return x


def count_outputs(block: nn.Sequential) -> int:
    """Returns the output channels of a `conv_bn_relu`."""
    return cast(nn.Conv2d, block[0]).out_channels


def fold_batch_norm(block: nn.Sequential) -> tuple[torch.Tensor, torch.Tensor]:
    """Returns kernel and bias of a `conv_bn_relu` with its batch normalization folded into them."""
    convolution, norm = cast(nn.Conv2d, block[0]), cast(nn.BatchNorm2d, block[1])
    assert norm.running_var is not None
    assert norm.running_mean is not None
    gain = norm.weight / torch.sqrt(norm.running_var + norm.eps)
    kernel = convolution.weight * gain[:, None, None, None]
    return kernel.detach(), (norm.bias - gain * norm.running_mean).detach()


def make_doubling_kernel(kernel: torch.Tensor) -> torch.Tensor:
    """Returns the kernel `(I, O, 4, 4)` of the transposed convolution of stride 2.

    It is equal to doubling followed by a convolution with `kernel` `(O, I, 3, 3)`: a pixel is
    copied to two rows, and each copy contributes to three rows of the result.
    """
    taps = kernel.new_zeros(4, 3)
    for copy in range(2):
        for tap in range(3):
            taps[copy + 2 - tap, tap] = 1
    return torch.einsum("ak,bl,oikl->ioab", taps, taps, kernel)
