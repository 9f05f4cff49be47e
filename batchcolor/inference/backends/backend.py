"""Backend: the interface between the runner and a library that computes chroma."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]


class BackendUnavailableError(Exception):
    """A backend does not serve this model; the message says why, as a verb phrase."""


class Backend(Protocol):
    """One colorizer, loaded, with its weights on a device."""

    @property
    def notes(self) -> list[str]:
        """What a person should know about how the model runs, each once."""
        ...

    @property
    def name(self) -> str:
        """`torch` or `openvino`."""
        ...

    @property
    def device_name(self) -> str:
        """The device, as messages name it."""
        ...

    @property
    def torch_device(self) -> str:
        """The device as torch names it, for other computations on the same device."""
        ...

    @property
    def precision(self) -> str:
        """`float32`, `bfloat16` or `float16`."""
        ...

    @property
    def is_on_cpu(self) -> bool:
        """Whether batches run on the CPU at the moment."""
        ...

    @property
    def parallel_batches(self) -> int:
        """Batches that run at the same time, from one call of `compute_chroma`."""
        ...

    def prepare(self) -> None:
        """Moves the model to its device. Raises DeviceMemoryError, DeviceLostError."""
        ...

    def compute_chroma(self, luma: Array, count: int, batch_size: int) -> Array:
        """Returns chroma `(count, 2, s, s)` of the first squares of luma `(N, 1, S, S)`.

        Of a DoubtfulColorizer, the third channel is its doubt.

        N is a multiple of `batch_size`; every batch has that size. Raises
        InvalidChromaError, DeviceMemoryError, DeviceLostError.
        """
        ...

    def reset(self) -> None:
        """Resets a temporal colorizer. Raises what `compute_chroma` raises."""
        ...

    def find_failure_location(self, error: BaseException | None) -> str:
        """Returns `FILE:LINE` of the model's code that raised, or of its definition."""
        ...

    def release_memory(self) -> None:
        """Frees cached memory that no batch uses."""
        ...

    def move_to_cpu(self) -> None:
        """Runs everything from now on on the CPU."""
        ...

    def run_on_cpu(self) -> AbstractContextManager[None]:
        """Runs the batches of a `with` block on the CPU."""
        ...


def split_batches(luma: Array, batch_size: int) -> list[Array]:
    """Returns the batches of luma `(N, 1, S, S)`, N a multiple of `batch_size`."""
    return [luma[start : start + batch_size] for start in range(0, len(luma), batch_size)]
