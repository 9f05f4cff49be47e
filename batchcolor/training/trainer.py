"""One training run, from packed pictures to weights; it can be cut at any step and go on.

Everything random (order of the pictures, crops, dropout) is a function of the seed, the
process and the step, so the place in the epoch is all that a resumed run must know.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import torch
from torch import nn
from torch.nn import functional
from torch.nn.parallel import DistributedDataParallel
from torch.optim.swa_utils import AveragedModel

from batchcolor.color import rgb_mse
from batchcolor.errors import TrainingDivergedError, UsageError
from batchcolor.hooks.types import ColorizerSpec
from batchcolor.inference import weights
from batchcolor.training import augment, checkpoint
from batchcolor.training.distributed import DistributedContext
from batchcolor.training.loader import BatchLoader
from batchcolor.training.losses import LOSSES
from batchcolor.training.optimization import make_optimizer, schedule, warm_average
from batchcolor.training.settings import TrainingPlan
from batchcolor.training.speed import Speeds
from batchcolor.training.store import Store

LOOK = 20
"""Steps on a GPU between looks at the loss: each look makes the GPU wait for the program."""


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
    """Told after every step; the loss is the epoch's mean so far."""

    epoch: int
    step: int
    steps: int
    loss: float
    images_per_second: float
    seconds_left: float


@runtime_checkable
class PreTrained(Protocol):
    """A network that does not start from chance: a part of it has learnt elsewhere."""

    def pretrain(self) -> None:
        """Fill that part. Raises UsageError where its weights are not at hand."""
        ...


def build(plan: TrainingPlan, spec: ColorizerSpec) -> nn.Module:
    """The network as the first step finds it: by the plan's seed, weights, or what it learnt
    elsewhere. Raises UsageError, WeightsError."""
    torch.manual_seed(plan.seed)
    network = spec.build(spec.options() if spec.options else None)
    if not isinstance(network, nn.Module) or next(network.parameters(), None) is None:
        raise UsageError(f"{spec.name} has nothing to train")
    if plan.weights is not None:
        weights.load(network, plan.weights)
    elif isinstance(network, PreTrained):
        network.pretrain()
    return network


