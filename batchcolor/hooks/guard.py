"""Validates the chroma of a colorizer, and restores the global state that it changes."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import torch

LIMIT = 0.5
OVERSHOOT = 0.005
"""Rounding may exceed the range by this much; such values are clipped."""


class InvalidChromaError(Exception):
    """The result of a colorizer is not chroma; the message says what is wrong with it."""


def validate_chroma(chroma: Any, count: int, device: torch.device) -> torch.Tensor:
    """Checks chroma `(count, 2, s, s)` in -0.5..0.5 on `device`, and returns it as float32.

    Raises InvalidChromaError for a wrong type, shape or device, NaN, or values out of range.
    """
    return validate_chroma_values(validate_chroma_shape(chroma, count, device))


def validate_chroma_shape(
    chroma: Any, count: int, device: torch.device, channels: int = 2
) -> torch.Tensor:
    """Checks all of chroma but its values, for which a GPU would have to finish its work.

    Returns float32 `(count, channels, s, s)` on `device`; the third channel is doubt. Raises
    InvalidChromaError.
    """
    import torch

    if not isinstance(chroma, torch.Tensor):
        raise InvalidChromaError(f"returned {type(chroma).__name__}, not a tensor")
    shape = tuple(chroma.shape)
    if len(shape) != 4 or shape[:2] != (count, channels) or shape[2] != shape[3] or shape[3] < 1:
        raise InvalidChromaError(f"returned shape {shape}, not ({count}, {channels}, s, s)")
    if not chroma.is_floating_point():
        raise InvalidChromaError(f"returned {chroma.dtype}, not a floating type")
    if chroma.device.type != device.type:
        raise InvalidChromaError(f"returned a tensor on {chroma.device}, not on {device}")
    return chroma.detach().float()


def validate_chroma_values(chroma: torch.Tensor) -> torch.Tensor:
    """Returns chroma with overshoot clipped. Raises InvalidChromaError for NaN or wrong values."""
    import torch

    if not torch.isfinite(chroma).all():
        raise InvalidChromaError("returned NaN or infinite chroma")
    largest = float(chroma.abs().max())
    if largest > LIMIT + OVERSHOOT:
        raise InvalidChromaError(f"returned chroma up to {largest:.3g}, outside -0.5..0.5")
    clipped: torch.Tensor = chroma.clamp(-LIMIT, LIMIT)
    return clipped


def validate_chroma_array(chroma: NDArray[np.float32], count: int) -> NDArray[np.float32]:
    """Checks chroma `(count, 2, s, s)` in -0.5..0.5 that an exported colorizer returned.

    A third channel is doubt, in the same range.

    Raises InvalidChromaError for a wrong shape, NaN, or values out of range.
    """
    shape = chroma.shape
    if len(shape) != 4 or shape[0] != count or shape[1] not in (2, 3) or shape[2] != shape[3]:
        raise InvalidChromaError(f"returned shape {shape}, not ({count}, 2, s, s)")
    if not np.isfinite(chroma).all():
        raise InvalidChromaError("returned NaN or infinite chroma")
    largest = float(np.abs(chroma).max())
    if largest > LIMIT + OVERSHOOT:
        raise InvalidChromaError(f"returned chroma up to {largest:.3g}, outside -0.5..0.5")
    return chroma.clip(-LIMIT, LIMIT)


@contextmanager
def preserve_global_state() -> Iterator[None]:
    """Restores torch's settings and the random state that a colorizer may change."""
    import torch

    torch_random, python_random = torch.get_rng_state(), random.getstate()
    dtype, threads = torch.get_default_dtype(), torch.get_num_threads()
    deterministic = torch.are_deterministic_algorithms_enabled()
    gradients = torch.is_grad_enabled()
    try:
        yield
    finally:
        torch.set_rng_state(torch_random)
        random.setstate(python_random)
        torch.set_grad_enabled(gradients)
        if torch.get_default_dtype() != dtype:
            torch.set_default_dtype(dtype)
        if torch.get_num_threads() != threads:
            torch.set_num_threads(threads)
        if torch.are_deterministic_algorithms_enabled() != deterministic:
            torch.use_deterministic_algorithms(deterministic)
