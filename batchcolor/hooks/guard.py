"""Is what a colorizer gave back chroma? And is the process as it was before it ran?"""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

LIMIT = 0.5
OVERSHOOT = 0.005
"""How far rounding may carry chroma over its range; it is clipped back."""


class InvalidChromaError(Exception):
    """What a colorizer gave is not chroma; the message says what is wrong with it."""


def validate_chroma(chroma: Any, count: int, device: torch.device) -> torch.Tensor:
    """Chroma `(count, 2, s, s)`, finite, within -0.5..0.5, on `device`, as float32.

    Raises InvalidChromaError naming what is wrong.
    """
    if not isinstance(chroma, torch.Tensor):
        raise InvalidChromaError(f"gave {type(chroma).__name__}, not a tensor")
    shape = tuple(chroma.shape)
    if len(shape) != 4 or shape[:2] != (count, 2) or shape[2] != shape[3] or shape[3] < 1:
        raise InvalidChromaError(f"gave shape {shape}, not ({count}, 2, s, s)")
    if not chroma.is_floating_point():
        raise InvalidChromaError(f"gave {chroma.dtype}, not a floating type")
    if chroma.device.type != device.type:
        raise InvalidChromaError(f"gave a tensor on {chroma.device}, not on {device}")
    chroma = chroma.detach().float()
    if not torch.isfinite(chroma).all():
        raise InvalidChromaError("gave NaN or infinite chroma")
    furthest = float(chroma.abs().max())
    if furthest > LIMIT + OVERSHOOT:
        raise InvalidChromaError(f"gave chroma up to {furthest:.3g}, outside -0.5..0.5")
    clipped: torch.Tensor = chroma.clamp(-LIMIT, LIMIT)
    return clipped


@contextmanager
def preserve_global_state() -> Iterator[None]:
    """Global state of torch and of chance set back afterwards, whatever the colorizer did."""
    cpu, chance = torch.get_rng_state(), random.getstate()
    dtype, threads = torch.get_default_dtype(), torch.get_num_threads()
    deterministic = torch.are_deterministic_algorithms_enabled()
    gradients = torch.is_grad_enabled()
    try:
        yield
    finally:
        torch.set_rng_state(cpu)
        random.setstate(chance)
        torch.set_grad_enabled(gradients)
        if torch.get_default_dtype() != dtype:
            torch.set_default_dtype(dtype)
        if torch.get_num_threads() != threads:
            torch.set_num_threads(threads)
        if torch.are_deterministic_algorithms_enabled() != deterministic:
            torch.use_deterministic_algorithms(deterministic)
