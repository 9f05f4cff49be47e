"""Measures the speed of the loader, of the network, and of both, before a run starts."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable

import torch

from batchcolor.training.records import Speeds
from batchcolor.training.trainer import Trainer

ROUNDS = 3
"""Loader, network and training are measured in turns, so that other load affects all of them."""
STEPS = 3
"""Steps of each in a round. The first round is a warm-up and is not counted."""


def measure_speed(trainer: Trainer) -> Speeds:
    """Measures some steps, then restores the trainer to its exact former state.

    All three run the same steps: with `scale_jitter` the cost of a step depends on its crop size.
    """
    state = copy.deepcopy(trainer.state())
    first = trainer.step
    batches = [trainer.load_batch(first + step) for step in range(STEPS)]

    def train(step: int) -> None:
        trainer.step = first + step
        trainer.advance()

    kinds: dict[str, Callable[[int], object]] = {
        "loader": lambda step: trainer.load_batch(first + step),
        "network": lambda step: trainer.train_step(*batches[step]),
        "training": train,
    }
    seconds = dict.fromkeys(kinds, 0.0)
    for round_ in range(ROUNDS):
        for name, work in kinds.items():
            duration = _time_steps(work, trainer.context.device)
            seconds[name] += duration if round_ else 0.0
    trainer.restore(state)
    images = (ROUNDS - 1) * STEPS * trainer.batch_size * trainer.context.world_size
    return Speeds(**{name: images / max(value, 1e-9) for name, value in seconds.items()})


def _time_steps(work: Callable[[int], object], device: torch.device) -> float:
    _synchronize(device)
    start = time.perf_counter()
    for step in range(STEPS):
        work(step)
    _synchronize(device)
    return time.perf_counter() - start


def _synchronize(device: torch.device) -> None:
    """Waits for the kernels of a GPU, which run asynchronously."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
