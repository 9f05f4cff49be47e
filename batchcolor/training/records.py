"""Values that a training run reports: progress, results of an epoch, measured speeds."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Progress:
    """State after a step; `loss` is the mean of the epoch so far."""

    epoch: int
    step: int
    total_steps: int
    loss: float
    images_per_second: float
    seconds_left: float


@dataclass(frozen=True)
class EpochResult:
    """One row of log.csv. Losses are the recipe's; `validation_rgb_mse` is of whole pictures."""

    epoch: int
    loss: float
    validation_loss: float
    validation_rgb_mse: float
    learning_rate: float
    images_per_second: float
    seconds: float


@dataclass(frozen=True)
class Speeds:
    """Images per second, summed over all processes."""

    loader: float
    network: float
    training: float

    @property
    def share(self) -> float:
        """Speed of training as a share of the slower of loader and network."""
        return self.training / min(self.loader, self.network)
