"""One training run, from packed pictures to weights; it can be cut at any step and go on.

Everything random (order of the pictures, crops, dropout) is a function of the seed, the
process and the step, so the place in the epoch is all that a resumed run must know.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.nn import functional
from torch.nn.parallel import DistributedDataParallel
from torch.optim.swa_utils import AveragedModel

from batchcolor.errors import DivergedError, ImpossiblePlanError
from batchcolor.hooks.spec import ColorizerSpec, Recipe
from batchcolor.training import augment, checkpoint
from batchcolor.training.losses import LOSSES, rgb_mse
from batchcolor.training.machine import Machine
from batchcolor.training.plan import TrainingPlan
from batchcolor.training.store import Store

WARM_UP = 0.02
"""Share of all steps in which the learning rate rises to its value; then it falls as a cosine."""


@dataclass(frozen=True)
class EpochResult:
    """One row of the table and of log.csv. Losses as the recipe's; rgb_mse of whole pictures."""

    epoch: int
    loss: float
    validation_loss: float
    validation_rgb_mse: float
    learning_rate: float
    images_per_second: float
    seconds: float


@dataclass(frozen=True)
class Progress:
    """Told after every step."""

    epoch: int
    step: int
    steps: int
    loss: float
    images_per_second: float
    seconds_left: float


