"""What moves the weights: optimizer, learning rate by step, and the average that is kept."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from batchcolor.hooks.types import Recipe

WARM_UP = 0.02
"""Share of all steps in which the learning rate rises to its value; then it falls as a cosine."""


def make_optimizer(recipe: Recipe, network: nn.Module) -> torch.optim.Optimizer:
    """The optimizer that the recipe names, with torch's own defaults beside rate and decay.

    Parameters below `encoder`, where a network has one, get `encoder_rate` of the rate.
    """
    learning = [it for it in network.named_parameters() if it[1].requires_grad]
    encoder = [value for name, value in learning if name.startswith("encoder.")]
    others = [value for name, value in learning if not name.startswith("encoder.")]
    slower = recipe.encoder_rate * recipe.learning_rate
    groups = [{"params": others}, *([{"params": encoder, "lr": slower}] if encoder else [])]
    kinds: dict[str, Callable[..., torch.optim.Optimizer]] = {
        "adam": torch.optim.Adam,
        "adamw": torch.optim.AdamW,
        "rmsprop": functools.partial(torch.optim.RMSprop, momentum=recipe.momentum),
        "sgd": functools.partial(torch.optim.SGD, momentum=recipe.momentum),
    }
    return kinds[recipe.optimizer](
        groups, lr=recipe.learning_rate, weight_decay=recipe.weight_decay
    )


def schedule(steps: int) -> Callable[[int], float]:
    """Share of the highest learning rate at each of so many steps."""
    rise = max(1, round(steps * WARM_UP))

    def share(step: int) -> float:
        if step < rise:
            return (step + 1) / rise
        return 0.5 + 0.5 * math.cos(math.pi * (step - rise) / max(1, steps - rise))

    return share


def warm_average(decay: float) -> Callable[..., None]:
    """An average that trusts the newest weights while there are few, as TensorFlow's EMA does."""

    @torch.no_grad()
    def update(averaged: Any, current: Any, count: int) -> None:
        now = min(decay, (1 + int(count)) / (10 + int(count)))
        pairs = list(zip(averaged, current, strict=True))
        floats = [pair for pair in pairs if pair[0].is_floating_point()]
        if floats:  # one kernel for all: on a GPU one each would cost more than the step itself
            torch._foreach_lerp_([kept for kept, _ in floats], [new for _, new in floats], 1 - now)
        for kept, new in pairs:
            if not kept.is_floating_point():
                kept.copy_(new)

    return update
