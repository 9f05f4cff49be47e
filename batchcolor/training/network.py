"""Builds the network that a training run starts from."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import torch
from torch import nn

from batchcolor.errors import UsageError
from batchcolor.hooks.types import ColorizerSpec
from batchcolor.inference import weights
from batchcolor.training.settings import TrainingPlan


@runtime_checkable
class PretrainedNetwork(Protocol):
    """A network with a part that was trained on other data."""

    def pretrain(self) -> None:
        """Loads the weights of that part. Raises UsageError where they are not installed."""
        ...


def build_network(plan: TrainingPlan, spec: ColorizerSpec) -> nn.Module:
    """Builds the network with the plan's weights, its pretrained part, or random initialization.

    Raises UsageError, WeightsError.
    """
    torch.manual_seed(plan.seed)
    network = spec.build(spec.options() if spec.options else None)
    if not isinstance(network, nn.Module) or next(network.parameters(), None) is None:
        raise UsageError(f"{spec.name} has no parameters to train")
    if plan.weights is not None:
        weights.load(network, plan.weights)
    elif isinstance(network, PretrainedNetwork):
        network.pretrain()
    return network
