"""Chooses the backend of a model, and loads the model into it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from batchcolor.hooks.manager import RegisteredColorizer
from batchcolor.inference.backends.backend import Backend
from batchcolor.inference.load_options import LoadOptions

if TYPE_CHECKING:
    from batchcolor.inference.backends.torch import TorchBackend


@dataclass(frozen=True)
class ModelSource:
    """All that a colorizer is built from."""

    registered: RegisteredColorizer
    options: Any
    """An instance of the options dataclass of its spec, or None."""
    weights: Path | None
    weights_hash: str


def load_backend(source: ModelSource, loading: LoadOptions) -> Backend:
    """Loads a model. Raises UsageError (device), WeightsError, PluginError."""
    return load_torch(source, loading)


def load_torch(source: ModelSource, loading: LoadOptions) -> TorchBackend:
    """Builds a colorizer with its weights in torch. Raises what `load_backend` raises."""
    from batchcolor.inference.backends.torch import TorchBackend
    from batchcolor.inference.device import resolve_device
    from batchcolor.inference.model_code import load_colorizer

    device = resolve_device(loading.device, loading.precision)
    colorizer = load_colorizer(source.registered, source.options, source.weights)
    is_builtin = source.registered.origin.package == "batchcolor"
    return TorchBackend(colorizer, device, is_builtin=is_builtin)
