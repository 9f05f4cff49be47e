"""Optimizer, learning-rate schedule, and the moving average of the weights."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.optim.lr_scheduler import CosineAnnealingLR, LinearLR, SequentialLR

from batchcolor.hooks.types import Recipe

WARM_UP = 0.02
"""Share of all steps in which the learning rate rises linearly; a cosine decay follows."""


def freeze_encoder(recipe: Recipe, network: nn.Module) -> None:
    """Excludes the parameters below `encoder` from training if their rate is zero."""
    if recipe.encoder_rate == 0:
        for name, value in network.named_parameters():
            if name.startswith("encoder."):
                value.requires_grad_(False)


def make_optimizer(recipe: Recipe, network: nn.Module) -> torch.optim.Optimizer:
    """Returns the recipe's optimizer. Other parameters than rate and decay are torch's defaults.

    Parameters below `encoder`, where a network has one, get `encoder_rate` of the learning rate.
    """
    trainable = [it for it in network.named_parameters() if it[1].requires_grad]
    encoder = [value for name, value in trainable if name.startswith("encoder.")]
    others = [value for name, value in trainable if not name.startswith("encoder.")]
    encoder_rate = recipe.encoder_rate * recipe.learning_rate
    groups = [{"params": others}, *([{"params": encoder, "lr": encoder_rate}] if encoder else [])]
    kinds: dict[str, Callable[..., torch.optim.Optimizer]] = {
        "adam": functools.partial(torch.optim.Adam, fused=True),
        "adamw": functools.partial(torch.optim.AdamW, fused=True),
        "rmsprop": functools.partial(torch.optim.RMSprop, momentum=recipe.momentum),
        "sgd": functools.partial(torch.optim.SGD, momentum=recipe.momentum),
    }
    return kinds[recipe.optimizer](
        groups, lr=recipe.learning_rate, weight_decay=recipe.weight_decay
    )


def make_scheduler(optimizer: torch.optim.Optimizer, total_steps: int) -> SequentialLR:
    """Returns a schedule by step: linear warm-up to the learning rate, then cosine decay to 0."""
    warm_up_steps = max(1, round(total_steps * WARM_UP))
    warm_up = LinearLR(
        optimizer, start_factor=1 / warm_up_steps, total_iters=max(1, warm_up_steps - 1)
    )
    decay = CosineAnnealingLR(optimizer, T_max=max(1, total_steps - warm_up_steps))
    return SequentialLR(optimizer, [warm_up, decay], milestones=[warm_up_steps])


def make_ema_update(decay: float) -> Callable[..., None]:
    """Returns the update of an exponential moving average, for `AveragedModel`.

    The decay rises with the number of updates up to `decay`, as in TensorFlow's
    ExponentialMovingAverage.
    """

    @torch.no_grad()
    def update(averaged: Any, current: Any, count: int) -> None:
        now = min(decay, (1 + int(count)) / (10 + int(count)))
        pairs = list(zip(averaged, current, strict=True))
        floats = [pair for pair in pairs if pair[0].is_floating_point()]
        if floats:  # one kernel for all: on a GPU, one for each costs more than the step itself
            torch._foreach_lerp_([kept for kept, _ in floats], [new for _, new in floats], 1 - now)
        for kept, new in pairs:
            if not kept.is_floating_point():
                kept.copy_(new)

    return update
