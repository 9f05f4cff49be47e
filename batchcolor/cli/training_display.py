"""What a training run shows: a table of epochs that grows, a bar, the time that is left."""

from __future__ import annotations

import os
import time
from datetime import timedelta
from types import TracebackType
from typing import TYPE_CHECKING

from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, Progress, TextColumn
from rich.table import Table

if TYPE_CHECKING:
    from batchcolor.training.run import Watcher
    from batchcolor.training.trainer import EpochResult, Trainer
    from batchcolor.training.trainer import Progress as Step

QUIET_SECONDS = 15.0
"""Between lines where there is no terminal to draw on."""


class TrainingView:
    """Shows a run on standard error; processes of `torchrun` other than the first are silent."""

    def __init__(self) -> None:
        self.silent = os.environ.get("RANK", "0") != "0"
        self.console = Console(stderr=True, quiet=self.silent)
        self.table = Table("epoch", "loss", "val. loss", "val. RGB MSE", "images/s", "rate")
        for column in self.table.columns:
            column.justify = "right"
        self.bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=None),
            TextColumn("{task.fields[detail]}"),
            console=self.console,
        )
        self.task = self.bar.add_task("reading", total=None, detail="")
        self.live = Live(
            Group(self.table, self.bar), console=self.console, refresh_per_second=4, transient=False
        )
        self.drawn = self.console.is_terminal and not self.silent
        self.spoken = 0.0

    def __enter__(self) -> TrainingView:
        if self.drawn:
            self.live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self.drawn:
            self.live.stop()

    def say(self, line: str) -> None:
        """One line that stays."""
        self.console.print(line, markup=False, highlight=False, soft_wrap=True)

    def watcher(self) -> Watcher:
        """The functions that a training session calls."""
        from batchcolor.training.run import Watcher

        return Watcher(self.packing, self.started, self.stepped, self.epoch)

    def packing(self, done: int, total: int) -> None:
        """One more picture packed."""
        self._bar("packing pictures", done, total, f"{done:,} of {total:,}")

    def started(self, trainer: Trainer, errors: dict[str, float]) -> None:
        """Say what is about to be trained, and what doing nothing costs."""
        store, recipe = trainer.store, trainer.recipe
        skipped = ", ".join(f"{count} {why}" for why, count in store.skipped.items())
        self.say(
            f"{trainer.plan.model}: {len(store.train):,} pictures to learn from, "
            f"{len(store.validation):,} held out"
            + (f"; skipped: {skipped} (named in {store.folder / 'skipped.log'})" if skipped else "")
        )
        self.say(
            f"{recipe.epochs} epochs of {trainer.epoch_steps} steps of {trainer.batch} at "
            f"{recipe.size} px, {recipe.optimizer}, {recipe.loss}, on {trainer.machine.describe()}"
        )
        self.say(
            f"RGB MSE of the held-out pictures left grey {errors['grey']:.5f}, "
            f"in mean colour {errors['mean_colour']:.5f}"
        )
        speeds = trainer.speeds
        if speeds is not None:
            left = (trainer.steps - trainer.step) * trainer.batch * trainer.machine.world
            took = timedelta(seconds=round(left / speeds.training))
            self.say(
                f"images/s: loader alone {speeds.loader:,.0f}, "
                f"network alone {speeds.network:,.0f}, "
                f"training {speeds.training:,.0f} ({speeds.share:.2f} of the slower)"
            )
            self.say(f"this will take about {took}, and a little for validation")
        for row in trainer.history:
            self._row(row)

    def stepped(self, step: Step) -> None:
        """One step done."""
        left = str(timedelta(seconds=round(step.seconds_left)))
        detail = f"loss {step.loss:.5f}, {step.images_per_second:.0f} images/s, {left} left"
        self._bar(f"epoch {step.epoch}", step.step, step.steps, detail)

    def epoch(self, row: EpochResult) -> None:
        """One epoch done."""
        self._row(row)
        if not self.drawn:
            self.say(
                f"epoch {row.epoch}: loss {row.loss:.5f}, validation loss "
                f"{row.validation_loss:.5f}, RGB MSE {row.validation_rgb_mse:.5f}"
            )

    def _row(self, row: EpochResult) -> None:
        self.table.add_row(
            str(row.epoch),
            f"{row.loss:.5f}",
            f"{row.validation_loss:.5f}",
            f"{row.validation_rgb_mse:.5f}",
            f"{row.images_per_second:.0f}",
            f"{row.learning_rate:.1e}",
        )

    def _bar(self, what: str, done: int, total: int, detail: str) -> None:
        if self.drawn:
            self.bar.update(self.task, description=what, completed=done, total=total, detail=detail)
        elif time.monotonic() - self.spoken > QUIET_SECONDS:
            self.spoken = time.monotonic()
            self.say(f"{what}: {done} of {total} {detail}")
