"""How many squares run at once where the user sets no batch size."""

from __future__ import annotations

CPU_BATCH, CPU_PIXELS = 8, 2 * 256**2
"""Largest batch on a CPU, in squares and in pixels: larger batches do not fit the caches."""
GPU_BATCH = 64


def get_default_batch_size(side: int, *, is_on_cpu: bool) -> int:
    """Returns the batch size for squares of `side` pixels."""
    if not is_on_cpu:
        return GPU_BATCH
    return max(1, min(CPU_BATCH, CPU_PIXELS // side**2))
