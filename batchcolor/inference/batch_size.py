"""How many squares run at once where the user sets no batch size."""

from __future__ import annotations

import os

CPU_BATCH, CPU_PIXELS = 8, 2 * 256**2
"""Largest batch on a CPU, in squares and in pixels: larger batches do not fit the caches."""
GPU_BATCH = 64
MAX_STREAMS = 16
"""Each stream needs the memory of a batch."""


def get_default_batch_size(side: int, *, is_on_cpu: bool) -> int:
    """Returns the batch size for squares of `side` pixels."""
    if not is_on_cpu:
        return GPU_BATCH
    return max(1, min(CPU_BATCH, CPU_PIXELS // side**2))


def count_streams() -> int:
    """Returns how many batches run at the same time on a CPU, each on one core.

    Decoding and encoding need as much time as the default model, so it gets half of the cores,
    or both of two.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return max(1, min(MAX_STREAMS, max(cores or 1, 4) // 2, cores or 1))
