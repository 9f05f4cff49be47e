"""Runs a training plan: pack the pictures, measure, train, write results after every epoch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from torch import distributed

from batchcolor.errors import ExitCode, InterruptedJobError, UsageError
from batchcolor.hooks.types import ColorizerSpec
from batchcolor.inference.device import is_out_of_memory
from batchcolor.signals import handle_signals
from batchcolor.training import checkpoint, datasets, results
from batchcolor.training.augment import needs_resampling
from batchcolor.training.distributed import DistributedContext, init_distributed
from batchcolor.training.network import build_network
from batchcolor.training.plan import TrainingPlan
from batchcolor.training.records import EpochResult, Progress
from batchcolor.training.speed import measure_speed
from batchcolor.training.store import Store, open_store
from batchcolor.training.trainer import Trainer


@dataclass
class Callbacks:
    """Functions that report a run; called in the main process only, except `on_pack`."""

    on_pack: Callable[[int, int], None]
    """Number of packed pictures, and their total."""
    on_note: Callable[[str], None]
    """The next step of the run, or how the run differs from its settings."""
    on_start: Callable[[Trainer, dict[str, float]], None]
    """Before the first step, with the baselines."""
    on_step: Callable[[Progress], None]
    on_epoch: Callable[[EpochResult], None]
    """After an epoch and its results are written."""


def train(plan: TrainingPlan, spec: ColorizerSpec, callbacks: Callbacks, *, resume: bool) -> Path:
    """Runs the plan. Returns the path of the best weights.

    Raises InterruptedJobError (exit 130 or 143) after a signal, when the checkpoint is written;
    TrainingDataError, TrainingDivergedError, UsageError (also for a lack of memory), PluginError.
    """
    for data in filter(None, (plan.data, plan.validation)):
        datasets.check_source(data)
    context = init_distributed(plan.device, plan.precision, compile=plan.compile)
    try:
        if not resume and (plan.output / checkpoint.NAME).exists() and context.is_main_process:
            raise UsageError(
                f"{plan.output} already contains a run: continue it with --resume, "
                f"or choose another --output"
            )
        network = build_network(plan, spec)  # before packing, which takes longer than its errors
        store = _open_store(plan, context, callbacks)
        trainer = Trainer(plan, network, store, context)
        if resume:
            trainer.resume()
        on_note = callbacks.on_note if context.is_main_process else lambda note: None
        on_note("measuring the speed of loader and network, and the error of grey pictures ...")
        baselines = results.measure_baselines(trainer)
        trainer.speeds = measure_speed(trainer)
        if context.is_main_process:
            plan.output.mkdir(parents=True, exist_ok=True)
            callbacks.on_start(trainer, baselines)
        _run_trainer(trainer, spec, baselines, callbacks)
        return plan.output / f"{spec.name}.safetensors"
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        raise UsageError(
            f"{context.describe()}: not enough memory to train with --batch-size "
            f"{plan.recipe.batch_size} and --size {plan.recipe.size}; use a smaller one"
        ) from error
    finally:
        if distributed.is_initialized():
            distributed.destroy_process_group()


def _run_trainer(
    trainer: Trainer, spec: ColorizerSpec, baselines: dict[str, float], callbacks: Callbacks
) -> None:
    """Trains until the end or a signal. Raises InterruptedJobError."""
    is_main = trainer.context.is_main_process
    received: list[ExitCode] = []
    with handle_signals(received.append):  # a step is never interrupted
        is_finished = trainer.run(
            stop=lambda: bool(received),
            on_step=callbacks.on_step if is_main else lambda progress: None,
            on_epoch=lambda row, is_best: _write_epoch_results(
                trainer, spec, baselines, row, is_best, callbacks
            ),
        )
    if is_finished:
        return
    plan = trainer.plan
    how = "continue with the same command and --resume"
    if plan.command and trainer.context.world_size == 1:
        how = f"continue with: {plan.command} --resume"
    raise InterruptedJobError(
        f"stopped at step {trainer.step:,} of {trainer.total_steps:,}; "
        f"the checkpoint is in {plan.output}; {how}",
        received[0] if received else ExitCode.SIGTERM,  # none: another process received it
    )


def _open_store(plan: TrainingPlan, context: DistributedContext, callbacks: Callbacks) -> Store:
    """Opens the packed pictures; with `torchrun` the main process packs, then the others open."""
    size = plan.recipe.size
    side = round(1.25 * size) if needs_resampling(plan.recipe) else size

    def open_packed() -> Store:
        return open_store(
            plan.data,
            plan.data_root,
            side,
            limit=plan.limit,
            validation=plan.validation,
            workers=plan.workers,
            on_progress=callbacks.on_pack,
            on_note=callbacks.on_note if context.is_main_process else lambda note: None,
        )

    if context.world_size == 1:
        return open_packed()
    store = open_packed() if context.is_main_process else None
    distributed.barrier()
    return store or open_packed()


def _write_epoch_results(
    trainer: Trainer,
    spec: ColorizerSpec,
    baselines: dict[str, float],
    row: EpochResult,
    is_best: bool,
    callbacks: Callbacks,
) -> None:
    """Writes log, plot, sample sheet (every few epochs), and the weights if they are the best."""
    if not trainer.context.is_main_process:
        return
    folder = trainer.plan.output
    results.write_log(folder, trainer.history)
    results.plot_loss(folder / "loss.png", trainer.history, baselines)
    is_last = row.epoch == trainer.recipe.epochs
    if is_last or row.epoch == 1 or row.epoch % trainer.plan.samples_every == 0:
        results.write_sample_sheet(trainer, folder / "samples" / f"epoch-{row.epoch:03d}.png")
    if is_best:
        results.save_weights(trainer, spec, baselines)
    callbacks.on_epoch(row)
