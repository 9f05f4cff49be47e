"""Registers the built-in models through the same hook as plugins.

Specs and recipes are separate from the networks, so that listing models does not import torch.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from batchcolor.hooks.hookspecs import hookimpl
from batchcolor.hooks.types import Colorizer, ColorizerSpec, Recipe

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class DeltaOptions:
    """Options of Delta, set with `--set`."""

    vividness: float = field(
        default=0.5,
        metadata={"help": "0 faithful (least error), 1 vivid (more colour)", "ge": 0, "le": 1},
    )


def _alpha(options: None) -> Colorizer:
    from batchcolor.models.alpha import Alpha

    return Alpha()


def _beta(options: None) -> Colorizer:
    from batchcolor.models.beta import Beta

    return Beta()


def _delta(options: DeltaOptions) -> Colorizer:
    from batchcolor.models.delta import Delta

    return Delta(options.vividness)


def _rearrange_delta(delta: Any) -> nn.Module:
    from batchcolor.models.delta_inference import DeltaForInference

    return DeltaForInference(delta)


ALPHA = ColorizerSpec(
    name="alpha",
    summary="for flowers; a published network (5x5 first filter, Adam), trained on flowers",
    working_size=96,
    build=_alpha,
    weights="alpha.safetensors",
    recipe=Recipe(
        data="flowers102",
        size=96,
        optimizer="adam",
        learning_rate=1e-3,
        batch_size=64,
        epochs=32,
        random_crop=0.4,
        rotation=15,
    ),
    licence="Apache-2.0",
)

BETA = ColorizerSpec(
    name="beta",
    summary="fastest, soft colour; a published network (3x3 first filter, RMSprop), CIFAR-10",
    working_size=32,
    build=_beta,
    weights="beta.safetensors",
    recipe=Recipe(
        data="cifar10",
        size=32,
        optimizer="rmsprop",
        learning_rate=3e-4,
        momentum=0.9,
        batch_size=128,
        epochs=40,
        shift=4,
        erase=0.5,
    ),
    licence="Apache-2.0",
)


DELTA = ColorizerSpec(
    name="delta",
    summary="for any photograph; ImageNet-pretrained encoder, predicts palette colours",
    working_size=256,
    build=_delta,
    rearrange_for_inference=_rearrange_delta,
    weights="delta.safetensors",
    hints=True,
    hints_optional=True,
    hints_propagated=True,
    options=DeltaOptions,
    recipe=Recipe(
        data="photographs",
        size=128,
        optimizer="adamw",
        learning_rate=1e-3,
        encoder_rate=0.06,
        weight_decay=0.02,
        batch_size=32,
        epochs=3,
        loss="model",
        random_crop=0.4,
        scale_jitter=0.25,
        degrade=0.35,
    ),
    licence="Apache-2.0",
)


@hookimpl
def batchcolor_colorizers() -> list[ColorizerSpec]:
    """Returns the models that are included in batchcolor."""
    return [ALPHA, BETA, DELTA]
