"""The torch backend: any colorizer, on any device.

A copy of the colorizer stays in the host's memory. Where the device runs out of memory or is lost,
batches run on that copy: a device whose context is lost cannot return its weights.
"""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch import nn

from batchcolor.hooks.failures import format_error
from batchcolor.hooks.guard import (
    InvalidChromaError,
    validate_chroma_shape,
    validate_chroma_values,
)
from batchcolor.hooks.types import Colorizer, DoubtfulColorizer, TemporalColorizer
from batchcolor.inference.backends.backend import Array, split_batches
from batchcolor.inference.backends.cuda_pipeline import CUDA_BATCHES, run_overlapped
from batchcolor.inference.device import Device, is_out_of_memory, resolve_device
from batchcolor.inference.device_errors import DeviceLostError, DeviceMemoryError
from batchcolor.inference.model_code import find_model_location, isolate_model


class TorchBackend:
    """Runs a colorizer by torch. With `is_builtin`, it is trusted not to change its input."""

    name = "torch"

    def __init__(self, colorizer: Colorizer, device: Device, *, is_builtin: bool) -> None:
        self.notes: list[str] = []
        if isinstance(colorizer, nn.Module):
            colorizer.eval()
        self._is_builtin = is_builtin
        self._cpu = device if device.is_cpu else resolve_device("cpu")
        self._host_colorizer = colorizer if device.is_cpu else _copy_for_host(colorizer)
        self.device, self.colorizer = device, colorizer

    @property
    def device_name(self) -> str:
        """The device, as messages name it."""
        return self.device.name

    @property
    def torch_device(self) -> str:
        """The device as torch names it."""
        return str(self.device.torch_device)

    @property
    def precision(self) -> str:
        """`float32`, `bfloat16` or `float16`."""
        return str(self.device.dtype).removeprefix("torch.")

    @property
    def is_on_cpu(self) -> bool:
        """Whether batches run on the CPU at the moment."""
        return self.device.is_cpu

    def prepare(self) -> None:
        """Moves the model to its device. Raises DeviceMemoryError, DeviceLostError."""
        with self.device.translated_errors():
            _move_to_device(self.colorizer, self.device)

    @property
    def parallel_batches(self) -> int:
        """Batches in flight: on a GPU, one is copied while another one is computed."""
        return CUDA_BATCHES if self.device.is_cuda else 1

    def compute_chroma(self, luma: Array, count: int, batch_size: int) -> Array:
        """Returns chroma `(count, 2, s, s)` of the first squares of luma `(N, 1, S, S)`.

        Of a DoubtfulColorizer, the third channel is its doubt.

        N is a multiple of `batch_size`; every batch has that size. Raises InvalidChromaError,
        DeviceMemoryError, DeviceLostError.
        """
        batches = split_batches(luma, batch_size)
        with self.device.translated_errors():
            if self.device.is_cuda:
                return run_overlapped(self._call_checked, batches, self.device)[:count]
            return np.concatenate([self._compute_batch(batch) for batch in batches])[:count]

    def _compute_batch(self, luma: Array) -> Array:
        uploaded = self.device.upload(luma).contiguous(memory_format=torch.channels_last)
        chroma = self._call_checked(uploaded)
        validated = validate_chroma_values(chroma)
        return self.device.download(validated)

    def _call_checked(self, luma: torch.Tensor) -> torch.Tensor:
        """Calls the colorizer and checks all but the values, which it does not wait for."""
        channels = 3 if isinstance(self.colorizer, DoubtfulColorizer) else 2
        result = self._call(luma)
        return validate_chroma_shape(result, len(luma), self.device.torch_device, channels)

    def reset(self) -> None:
        """Resets a temporal colorizer. Raises InvalidChromaError and what a device causes."""
        assert isinstance(self.colorizer, TemporalColorizer)  # checked when loaded
        try:
            with self.device.translated_errors(), torch.inference_mode(), isolate_model():
                self.colorizer.reset()
        except (DeviceMemoryError, DeviceLostError):
            raise
        except (Exception, SystemExit) as error:
            raise InvalidChromaError(f"reset() raised {format_error(error)}") from error

    def find_failure_location(self, error: BaseException | None) -> str:
        """Returns `FILE:LINE` of the model's code that raised, or of its definition."""
        return find_model_location(error, self.colorizer)

    def release_memory(self) -> None:
        """Frees cached memory that no tensor uses."""
        with contextlib.suppress(RuntimeError):  # if the device is lost, the next batch reports it
            self.device.release_memory()

    def move_to_cpu(self) -> None:
        """Runs everything from now on on the host's copy."""
        self.device, self.colorizer = self._cpu, self._host_colorizer
        with contextlib.suppress(RuntimeError):  # a module that could not be copied
            _move_to_device(self.colorizer, self.device)

    @contextlib.contextmanager
    def run_on_cpu(self) -> Iterator[None]:
        """Runs the batches of a `with` block on the host's copy."""
        device, colorizer = self.device, self.colorizer
        self.move_to_cpu()
        try:
            yield
        finally:
            self.device, self.colorizer = device, colorizer

    def _call(self, luma: torch.Tensor) -> object:
        """Calls the colorizer. Raises InvalidChromaError and what a device causes."""
        given = luma if self._is_builtin else luma.clone()
        try:
            isolation = contextlib.nullcontext() if self._is_builtin else isolate_model()
            with torch.inference_mode(), isolation:
                chroma: object = find_call(self.colorizer)(*split_hints(given))
        except (Exception, SystemExit) as error:
            if is_out_of_memory(error) or self.device.is_lost_after(error):
                raise
            raise InvalidChromaError(f"raised {format_error(error)}") from error
        if given is not luma and not torch.equal(given, luma):
            raise InvalidChromaError("changed its input")
        return chroma


def split_hints(given: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """Returns luma `(N, 1, S, S)` and, where they follow it as channels, hints `(N, 3, S, S)`."""
    return (given,) if given.shape[1] == 1 else (given[:, :1], given[:, 1:])


def find_call(colorizer: Colorizer) -> Callable[..., torch.Tensor]:
    """Returns the function of a colorizer that a job calls: with its doubt, where it has that."""
    if isinstance(colorizer, DoubtfulColorizer):
        return colorizer.colorize_with_doubt
    return colorizer


def _copy_for_host(colorizer: Colorizer) -> Colorizer:
    """Returns a copy for the CPU. What cannot be copied, or is no module, serves as it is."""
    if not isinstance(colorizer, nn.Module):
        return colorizer
    try:
        return copy.deepcopy(colorizer)
    except Exception:  # a plugin's module may hold anything
        return colorizer


def _move_to_device(colorizer: Colorizer, device: Device) -> None:
    if isinstance(colorizer, nn.Module):
        device.move(colorizer)
