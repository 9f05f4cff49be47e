"""The doubt of delta: the CIEDE2000 error that it expects of a picture, calibrated on photographs.

What the predicted distribution expects is too low where the network is wrong with confidence, and
knows nothing of luma, although errors in dark pictures look smaller. A linear function of a few
statistics of a picture predicts the logarithm of the error better. Its coefficients are part of the
weights; `python -m benchmarks doubt --fit` computes them. Weights without them state the expected
error as it is.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import nn
from torch.nn import functional

LUMA_BINS = 9
STATISTICS = 4 + LUMA_BINS + 2
"""Statistics of a picture beside the means of its features."""
MIN_ERROR, MAX_ERROR = 0.1, 50.0
"""Limits of the CIEDE2000 error that is stated."""


class DoubtHead(nn.Module):
    """Predicts the mean CIEDE2000 error of a picture from its statistics."""

    weight: torch.Tensor  # (features + STATISTICS,)
    bias: torch.Tensor  # ()

    def __init__(self, features: int) -> None:
        super().__init__()
        weight = torch.zeros(features + STATISTICS)
        weight[features] = 1  # the logarithm of the mean expected error: no calibration
        self.register_buffer("weight", weight)
        self.register_buffer("bias", torch.zeros(()))

    def forward(
        self,
        features: torch.Tensor,
        chroma: torch.Tensor,
        expected_error: torch.Tensor,
        luma: torch.Tensor,
    ) -> torch.Tensor:
        """Returns doubt `(N, 1, s, s)` in 0..0.5: the errors, scaled to the predicted mean.

        features `(N, C, s, s)`, chroma `(N, 2, s, s)`, luma `(N, 1, S, S)`; the least expected
        CIEDE2000 error of each position `(N, 1, s, s)`.
        """
        error = expected_error.float()
        statistics = describe_picture(features, chroma, error, luma)
        logarithm = (statistics * self.weight.float()).sum(dim=1) + self.bias.float()
        predicted = logarithm.clamp(math.log(MIN_ERROR), math.log(MAX_ERROR)).exp()
        mean = error.mean(dim=(1, 2, 3)).clamp(min=MIN_ERROR)
        doubt: torch.Tensor = error * (predicted / mean)[:, None, None, None] / 100
        return doubt.clamp(0, 0.5)


def describe_picture(
    features: torch.Tensor,
    chroma: torch.Tensor,
    expected_error: torch.Tensor,
    luma: torch.Tensor,
) -> torch.Tensor:
    """Returns `(N, C + STATISTICS)`, see `DoubtHead.forward`.

    The mean of each feature; the logarithm of the mean expected error, and its deviation; mean and
    deviation of the strength of chroma; a histogram of luma, its mean and its deviation.
    """
    error, strength = expected_error.float().flatten(1), chroma.float().norm(dim=1).flatten(1)
    side = chroma.shape[-1]
    small = functional.interpolate(luma.float(), size=(side, side), mode="area").flatten(1)
    levels = torch.linspace(0, 1, LUMA_BINS, device=luma.device)
    histogram = (1 - (small[..., None] - levels).abs() * (LUMA_BINS - 1)).clamp(min=0).mean(dim=1)
    pairs = [(error.mean(dim=1).clamp(min=MIN_ERROR).log(), error.std(dim=1))]
    pairs += [(values.mean(dim=1), values.std(dim=1)) for values in (strength, small)]
    (error_mean, error_std), (chroma_mean, chroma_std), (luma_mean, luma_std) = pairs
    columns = torch.stack([error_mean, error_std, chroma_mean, chroma_std], dim=1)
    luma_columns = torch.stack([luma_mean, luma_std], dim=1)
    return torch.cat([features.float().mean(dim=(2, 3)), columns, histogram, luma_columns], dim=1)


def add_uncalibrated_doubt(
    module: nn.Module, state: dict[str, Any], prefix: str, *unused: object
) -> None:
    """Accepts weights of a network whose doubt was not calibrated."""
    for name, value in module.named_buffers():
        if name.startswith("doubt."):
            state.setdefault(f"{prefix}{name}", value.detach().clone())
