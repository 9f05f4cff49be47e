"""Builds the network that a training run starts from."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol, runtime_checkable

import torch
from torch import nn

from batchcolor.errors import BatchcolorError, PluginError, UsageError
from batchcolor.hooks.failures import format_error
from batchcolor.hooks.types import ColorizerSpec
from batchcolor.inference import weights
from batchcolor.inference.device import is_out_of_memory
from batchcolor.inference.model_code import build_colorizer, find_model_location
from batchcolor.training.plan import TrainingPlan


@runtime_checkable
class PretrainedNetwork(Protocol):
    """A network with a part that was trained on other data."""

    def pretrain(self) -> None:
        """Loads the weights of that part. Raises UsageError where they are not installed."""
        ...


def build_network(plan: TrainingPlan, spec: ColorizerSpec) -> nn.Module:
    """Builds the network with the plan's weights, its pretrained part, or random initialization.

    Raises UsageError, WeightsError, PluginError.
    """
    torch.manual_seed(plan.seed)
    network = build_colorizer(spec, spec.options() if spec.options else None, spec.name)
    if not isinstance(network, nn.Module) or next(network.parameters(), None) is None:
        raise UsageError(f"{spec.name} has no parameters to train")
    if plan.weights is not None:
        weights.load(network, plan.weights)
    elif isinstance(network, PretrainedNetwork):
        network.pretrain()
    return network


@contextmanager
def network_errors(model: str, network: nn.Module) -> Iterator[None]:
    """Raises PluginError, with the line that failed, for an error of the network's own code."""
    try:
        yield
    except BatchcolorError:
        raise
    except Exception as error:
        if is_out_of_memory(error):
            raise
        text = f"{model} cannot be trained: its network fails with {format_error(error)}"
        raise PluginError(text, find_model_location(error, network)) from error
