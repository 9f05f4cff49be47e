"""The device that a model runs on, its precision, and the errors that a device causes."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from batchcolor.errors import UsageError
from batchcolor.inference.device_errors import DeviceLostError, DeviceMemoryError

PRECISIONS = {
    "float32": torch.float32,
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
}
DEVICE_NAMES = "use auto, all, cpu, cuda, cuda:N or mps, or several separated by commas"


@dataclass(frozen=True)
class Device:
    """A torch device and the precision of models on it."""

    torch_device: torch.device
    dtype: torch.dtype
    name: str

    @property
    def is_cpu(self) -> bool:
        """Whether this is the CPU, which cannot be lost."""
        return self.torch_device.type == "cpu"

    @property
    def is_cuda(self) -> bool:
        """Whether this is a GPU of CUDA or ROCm."""
        return self.torch_device.type == "cuda"

    def move(self, module: nn.Module) -> None:
        """Moves a module here, in this precision, with its weights in channels-last order."""
        module.to(self.torch_device, self.dtype)
        with contextlib.suppress(RuntimeError):  # not every scripted module supports it
            module.to(memory_format=torch.channels_last)

    def upload(self, array: NDArray[np.float32]) -> torch.Tensor:
        """Copies an array `(N, C, H, W)` here, in this precision."""
        return torch.from_numpy(array).to(self.torch_device, self.dtype)

    def download(self, tensor: torch.Tensor) -> NDArray[np.float32]:
        """Copies a float32 tensor to the host's memory."""
        array: NDArray[np.float32] = tensor.cpu().numpy()
        return array

    def release_memory(self) -> None:
        """Frees cached memory that no tensor uses."""
        if self.torch_device.type == "cuda":
            torch.cuda.empty_cache()

    @contextlib.contextmanager
    def translated_errors(self) -> Iterator[None]:
        """Raises DeviceMemoryError or DeviceLostError for every error that means it.

        Kernels run asynchronously, so an error may be raised by any later call.
        """
        try:
            yield
        except Exception as error:
            if is_out_of_memory(error):
                raise DeviceMemoryError(str(error)) from error
            if self.is_lost_after(error):
                raise DeviceLostError(_get_first_line(error)) from error
            raise

    def is_lost_after(self, error: BaseException) -> bool:
        """Whether the error says that this device no longer works."""
        if self.is_cpu or not isinstance(error, RuntimeError):
            return False
        return any(words in str(error) for words in ("CUDA error", "HIP error", "cuDNN error"))


def is_out_of_memory(error: BaseException) -> bool:
    """Whether the error says that the device or the host has not enough memory."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError | DeviceMemoryError):
        return True
    return isinstance(error, RuntimeError) and any(
        words in str(error) for words in ("out of memory", "not enough memory")
    )


def resolve_device(device: str = "auto", precision: str = "auto") -> Device:
    """Returns the named device; `auto` is CUDA if present, else Apple's GPU, else the CPU.

    `auto` precision is float16 on CUDA and float32 elsewhere, as half precision is slower on CPUs.
    Raises UsageError for a device that this machine does not have.
    """
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "mps" if _has_mps() else "cpu"
    try:
        chosen = torch.device(device or "none")  # torch takes an empty name for the CPU
    except RuntimeError as error:
        raise UsageError(f"--device {device}: {DEVICE_NAMES}") from error
    if chosen.type == "cuda" and (
        not torch.cuda.is_available() or (chosen.index or 0) >= torch.cuda.device_count()
    ):
        raise UsageError(f"--device {device}: this machine has no such device; use --device cpu")
    if chosen.type == "mps" and not _has_mps():
        raise UsageError(f"--device {device}: this machine has no such device; use --device cpu")
    if chosen.type not in ("cpu", "cuda", "mps"):
        raise UsageError(f"--device {device}: {DEVICE_NAMES}")
    if precision == "auto":
        precision = "float16" if chosen.type == "cuda" else "float32"
    if precision not in PRECISIONS:
        raise UsageError(f"--precision {precision}: use auto, {', '.join(PRECISIONS)}")
    name = torch.cuda.get_device_name(chosen) if chosen.type == "cuda" else chosen.type.upper()
    return Device(chosen, PRECISIONS[precision], name)


def _has_mps() -> bool:
    return torch.backends.mps.is_available()


def _get_first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
