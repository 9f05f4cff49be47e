"""What a job shows: progress while it runs, then a summary, and every failure by name."""

from __future__ import annotations

import os
import time
from datetime import timedelta
from types import TracebackType
from typing import TYPE_CHECKING

from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn

from batchcolor.cli.console import say, screen, table
from batchcolor.errors import make_printable

if TYPE_CHECKING:
    from batchcolor.hooks.manager import Plugins
    from batchcolor.pipeline.report import Report

PLAIN_SECONDS = 5.0
"""Between lines where there is no terminal to draw on."""
NARROW = 60


class RunView:
    """Shows a job on standard error."""

    def __init__(self, *, verbose: int, quiet: bool) -> None:
        self.verbose, self.quiet = verbose, quiet
        self.console = screen()
        self.drawn = self.console.is_terminal and os.environ.get("TERM") != "dumb" and not quiet
        columns = [SpinnerColumn(), TextColumn("{task.fields[counts]}", markup=False)]
        if self.console.width >= NARROW:
            columns += [BarColumn(), TextColumn("{task.fields[name]}", markup=False)]
        self.bar = Progress(*columns, console=self.console, transient=True)
        self.task = self.bar.add_task("", total=None, counts="looking for pictures", name="")
        self.spoken = time.monotonic()
        self.shown_failures = self.shown_refused = 0

    def __enter__(self) -> RunView:
        if self.drawn:
            self.bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self.drawn:
            self.bar.stop()

    def watch(self, report: Report) -> None:
        """Show the report so far."""
        if not self.quiet:
            for source, reason in report.refused[self.shown_refused :]:
                say(
                    self.console,
                    f"cannot be coloured: {make_printable(source)}: {make_printable(reason)}",
                )
            self.shown_refused = len(report.refused)
        if self.verbose:
            for outcome in report.failures[self.shown_failures :]:
                say(
                    self.console,
                    f"failed: {make_printable(outcome.source)}: {make_printable(outcome.reason)}",
                )
            self.shown_failures = len(report.failures)
        if self.drawn:
            self.bar.update(
                self.task,
                total=None if report.scanning else report.found,
                completed=report.found - report.left,
                counts=counts(report),
                name=make_printable(report.current),
            )
        elif not self.quiet and time.monotonic() - self.spoken > PLAIN_SECONDS:
            self.spoken = time.monotonic()
            say(self.console, f"{counts(report)} ({make_printable(report.current)})")

    def summary(self, report: Report, plugins: Plugins) -> None:
        """The table at the end; failures always, the rest unless quiet."""
        if report.failures:
            failed = [(f.source, f.step, f.reason) for f in report.failures]
            self.console.print(table("failed", "step", "reason", rows=failed))
        for broken in plugins.broken:
            line = broken.describe(with_location=bool(self.verbose))
            say(self.console, make_printable(line))
        if report.message:
            say(self.console, f"batchcolor: {make_printable(report.message)}")
        if self.quiet:
            return
        if self.verbose and report.passed:
            self.console.print(table("passed over", "reason", rows=report.passed))
        elif report.passed:
            entries = "1 other entry" if len(report.passed) == 1 else f"{len(report.passed)} others"
            say(self.console, f"{entries} passed over (-v names them)")
        for note in report.notes:
            say(self.console, make_printable(note))
        if self.verbose and report.picture_notes:
            self.console.print(table("picture", "note", rows=report.picture_notes))
        elif report.noted:
            notes = "1 note on a single picture" if report.noted == 1 else f"{report.noted} notes"
            say(self.console, f"{notes} (-v and the journal have them)")
        took = timedelta(seconds=round(report.seconds))
        columns = ["done", "skipped", "failed", "time", "pictures/s"]
        row = [report.done, report.skipped, report.failed, took, f"{report.rate:.1f}"]
        if report.frames:
            columns += ["frames", "frames/s"]
            row += [report.frames, f"{report.frame_rate:.1f}"]
        self.console.print(table(*columns, rows=[tuple(row)]))
        say(self.console, f"{report.model}: {make_printable(report.output)}")


def counts(report: Report) -> str:
    """Done, failed, rate and time left on one line."""
    parts = [f"{report.done} done"]
    if report.skipped:
        parts.append(f"{report.skipped} skipped")
    if report.failed:
        parts.append(f"{report.failed} failed")
    if report.frames:
        parts += _film_counts(report)
    elif not report.scanning or report.done:
        parts.append(f"{report.rate:.1f}/s")
    if report.scanning:
        parts.append(f"{report.found} found so far")
    elif report.done and not report.frames:
        left = timedelta(seconds=round(report.left / max(report.rate, 1e-3)))
        parts.append(f"{left} left")
    return ", ".join(parts)


def _film_counts(report: Report) -> list[str]:
    """Frames, frames a second, and the time that the frames known of will still take."""
    parts = [f"{report.frames} frames", f"{report.frame_rate:.1f} frames/s"]
    left = report.frames_expected - report.frames
    if left > 0:
        parts.append(f"{timedelta(seconds=round(left / max(report.frame_rate, 1e-3)))} left")
    return parts
