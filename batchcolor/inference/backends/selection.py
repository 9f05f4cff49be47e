"""Chooses the backend of a model, and loads the model into it.

`auto` is OpenVINO on a CPU where it is installed, for models with a weights file: the digest of the
file identifies the parameters of an export. All else runs in torch, which runs everything.
"""

from __future__ import annotations

import functools
import importlib.util
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from batchcolor.errors import UsageError
from batchcolor.hooks.failures import format_error
from batchcolor.inference.backends.backend import Backend, BackendUnavailableError
from batchcolor.inference.backends.model_source import ModelSource
from batchcolor.inference.batch_size import count_streams, get_default_batch_size
from batchcolor.inference.gpu_presence import may_have_gpu
from batchcolor.inference.load_options import LoadOptions

if TYPE_CHECKING:
    from batchcolor.inference.backends.torch import TorchBackend

PRECISIONS = ("auto", "float32", "bfloat16")
"""Precisions that OpenVINO has on a CPU."""


def list_devices(device: str) -> list[str]:
    """Returns the devices that `--device` names: one, several separated by commas, or `all`.

    `all` is every CUDA device, else what `auto` is. Raises UsageError for an empty name.
    """
    if device == "all":
        return _list_gpus() or ["auto"]
    devices = [name.strip() for name in device.split(",")]
    if "all" in devices or ("" in devices and len(devices) > 1):
        raise UsageError(f"--device {device}: separate devices by commas, such as cuda:0,cuda:1")
    return devices


def load_backend(source: ModelSource, loading: LoadOptions, devices_on_cpu: int = 1) -> Backend:
    """Loads a model on one device. Several backends on the CPU share its cores.

    Raises UsageError (device, backend), WeightsError, PluginError.
    """
    if loading.backend == "torch":
        return load_torch(source, loading)
    refusal = _find_refusal(loading)
    if loading.backend == "openvino":
        if refusal:
            raise UsageError(f"--backend openvino: {refusal}")
    elif refusal or (loading.device == "auto" and _has_gpu()) or _find_obstacle(source):
        return load_torch(source, loading)

    @functools.cache
    def load_on_cpu(precision: str = "float32") -> TorchBackend:
        return load_torch(source, replace(loading, device="cpu", precision=precision))

    try:
        return _load_openvino(source, loading, load_on_cpu, devices_on_cpu)
    except BackendUnavailableError as error:
        precision = "float32" if loading.precision == "auto" else loading.precision
        backend = load_on_cpu(precision)
        backend.notes.append(f"{source.name}: torch is used, as OpenVINO {error}")
        return backend


def load_torch(source: ModelSource, loading: LoadOptions) -> TorchBackend:
    """Builds a colorizer with its weights in torch.

    Raises UsageError (device), WeightsError, PluginError.
    """
    from batchcolor.inference.backends.torch import TorchBackend
    from batchcolor.inference.device import resolve_device
    from batchcolor.inference.model_code import load_colorizer

    device = resolve_device(loading.device, loading.precision)
    colorizer = load_colorizer(source.registered, source.options, source.weights)
    return TorchBackend(colorizer, device, is_builtin=source.is_builtin)


def _load_openvino(
    source: ModelSource,
    loading: LoadOptions,
    load_on_cpu: Callable[[], TorchBackend],
    devices_on_cpu: int,
) -> Backend:
    """Loads a model into OpenVINO. Raises BackendUnavailableError."""
    if obstacle := _find_obstacle(source):
        raise BackendUnavailableError(obstacle)
    try:
        from batchcolor.inference.backends.openvino import load_openvino
    except Exception as error:  # a broken installation may raise anything
        raise BackendUnavailableError(f"cannot be loaded ({format_error(error)})") from error
    side = source.registered.spec.working_size
    batch_size = loading.batch_size or get_default_batch_size(side, is_on_cpu=True)
    streams = max(1, count_streams() // devices_on_cpu)
    return load_openvino(source, batch_size, loading.precision, load_on_cpu, streams)


def _find_refusal(loading: LoadOptions) -> str:
    """Returns why OpenVINO cannot run what is asked for, whatever the model; "" if it can."""
    if importlib.util.find_spec("openvino") is None:
        return "OpenVINO is not installed; pip install 'batchcolor[openvino]'"
    if loading.device not in ("auto", "cpu"):
        return f"it runs on the CPU, not with --device {loading.device}"
    if loading.precision not in PRECISIONS:
        return f"it has no --precision {loading.precision}; use {', '.join(PRECISIONS)}"
    return ""


def _find_obstacle(source: ModelSource) -> str:
    """Returns why a model is not exported; "" where it is tried."""
    if source.registered.spec.temporal:
        return "does not run models that keep state between frames"
    if source.registered.spec.hints and not source.registered.spec.hints_optional:
        return "does not run models that take colour hints"
    return "" if source.weights else "runs only models with a weights file"


def _list_gpus() -> list[str]:
    if not may_have_gpu():
        return []
    import torch

    return [f"cuda:{index}" for index in range(torch.cuda.device_count())]


def _has_gpu() -> bool:
    """Whether torch has a GPU that `--device auto` uses; torch is imported only if it may."""
    if not may_have_gpu():
        return False
    from batchcolor.inference.device import resolve_device

    return not resolve_device().is_cpu
