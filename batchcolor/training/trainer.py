"""The training loop: steps, validation, checkpoints. A run can stop and resume at any step.

All randomness (order of the pictures, crops, dropout) is a function of the seed, the process and
the step, so a resumed run gives the same weights as an uninterrupted one.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.nn import functional
from torch.nn.parallel import DistributedDataParallel
from torch.optim.swa_utils import AveragedModel

from batchcolor.color import rgb_mse
from batchcolor.errors import TrainingDivergedError
from batchcolor.training import augment, checkpoint
from batchcolor.training.distributed import DistributedContext
from batchcolor.training.loader import BatchLoader
from batchcolor.training.losses import LOSSES
from batchcolor.training.network import network_errors
from batchcolor.training.optimization import (
    freeze_encoder,
    make_ema_update,
    make_optimizer,
    make_scheduler,
)
from batchcolor.training.plan import TrainingPlan
from batchcolor.training.records import EpochResult, Progress, Speeds
from batchcolor.training.store import Store

LOSS_FETCH_INTERVAL = 20
"""Steps on a GPU between fetches of the losses: each fetch waits for the GPU."""


class Trainer:
    """The state of one run: network, averaged network, optimizer, scheduler, step."""

    def __init__(
        self, plan: TrainingPlan, network: nn.Module, store: Store, context: DistributedContext
    ) -> None:
        self.plan, self.recipe, self.store, self.context = plan, plan.recipe, store, context
        freeze_encoder(self.recipe, network)
        self.network = network.to(context.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.parallel: nn.Module = (
            # Small crops of Delta do not use the correction of both scales.
            DistributedDataParallel(self.network, find_unused_parameters=True)
            if context.world_size > 1
            else self.network
        )
        self.forward: Callable[..., torch.Tensor] = context.compile_forward(self.parallel)
        self.optimizer = make_optimizer(self.recipe, self.network)
        self.loader = BatchLoader(store, context, self.recipe.batch_size, plan.seed)
        self.batch_size = self.loader.batch_size
        self.steps_per_epoch = self.loader.steps_per_epoch
        self.total_steps = self.steps_per_epoch * self.recipe.epochs
        self.scheduler = make_scheduler(self.optimizer, self.total_steps)
        self.averaged = AveragedModel(
            self.network, multi_avg_fn=make_ema_update(self.recipe.ema), use_buffers=True
        )
        self.speeds: Speeds | None = None
        self.step = 0
        self.best_loss = math.inf
        self.seconds = 0.0
        self.history: list[EpochResult] = []
        self._epoch_losses: list[float] = []
        self._pending_losses: list[torch.Tensor] = []
        self._step_seconds: list[float] = []

    @property
    def samples_seen(self) -> int:
        """Number of pictures used for training so far, repetitions included."""
        return self.step * self.batch_size * self.context.world_size

    # ---- the run -------------------------------------------------------------------------

    def run(
        self,
        *,
        stop: Callable[[], bool],
        on_step: Callable[[Progress], None],
        on_epoch: Callable[[EpochResult, bool], None],
    ) -> bool:
        """Trains to the end or until `stop()`. Returns whether the end was reached.

        Writes a checkpoint every few minutes, after each epoch, and when stopped.
        Raises TrainingDivergedError if the loss is not finite; the last checkpoint is kept then.
        """
        saved, started = time.monotonic(), time.monotonic()
        while self.step < self.total_steps:
            if self.context.any_process(stop()):
                self._add_duration(started)
                self.save()
                return False
            self._run_step(on_step)
            if self.step % self.steps_per_epoch == 0:
                self._add_duration(started)
                started = time.monotonic()
                self._end_epoch(on_epoch)
                saved = time.monotonic()
            elif time.monotonic() - saved > 60 * self.plan.checkpoint_minutes:
                self._add_duration(started)
                started = saved = time.monotonic()
                self.save()
        return True

    def _add_duration(self, started: float) -> None:
        self.seconds += time.monotonic() - started

    def _run_step(self, on_step: Callable[[Progress], None]) -> None:
        started = time.monotonic()
        self.advance()
        if self.context.device.type == "cpu" or self.step % LOSS_FETCH_INTERVAL == 0:
            self._flush_losses()
        self._step_seconds = [*self._step_seconds[-49:], time.monotonic() - started]
        seconds = sum(self._step_seconds) / len(self._step_seconds)
        on_step(
            Progress(
                epoch=min(self.recipe.epochs, (self.step - 1) // self.steps_per_epoch + 1),
                step=self.step,
                total_steps=self.total_steps,
                loss=sum(self._epoch_losses) / max(1, len(self._epoch_losses)),
                images_per_second=self.batch_size * self.context.world_size / seconds,
                seconds_left=seconds * (self.total_steps - self.step),
            )
        )

    def advance(self) -> None:
        """Runs one step and updates schedule and averaged weights; the loss stays on the device."""
        self._pending_losses.append(self.train_step(*self.load_batch(self.step)))
        self.scheduler.step()
        self.averaged.update_parameters(self.network)
        self.step += 1

    def load_batch(self, step: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Returns augmented luma `(N, 1, S, S)` and target chroma `(N, 2, S, S)` of a step."""
        torch.manual_seed((self.plan.seed * 1_000_003 + step) * 1009 + self.context.rank)
        luma, target = augment.augment(self.loader(step), self.recipe)
        return luma.contiguous(memory_format=torch.channels_last), target

    def train_step(self, luma: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """Runs forward pass, backward pass and optimizer. Returns the loss, on the device."""
        self.parallel.train()
        self.optimizer.zero_grad(set_to_none=True)
        with network_errors(self.plan.model, self.network), self.context.autocast():
            if self.recipe.loss == "model":
                loss = self.forward(luma, target)
            else:
                chroma = resize_chroma(self.forward(luma), target.shape[-1])
                loss = LOSSES[self.recipe.loss](chroma, target)
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimizer.step()
        return loss.detach()

    def _flush_losses(self) -> None:
        """Moves the pending losses to the host. Raises TrainingDivergedError."""
        values = torch.stack(self._pending_losses).tolist()
        for step, value in enumerate(values, self.step - len(values) + 1):
            if not math.isfinite(value):
                raise TrainingDivergedError(
                    f"the loss is {value} at step {step} (epoch "
                    f"{(step - 1) // self.steps_per_epoch + 1}); the last checkpoint is kept "
                    f"in {self.plan.output}: use a lower --learning-rate"
                )
            self._epoch_losses.append(value)
        self._pending_losses = []

    # ---- validation ----------------------------------------------------------------------

    def _end_epoch(self, on_epoch: Callable[[EpochResult, bool], None]) -> None:
        if self._pending_losses:
            self._flush_losses()
        loss, mse = self.validate()
        if not math.isfinite(loss):
            raise TrainingDivergedError(
                f"the validation loss is {loss} after epoch {self.step // self.steps_per_epoch}; "
                f"the best weights before it are kept in {self.plan.output}: use a lower "
                f"--learning-rate"
            )
        result = EpochResult(
            epoch=self.step // self.steps_per_epoch,
            loss=self.context.mean_over_processes(
                sum(self._epoch_losses) / len(self._epoch_losses)
            ),
            validation_loss=loss,
            validation_rgb_mse=mse,
            learning_rate=self.optimizer.param_groups[0]["lr"],
            images_per_second=self.batch_size
            * self.context.world_size
            * len(self._step_seconds)
            / sum(self._step_seconds),
            seconds=self.seconds,
        )
        self._epoch_losses = []
        self.history.append(result)
        is_best = loss < self.best_loss
        self.best_loss = min(self.best_loss, loss)
        self.save()
        on_epoch(result, is_best)

    def validate(self) -> tuple[float, float]:
        """Returns loss and RGB MSE of the averaged network on the held-out pictures."""
        total = torch.zeros(2, dtype=torch.float64)
        for rows in torch.split(torch.from_numpy(self.store.validation), self.recipe.batch_size):
            luma, target = self.load_whole(rows)
            chroma = self.predict_chroma(luma)
            total[0] += len(rows) * float(self.validation_loss(chroma, luma, target))
            total[1] += len(rows) * float(rgb_mse(chroma, target))
        loss, mse = (total / len(self.store.validation)).tolist()
        return loss, mse

    @torch.inference_mode()
    def validation_loss(
        self, chroma: torch.Tensor, luma: torch.Tensor, target: torch.Tensor
    ) -> torch.Tensor:
        """Returns the recipe's loss; `chroma` is the averaged network's prediction."""
        if self.recipe.loss == "model":
            with network_errors(self.plan.model, self.network):
                loss: torch.Tensor = self.averaged.module(luma, target)
            return loss
        return LOSSES[self.recipe.loss](chroma, target)

    def load_whole(self, rows: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Returns luma and target chroma of whole pictures, by their rows in the store."""
        return augment.to_luma_and_chroma(self.loader.load_rows(rows), self.recipe.size)

    @torch.inference_mode()
    def predict_chroma(self, luma: torch.Tensor) -> torch.Tensor:
        """Returns the averaged network's chroma `(N, 2, size, size)`."""
        network = self.averaged.module
        network.eval()
        with network_errors(self.plan.model, self.network):
            chroma = network(luma.contiguous(memory_format=torch.channels_last))
            return resize_chroma(chroma, self.recipe.size).float()

    # ---- checkpoints ---------------------------------------------------------------------

    def save(self) -> None:
        """Writes the checkpoint, in the main process only.

        Raises TrainingDivergedError instead of saving weights whose loss is not finite.
        """
        if self._pending_losses:
            self._flush_losses()
        if self.context.is_main_process:
            checkpoint.save(
                self.plan.output, {"fingerprint": self.plan.fingerprint(), **self.state()}
            )

    def state(self) -> dict[str, Any]:
        """Returns everything that `restore` needs."""
        return {
            "step": self.step,
            "best_loss": self.best_loss,
            "seconds": self.seconds,
            "epoch_losses": self._epoch_losses,
            "history": [vars(row) for row in self.history],
            "network": self.network.state_dict(),
            "averaged": self.averaged.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scheduler": self.scheduler.state_dict(),
            "generator": torch.get_rng_state(),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Restores a state that `state()` returned."""
        for name in ("network", "averaged", "optimizer", "scheduler"):
            getattr(self, name).load_state_dict(state[name])
        torch.set_rng_state(state["generator"].cpu())
        self.step, self.best_loss = state["step"], state["best_loss"]
        self.seconds = state["seconds"]
        self._epoch_losses, self._pending_losses = state["epoch_losses"], []
        self.history = [EpochResult(**row) for row in state["history"]]

    def resume(self) -> None:
        """Restores the checkpoint. Raises UsageError if there is none of this run."""
        fingerprint = self.plan.fingerprint()
        self.restore(checkpoint.load(self.plan.output, fingerprint, self.context.device))


def resize_chroma(chroma: torch.Tensor, size: int) -> torch.Tensor:
    """Resizes chroma bilinearly to `(N, 2, size, size)`, as `run` does for a picture."""
    if chroma.shape[-1] == size:
        return chroma
    return functional.interpolate(chroma, size=(size, size), mode="bilinear", align_corners=False)
