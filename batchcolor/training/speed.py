"""How fast the loader, the network and the two together are, measured before a run begins."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from batchcolor.training.trainer import Trainer

ROUNDS = 3
"""Loader, network and both take turns so often, so that a busy moment does not hit one alone."""
STEPS = 3
"""Steps of each in a round; the first round only warms up."""


@dataclass(frozen=True)
class Speeds:
    """Pictures a second, all processes together."""

    loader: float
    network: float
    training: float

    @property
    def share(self) -> float:
        """Training's speed as a share of the slower of the other two."""
        return self.training / min(self.loader, self.network)


def measure(trainer: Trainer) -> Speeds:
    """Some steps of each, after which the trainer is what it was before, to the bit.

    All three take the same steps, as with `scale_jitter` some cost more than others.
    """
    before = copy.deepcopy(trainer.state())
    begin = trainer.step
    pictures = [trainer.examples(begin + step) for step in range(STEPS)]

    def both(step: int) -> None:
        trainer.step = begin + step
        trainer.advance()

    kinds: dict[str, Callable[[int], object]] = {
        "loader": lambda step: trainer.examples(begin + step),
        "network": lambda step: trainer.train_step(*pictures[step]),
        "training": both,
    }
    seconds = dict.fromkeys(kinds, 0.0)
    for round_ in range(ROUNDS):
        for name, work in kinds.items():
            took = _timed(work, trainer.machine.device)
            seconds[name] += took if round_ else 0.0
    trainer.restore(before)
    done = (ROUNDS - 1) * STEPS * trainer.batch * trainer.machine.world
    return Speeds(**{name: done / max(took, 1e-9) for name, took in seconds.items()})


def _timed(work: Callable[[int], object], device: torch.device) -> float:
    _settle(device)
    begun = time.perf_counter()
    for step in range(STEPS):
        work(step)
    _settle(device)
    return time.perf_counter() - begun


def _settle(device: torch.device) -> None:
    """Wait for a GPU: it works behind the program's back."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
