"""A training run from plan to weights: pack, train, and leave results after every epoch."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from torch import distributed

from batchcolor.errors import ExitCode, InterruptedJobError, UsageError
from batchcolor.hooks.types import ColorizerSpec
from batchcolor.training import augment, checkpoint, results, speed
from batchcolor.training import distributed as machine
from batchcolor.training.settings import TrainingPlan
from batchcolor.training.store import Store, open_store
from batchcolor.training.trainer import EpochResult, Progress, Trainer, build


@dataclass
class Watcher:
    """Whoever shows a run; each function is told of its event (first process only)."""

    packing: Callable[[int, int], None]
    started: Callable[[Trainer, dict[str, float]], None]
    stepped: Callable[[Progress], None]
    epoch: Callable[[EpochResult], None]


def train(plan: TrainingPlan, spec: ColorizerSpec, watcher: Watcher, *, resume: bool) -> Path:
    """Run the plan and return the weights' path.

    Raises InterruptedJobError (130, 143) when a signal stopped it, after its checkpoint is
    written; TrainingDivergedError; TrainingDataError.
    """
    here = machine.start(plan.device, plan.precision, compile=plan.compile)
    try:
        if not resume and (plan.output / checkpoint.NAME).exists() and here.first:
            raise UsageError(
                f"{plan.output} holds a run already: go on with --resume, "
                f"or choose another --output"
            )
        network = build(plan, spec)  # what it lacks is said before pictures are packed
        store = _packed(plan, here, watcher)
        trainer = Trainer(plan, network, store, here)
        if resume:
            trainer.resume()
        errors = results.baselines(trainer)
        trainer.speeds = speed.measure(trainer)
        if here.first:
            plan.output.mkdir(parents=True, exist_ok=True)
            watcher.started(trainer, errors)
        with _signals() as received:
            finished = trainer.run(
                stop=lambda: bool(received),
                on_step=watcher.stepped if here.first else lambda progress: None,
                on_epoch=lambda row, better: _write_epoch_results(
                    trainer, spec, errors, row, better, watcher
                ),
            )
        if not finished:
            code = ExitCode.SIGINT if received[:1] == [signal.SIGINT] else ExitCode.SIGTERM
            raise InterruptedJobError(
                f"stopped at step {trainer.step} of {trainer.steps}; "
                f"the same command with --resume goes on",
                code,
            )
        return plan.output / f"{spec.name}.safetensors"
    finally:
        if distributed.is_initialized():
            distributed.destroy_process_group()


def _packed(plan: TrainingPlan, here: machine.DistributedContext, watcher: Watcher) -> Store:
    """The store; under `torchrun` the first process packs and the others then find it packed."""
    size = plan.recipe.size
    side = round(1.25 * size) if augment.resampled(plan.recipe) else size

    def opened() -> Store:
        return open_store(
            plan.data,
            plan.data_root,
            side,
            limit=plan.limit,
            validation=plan.validation,
            workers=plan.workers,
            advance=watcher.packing,
        )

    if here.world == 1:
        return opened()
    store = opened() if here.first else None
    distributed.barrier()
    return store or opened()


def _write_epoch_results(
    trainer: Trainer,
    spec: ColorizerSpec,
    errors: dict[str, float],
    row: EpochResult,
    better: bool,
    watcher: Watcher,
) -> None:
    """Results after an epoch: log, plot, sheet now and then, and the best weights so far."""
    if not trainer.machine.first:
        return
    folder = trainer.plan.output
    results.write_log(folder, trainer.history)
    results.plot_loss(folder / "loss.png", trainer.history, errors)
    last = row.epoch == trainer.recipe.epochs
    if last or row.epoch == 1 or row.epoch % trainer.plan.samples_every == 0:
        results.sample_sheet(trainer, folder / "samples" / f"epoch-{row.epoch:03d}.png")
    if better:
        results.save_weights(trainer, spec, errors)
    watcher.epoch(row)


@contextmanager
def _signals() -> Iterator[list[int]]:
    """SIGINT and SIGTERM noted instead of raised, so that a step is never cut in two."""
    received: list[int] = []

    def note(number: int, frame: FrameType | None) -> None:
        received.append(number)
        if len(received) > 1 and number == signal.SIGINT:
            raise KeyboardInterrupt

    former = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield received
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)
