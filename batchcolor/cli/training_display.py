"""Shows a training run on standard error: a table of epochs, a progress bar, the time left."""

from __future__ import annotations

import os
import time
from datetime import timedelta
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, TextColumn
from rich.progress import Progress as ProgressBar
from rich.table import Table

if TYPE_CHECKING:
    from batchcolor.training.records import EpochResult, Progress
    from batchcolor.training.trainer import Trainer
    from batchcolor.training.training_run import Callbacks

LINE_INTERVAL = 15.0
"""Seconds between progress lines where there is no terminal."""
FEW_PICTURES = 2000
"""Number of training pictures below which continuing from trained weights is recommended."""
EPOCHS_TO_BEAT_GREY = 3
"""Epochs after which a network should have a smaller error than grey pictures."""


class TrainingView:
    """Shows one run. With `torchrun`, only the main process prints."""

    def __init__(self, installed_weights: Path | None = None) -> None:
        self.installed_weights = installed_weights
        is_silent = os.environ.get("RANK", "0") != "0"
        self.console = Console(stderr=True, quiet=is_silent)
        self.table = Table("epoch", "loss", "val. loss", "val. RGB MSE", "images/s", "rate")
        for column in self.table.columns:
            column.justify = "right"
        self.bar = ProgressBar(
            TextColumn("{task.description}"),
            BarColumn(bar_width=None),
            TextColumn("{task.fields[detail]}"),
            console=self.console,
        )
        self.task = self.bar.add_task("reading", total=None, detail="")
        self.live = Live(
            Group(self.table, self.bar), console=self.console, refresh_per_second=4, transient=False
        )
        self.is_drawn = self.console.is_terminal and not is_silent
        self.last_line = 0.0
        self.grey_error = 0.0
        self.best: EpochResult | None = None
        self.epochs = 0

    def __enter__(self) -> TrainingView:
        if self.is_drawn:
            self.live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self.is_drawn:
            self.live.stop()

    def print(self, line: str) -> None:
        """Prints one line above the table."""
        self.console.print(line, markup=False, highlight=False, soft_wrap=True)

    def callbacks(self) -> Callbacks:
        """Returns the functions that the run calls."""
        from batchcolor.training.training_run import Callbacks

        return Callbacks(
            on_pack=self.show_packing,
            on_note=self.print,
            on_start=self.show_start,
            on_step=self.show_step,
            on_epoch=self.show_epoch,
        )

    def show_packing(self, done: int, total: int) -> None:
        """Updates the number of packed pictures."""
        self._show_progress("packing pictures", done, total, "")

    def show_start(self, trainer: Trainer, baselines: dict[str, float]) -> None:
        """Prints the data, the settings, the baselines and the expected duration."""
        store, recipe = trainer.store, trainer.recipe
        self.grey_error, self.epochs = baselines["grey"], recipe.epochs
        skipped = ", ".join(f"{count} {why}" for why, count in store.skipped.items())
        self.print(
            f"{trainer.plan.model}: {len(store.train):,} pictures for training, "
            f"{len(store.validation):,} held out for validation"
            + (
                f"; skipped: {skipped} (listed in {store.folder / 'skipped.log'})"
                if skipped
                else ""
            )
        )
        if len(store.train) < FEW_PICTURES and not trainer.plan.weights and self.installed_weights:
            self.print(
                f"{len(store.train):,} pictures are few: better results are likely with "
                f"--weights {self.installed_weights}, which continues from the installed weights"
            )
        self.print(
            f"{recipe.epochs} epochs of {trainer.steps_per_epoch} steps of {trainer.batch_size} "
            f"pictures at {recipe.size} px, {recipe.optimizer}, loss {recipe.loss}, "
            f"on {trainer.context.describe()}"
        )
        self.print(
            f"RGB MSE of the held-out pictures in grey {baselines['grey']:.5f}, "
            f"in the mean colour {baselines['mean_colour']:.5f}"
        )
        self._print_speeds(trainer)
        for row in trainer.history:
            self._add_row(row)

    def _print_speeds(self, trainer: Trainer) -> None:
        speeds = trainer.speeds
        if speeds is None:
            return
        steps = trainer.total_steps - trainer.step
        images = steps * trainer.batch_size * trainer.context.world_size
        duration = timedelta(seconds=round(images / speeds.training))
        self.print(
            f"images/s: loader alone {speeds.loader:,.0f}, network alone {speeds.network:,.0f}, "
            f"training {speeds.training:,.0f} ({speeds.share:.2f} of the slower)"
        )
        self.print(f"this will take about {duration}, plus validation")

    def show_step(self, progress: Progress) -> None:
        """Updates the progress bar."""
        left = timedelta(seconds=round(progress.seconds_left))
        detail = f"loss {progress.loss:.5f}, {progress.images_per_second:.0f} images/s, {left} left"
        self._show_progress(f"epoch {progress.epoch}", progress.step, progress.total_steps, detail)

    def show_epoch(self, row: EpochResult) -> None:
        """Adds the epoch to the table; warns if the network is still worse than grey."""
        self._add_row(row)
        if not self.is_drawn:
            self.print(
                f"epoch {row.epoch}: loss {row.loss:.5f}, validation loss "
                f"{row.validation_loss:.5f}, RGB MSE {row.validation_rgb_mse:.5f}"
            )
        is_late = row.epoch in (EPOCHS_TO_BEAT_GREY, self.epochs)
        if is_late and row.validation_rgb_mse > self.grey_error:
            self.print(
                f"warning: after epoch {row.epoch} the validation RGB MSE "
                f"({row.validation_rgb_mse:.5f}) is above that of grey pictures "
                f"({self.grey_error:.5f}): these weights make pictures worse than grey. Use more "
                f"--epochs, more pictures, a lower --learning-rate, or start from --weights"
            )

    def report_end(self, weights: Path) -> None:
        """Prints the best epoch, and how its weights are used."""
        if self.best is not None:
            self.print(
                f"best epoch: {self.best.epoch} of {self.epochs}, "
                f"validation loss {self.best.validation_loss:.5f}"
            )
        self.print(f"weights of that epoch: {weights} (use them with --weights {weights})")

    def _add_row(self, row: EpochResult) -> None:
        if self.best is None or row.validation_loss < self.best.validation_loss:
            self.best = row
        self.table.add_row(
            str(row.epoch),
            f"{row.loss:.5f}",
            f"{row.validation_loss:.5f}",
            f"{row.validation_rgb_mse:.5f}",
            f"{row.images_per_second:.0f}",
            f"{row.learning_rate:.1e}",
        )

    def _show_progress(self, what: str, done: int, total: int, detail: str) -> None:
        if self.is_drawn:
            detail = detail or f"{done:,} of {total:,}"
            self.bar.update(self.task, description=what, completed=done, total=total, detail=detail)
        elif time.monotonic() - self.last_line > LINE_INTERVAL:
            self.last_line = time.monotonic()
            self.print(f"{what}: {done:,} of {total:,} {detail}".rstrip())