class Trainer:
    """The state of one run: network, averaged network, optimizer, schedule, place."""

    def __init__(
        self, plan: TrainingPlan, network: nn.Module, store: Store, machine: DistributedContext
    ) -> None:
        self.plan, self.recipe, self.store, self.machine = plan, plan.recipe, store, machine
        self.network = network.to(machine.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.parallel: nn.Module = (
            DistributedDataParallel(self.network) if machine.world > 1 else self.network
        )
        self.forward: Callable[..., torch.Tensor] = machine.compiled(self.parallel)
        self.optimizer = make_optimizer(self.recipe, self.network)
        self.feed = BatchLoader(store, machine, self.recipe.batch_size, plan.seed)
        self.batch, self.epoch_steps = self.feed.batch, self.feed.epoch_steps
        self.steps = self.epoch_steps * self.recipe.epochs
        self.scheduler = torch.optim.lr_scheduler.LambdaLR(self.optimizer, schedule(self.steps))
        self.averaged = AveragedModel(
            self.network, multi_avg_fn=warm_average(self.recipe.ema), use_buffers=True
        )
        self.speeds: Speeds | None = None
        self.step = 0
        self.best = math.inf
        self.seconds = 0.0
        self.history: list[EpochResult] = []
        self._losses: list[float] = []
        self._unseen: list[torch.Tensor] = []
        self._rates: list[float] = []

    @property
    def samples_seen(self) -> int:
        """Pictures that the network has learnt from so far, repeats counted."""
        return self.step * self.batch * self.machine.world

    # ---- the run -------------------------------------------------------------------------

    def run(
        self,
        *,
        stop: Callable[[], bool],
        on_step: Callable[[Progress], None],
        on_epoch: Callable[[EpochResult, bool], None],
    ) -> bool:
        """Train to the end, or until `stop()`; whether the end was reached.

        A checkpoint is written every few minutes, after each epoch and when stopped.
        Raises TrainingDivergedError when the loss is no number; the last checkpoint is then kept.
        """
        saved, begun = time.monotonic(), time.monotonic()
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
        self.advance()
        if self.machine.device.type == "cpu" or self.step % LOOK == 0:
            self._flush_losses()
        self._rates = [*self._rates[-49:], time.monotonic() - begun]
        pace = sum(self._rates) / len(self._rates)
        on_step(
            Progress(
                epoch=min(self.recipe.epochs, (self.step - 1) // self.epoch_steps + 1),
                step=self.step,
                steps=self.steps,
                loss=sum(self._losses) / max(1, len(self._losses)),
                images_per_second=self.batch * self.machine.world / pace,
                seconds_left=pace * (self.steps - self.step),
            )
        )

    def advance(self) -> None:
        """One step: examples, gradients, weights, their average."""
        self._unseen.append(self.train_step(*self.examples(self.step)))
        self.scheduler.step()
        self.averaged.update_parameters(self.network)
        self.step += 1

    def examples(self, step: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Luma and true chroma that this step learns from."""
        torch.manual_seed((self.plan.seed * 1_000_003 + step) * 1009 + self.machine.rank)
        luma, truth = augment.augmented(self.feed(step), self.recipe)
        return luma.contiguous(memory_format=torch.channels_last), truth

    def train_step(self, luma: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
        """Forward, backward, optimizer; the loss, still on the device."""
        self.parallel.train()
        self.optimizer.zero_grad(set_to_none=True)
        with self.machine.precision():
            if self.recipe.loss == "own":
                loss = self.forward(luma, truth)
            else:
                chroma = at_size(self.forward(luma), truth.shape[-1])
                loss = LOSSES[self.recipe.loss](chroma, truth)
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimizer.step()
        return loss.detach()

    def _flush_losses(self) -> None:
        """Fetch the losses since the last look. Raises TrainingDivergedError."""
        for back, value in zip(
            range(len(self._unseen) - 1, -1, -1), torch.stack(self._unseen).tolist(), strict=True
        ):
            if not math.isfinite(value):
                step = self.step - back
                raise TrainingDivergedError(
                    f"the loss is {value} at step {step} (epoch "
                    f"{(step - 1) // self.epoch_steps + 1}); the checkpoint before it is kept in "
                    f"{self.plan.output}: try a lower --learning-rate"
                )
            self._losses.append(value)
        self._unseen = []

    # ---- what it has learnt --------------------------------------------------------------

    def _end_epoch(self, on_epoch: Callable[[EpochResult, bool], None]) -> None:
        if self._unseen:
            self._flush_losses()
        loss, error = self.validate()
        if not math.isfinite(loss):
            raise TrainingDivergedError(
                f"the validation loss is {loss} after epoch {self.step // self.epoch_steps}; the "
                f"best weights before it are kept in {self.plan.output}: try a lower "
                f"--learning-rate"
            )
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
            total[0] += len(rows) * float(self.loss_of(chroma, luma, truth))
            total[1] += len(rows) * float(rgb_mse(chroma, truth))
        loss, error = (total / len(self.store.validation)).tolist()
        return loss, error

    @torch.inference_mode()
    def loss_of(
        self, chroma: torch.Tensor, luma: torch.Tensor, truth: torch.Tensor
    ) -> torch.Tensor:
        """The recipe's loss of the averaged network, which gave this chroma."""
        if self.recipe.loss == "own":
            loss: torch.Tensor = self.averaged.module(luma, truth)
            return loss
        return LOSSES[self.recipe.loss](chroma, truth)

    def measured(self, rows: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Luma and true chroma of whole pictures, by their rows in the store."""
        return augment.split(self.feed.take(rows), self.recipe.size)

    @torch.inference_mode()
    def colour(self, luma: torch.Tensor) -> torch.Tensor:
        """Chroma `(N, 2, size, size)` from the averaged network."""
        network = self.averaged.module
        network.eval()
        chroma = network(luma.contiguous(memory_format=torch.channels_last))
        return at_size(chroma, self.recipe.size).float()

    # ---- cut and resumed -----------------------------------------------------------------

    def save(self) -> None:
        """Write the checkpoint (first process only). Raises TrainingDivergedError, not keeping
        weights whose loss was no number."""
        if self._unseen:
            self._flush_losses()
        if self.machine.first:
            checkpoint.save(
                self.plan.output, {"fingerprint": self.plan.fingerprint(), **self.state()}
            )

    def state(self) -> dict[str, Any]:
        """All that `restore` needs to be here again."""
        return {
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

    def restore(self, state: dict[str, Any]) -> None:
        """Be where `state` was taken."""
        for name in ("network", "averaged", "optimizer", "scheduler"):
            getattr(self, name).load_state_dict(state[name])
        torch.set_rng_state(state["generator"].cpu())
        self.step, self.best, self.seconds = state["step"], state["best"], state["seconds"]
        self._losses, self._unseen = state["losses"], []
        self.history = [EpochResult(**row) for row in state["history"]]

    def resume(self) -> None:
        """Go on from the checkpoint. Raises UsageError where there is none of this run."""
        fingerprint = self.plan.fingerprint()
        self.restore(checkpoint.load(self.plan.output, fingerprint, self.machine.device))


def at_size(chroma: torch.Tensor, size: int) -> torch.Tensor:
    """Chroma brought to the size at which it is compared, as `run` brings it to the picture's."""
    if chroma.shape[-1] == size:
        return chroma
    return functional.interpolate(chroma, size=(size, size), mode="bilinear", align_corners=False)