class Trainer:
    """The state of one run: network, averaged network, optimizer, schedule, place."""

    def __init__(
        self, plan: TrainingPlan, spec: ColorizerSpec, store: Store, machine: Machine
    ) -> None:
        self.plan, self.recipe, self.store, self.machine = plan, plan.recipe, store, machine
        torch.manual_seed(plan.seed)
        network = spec.build(spec.options() if spec.options else None)
        if not isinstance(network, nn.Module) or next(network.parameters(), None) is None:
            raise ImpossiblePlanError(f"{spec.name} has nothing to train")
        self.network = network.to(machine.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.parallel: nn.Module = (
            DistributedDataParallel(self.network) if machine.world > 1 else self.network
        )
        self.optimizer = make_optimizer(self.recipe, self.network.parameters())
        self.batch = min(self.recipe.batch_size, max(1, len(store.train) // machine.world))
        self.epoch_steps = max(1, len(store.train) // (self.batch * machine.world))
        self.steps = self.epoch_steps * self.recipe.epochs
        self.scheduler = torch.optim.lr_scheduler.LambdaLR(self.optimizer, self._rate)
        self.averaged = AveragedModel(
            self.network, multi_avg_fn=warm_ema(self.recipe.ema), use_buffers=True
        )
        self.pictures = torch.from_numpy(store.pictures)
        if machine.device.type == "cuda" and _fits(self.pictures, machine.device):
            self.pictures = self.pictures.to(machine.device)
        self.step = 0
        self.best = math.inf
        self.seconds = 0.0
        self.history: list[EpochResult] = []
        self._losses: list[float] = []
        self._order: tuple[int, torch.Tensor] = (-1, torch.empty(0))
        self._rates: list[float] = []

    def _rate(self, step: int) -> float:
        rise = max(1, round(self.steps * WARM_UP))
        if step < rise:
            return (step + 1) / rise
        return 0.5 + 0.5 * math.cos(math.pi * (step - rise) / max(1, self.steps - rise))

    @property
    def samples_seen(self) -> int:
        """Pictures that the network has learnt from so far, repeats counted."""
        return self.step * self.batch * self.machine.world

    def run(
        self,
        *,
        stop: Callable[[], bool],
        on_step: Callable[[Progress], None],
        on_epoch: Callable[[EpochResult, bool], None],
    ) -> bool:
        """Train to the end, or until `stop()`; whether the end was reached.

        A checkpoint is written every few minutes, after each epoch and when stopped.
        Raises DivergedError when the loss is no number; the last checkpoint is then kept.
        """
        saved, begun = time.monotonic(), time.monotonic()
        self.parallel.train()
        while self.step < self.steps:
            if self.machine.any(stop()):
                self._lap(begun)
                self.save()
                return False
            self._one_step(on_step)
            if self.step % self.epoch_steps == 0:
                self._lap(begun)
                begun = time.monotonic()
                self._end_epoch(on_epoch)
                saved = time.monotonic()
            elif time.monotonic() - saved > 60 * self.plan.checkpoint_minutes:
                self._lap(begun)
                begun = saved = time.monotonic()
                self.save()
        return True

    def _lap(self, begun: float) -> None:
        self.seconds += time.monotonic() - begun

    def _one_step(self, on_step: Callable[[Progress], None]) -> None:
        begun = time.monotonic()
        torch.manual_seed((self.plan.seed * 1_000_003 + self.step) * 1009 + self.machine.rank)
        luma, truth = augment.augmented(
            self._next_batch(), self.recipe.size, self.recipe.random_crop
        )
        self.optimizer.zero_grad(set_to_none=True)
        with self.machine.precision():
            chroma = self.parallel(luma.contiguous(memory_format=torch.channels_last))
            loss = LOSSES[self.recipe.loss](at_size(chroma, self.recipe.size), truth)
        value = float(loss.item())
        if not math.isfinite(value):
            raise DivergedError(
                f"the loss is {value} at step {self.step + 1} (epoch {self._epoch()}); the "
                f"checkpoint before it is kept in {self.plan.output}: try a lower --learning-rate"
            )
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimizer.step()
        self.scheduler.step()
        self.averaged.update_parameters(self.network)
        self.step += 1
        self._losses.append(value)
        self._rates = [*self._rates[-49:], time.monotonic() - begun]
        pace = sum(self._rates) / len(self._rates)
        on_step(
            Progress(
                epoch=self._epoch(),
                step=self.step,
                steps=self.steps,
                loss=sum(self._losses) / len(self._losses),
                images_per_second=self.batch * self.machine.world / pace,
                seconds_left=pace * (self.steps - self.step),
            )
        )

    def _epoch(self) -> int:
        return min(self.recipe.epochs, self.step // self.epoch_steps + 1)

    def _next_batch(self) -> torch.Tensor:
        epoch, place = divmod(self.step, self.epoch_steps)
        if self._order[0] != epoch:
            generator = torch.Generator().manual_seed(self.plan.seed * 7919 + epoch)
            mixed = torch.randperm(len(self.store.train), generator=generator)
            self._order = (epoch, torch.from_numpy(self.store.train)[mixed])
        first = (place * self.machine.world + self.machine.rank) * self.batch
        rows = self._order[1][first : first + self.batch]
        return self.pictures[rows.to(self.pictures.device)].to(self.machine.device)

    def _end_epoch(self, on_epoch: Callable[[EpochResult, bool], None]) -> None:
        loss, error = self.validate()
        result = EpochResult(
            epoch=self.step // self.epoch_steps,
            loss=self.machine.mean(sum(self._losses) / len(self._losses)),
            validation_loss=loss,
            validation_rgb_mse=error,
            learning_rate=self.optimizer.param_groups[0]["lr"],
            images_per_second=self.batch * self.machine.world * len(self._rates) / sum(self._rates),
            seconds=self.seconds,
        )
        self._losses = []
        self.history.append(result)
        better = loss < self.best
        self.best = min(self.best, loss)
        self.save()
        on_epoch(result, better)

    def validate(self) -> tuple[float, float]:
        """The recipe's loss and the RGB MSE of the averaged network on the held-out pictures."""
        total = torch.zeros(2, dtype=torch.float64)
        for rows in torch.split(torch.from_numpy(self.store.validation), self.recipe.batch_size):
            luma, truth = self.measured(rows)
            chroma = self.colour(luma)
            total[0] += len(rows) * float(LOSSES[self.recipe.loss](chroma, truth))
            total[1] += len(rows) * float(rgb_mse(chroma, truth))
        loss, error = (total / len(self.store.validation)).tolist()
        return loss, error

    def measured(self, rows: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Luma and true chroma of whole pictures, by their rows in the store."""
        rgb = self.pictures[rows.to(self.pictures.device)].to(self.machine.device)
        return augment.split(rgb, self.recipe.size)

    @torch.inference_mode()
    def colour(self, luma: torch.Tensor) -> torch.Tensor:
        """Chroma `(N, 2, size, size)` from the averaged network."""
        network = self.averaged.module
        network.eval()
        chroma = network(luma.contiguous(memory_format=torch.channels_last))
        return at_size(chroma, self.recipe.size).float()

    def save(self) -> None:
        """Write the checkpoint (first process only)."""
        if self.machine.first:
            checkpoint.save(self.plan.output, self._state())

    def _state(self) -> dict[str, Any]:
        return {
            "fingerprint": self.plan.fingerprint(),
            "step": self.step,
            "best": self.best,
            "seconds": self.seconds,
            "losses": self._losses,
            "history": [vars(row) for row in self.history],
            "network": self.network.state_dict(),
            "averaged": self.averaged.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scheduler": self.scheduler.state_dict(),
            "generator": torch.get_rng_state(),
        }

    def resume(self) -> None:
        """Go on from the checkpoint. Raises ImpossiblePlanError where there is none of this run."""
        state = checkpoint.load(self.plan.output, self.plan.fingerprint(), self.machine.device)
        for name in ("network", "averaged", "optimizer", "scheduler"):
            getattr(self, name).load_state_dict(state[name])
        torch.set_rng_state(state["generator"].cpu())
        self.step, self.best, self.seconds = state["step"], state["best"], state["seconds"]
        self._losses = state["losses"]
        self.history = [EpochResult(**row) for row in state["history"]]


def make_optimizer(recipe: Recipe, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
    """The optimizer that the recipe names, with torch's own defaults beside rate and decay."""
    kinds: dict[str, Callable[..., torch.optim.Optimizer]] = {
        "adam": torch.optim.Adam,
        "adamw": torch.optim.AdamW,
        "rmsprop": torch.optim.RMSprop,
        "sgd": lambda parameters, **rest: torch.optim.SGD(parameters, momentum=0.9, **rest),
    }
    return kinds[recipe.optimizer](
        parameters, lr=recipe.learning_rate, weight_decay=recipe.weight_decay
    )


def at_size(chroma: torch.Tensor, size: int) -> torch.Tensor:
    """Chroma brought to the size at which it is compared, as `run` brings it to the picture's."""
    if chroma.shape[-1] == size:
        return chroma
    return functional.interpolate(chroma, size=(size, size), mode="bilinear", align_corners=False)


def warm_ema(decay: float) -> Callable[..., None]:
    """An average that trusts the newest weights while there are few, as TensorFlow's EMA does."""

    @torch.no_grad()
    def update(averaged: Any, current: Any, count: int) -> None:
        now = min(decay, (1 + int(count)) / (10 + int(count)))
        for kept, new in zip(averaged, current, strict=True):
            if kept.is_floating_point():
                kept.lerp_(new, 1 - now)
            else:
                kept.copy_(new)

    return update


def _fits(pictures: torch.Tensor, device: torch.device) -> bool:
    free, _ = torch.cuda.mem_get_info(device)
    return pictures.nbytes < free // 2
