"""What a job shows: progress while it runs, then each failure and a closing summary."""

from __future__ import annotations

import os
import time
from datetime import timedelta
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn

from batchcolor.cli.console import make_console, print_line
from batchcolor.errors import ExitCode, make_printable

if TYPE_CHECKING:
    from batchcolor.hooks.manager import Plugins
    from batchcolor.pipeline.report import Report

PLAIN_SECONDS = 5.0
"""Between progress lines where there is no terminal."""
NARROW = 60
"""Columns below which the bar and the file name are not drawn."""
RETRY_HINT = "--retry-failed"
"""Part of the reason of a failure of an earlier run."""
INSTALL_HINT = "pip install"
"""Part of the reason of an entry that is skipped as a package is not installed."""


class RunView:
    """Shows a job on standard error."""

    def __init__(self, *, verbose: int, quiet: bool) -> None:
        self.verbose, self.quiet = verbose, quiet
        self.console = make_console()
        self.drawn = self.console.is_terminal and os.environ.get("TERM") != "dumb" and not quiet
        columns = [SpinnerColumn(), TextColumn("{task.fields[counts]}", markup=False)]
        if self.console.width >= NARROW:
            columns += [BarColumn(), TextColumn("{task.fields[name]}", markup=False)]
        self.bar = Progress(*columns, console=self.console, transient=True)
        self.task = self.bar.add_task("", total=None, counts="looking for pictures", name="")
        self.last_line = time.monotonic()
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
                print_line(
                    self.console,
                    f"cannot be coloured: {make_printable(source)}: {make_printable(reason)}",
                )
            self.shown_refused = len(report.refused)
        if self.verbose:
            for outcome in report.failures[self.shown_failures :]:
                print_line(
                    self.console,
                    f"failed: {make_printable(outcome.source)}: {make_printable(outcome.reason)}",
                )
            self.shown_failures = len(report.failures)
        if self.drawn:
            self.bar.update(
                self.task,
                total=report.total,
                completed=report.scanned - report.left,
                counts=counts(report),
                name=make_printable(report.current),
            )
        elif not self.quiet and time.monotonic() - self.last_line > PLAIN_SECONDS:
            self.last_line = time.monotonic()
            name = f" ({make_printable(report.current)})" if report.current else ""
            print_line(self.console, f"{counts(report)}{name}")

    def summary(self, report: Report, plugins: Plugins) -> None:
        """Failures, notes and the closing lines; only failures and the message when quiet."""
        self._show_failures(report)
        for broken in plugins.broken:
            self._say(broken.describe(with_location=bool(self.verbose)))
        if report.message:
            self._say(f"batchcolor: {report.message}")
        if self.quiet:
            return
        self._show_notes(report)
        self._say(closing_sentence(report))
        output = Path(report.output).absolute()
        if output.exists():
            self._say(f"Results: {output}")
        if report.failed and report.exit_code == ExitCode.SOME_FAILED:
            self._say("Next: run the same command with --retry-failed to try the failed ones again")

    def _show_failures(self, report: Report) -> None:
        """One line for each failure, and one for all that failed in an earlier run."""
        previous = 0
        for failure in report.failures:
            if RETRY_HINT in failure.reason and not self.verbose:
                previous += 1
            elif not self.verbose:
                self._say(f"failed: {_printed(failure.source)}: {failure.reason}")
        for failure in report.failures[self.shown_failures :] if self.verbose else []:
            self._say(f"failed: {_printed(failure.source)}: {failure.reason}")
        if previous:
            self._say(
                f"{previous} failed in an earlier run and were not tried again (-v lists them)"
            )

    def _show_notes(self, report: Report) -> None:
        if self.verbose:
            for path, reason in report.skipped_entries:
                self._say(f"skipped: {path}: {reason}")
            for path, note in report.picture_notes:
                self._say(f"note: {path}: {note}")
        elif report.skipped_entries:
            entries = (
                "1 other entry"
                if report.skipped_entry_count == 1
                else f"{report.skipped_entry_count} others"
            )
            self._say(f"{entries} skipped (-v lists them)")
            for reason in dict.fromkeys(reason for _, reason in report.skipped_entries):
                if INSTALL_HINT in reason:
                    self._say(f"skipped: {reason}")
        for line in report.notes:
            self._say(line)
        if report.note_count and not self.verbose:
            notes = (
                "1 note on a single file"
                if report.note_count == 1
                else f"{report.note_count} notes"
            )
            self._say(f"{notes} (-v and the journal have them)")

    def _say(self, line: str) -> None:
        print_line(self.console, make_printable(line))


def _printed(path: Path) -> str:
    return make_printable(path)


def closing_sentence(report: Report) -> str:
    """How many were coloured, skipped and failed, in what time, how fast, with what model."""
    parts = [f"{report.done} coloured"]
    if report.copied:
        parts.append(f"{report.copied} in colour already and copied")
    if report.colored_skipped:
        parts.append(f"{report.colored_skipped} in colour already and skipped")
    if skipped := report.skipped - report.colored_skipped:
        parts.append(f"{skipped} skipped")
    parts.append(f"{report.failed} failed")
    took = timedelta(seconds=round(report.seconds))
    rate = _rate(report)
    return f"{', '.join(parts)} in {took} ({f'{rate}, ' if rate else ''}{report.model})"


def counts(report: Report) -> str:
    """Done of the total, skipped, failed, rate and time left on one line."""
    total = "" if report.total is None else f" of {report.total}"
    parts = [f"{report.done + report.copied + report.skipped}{total} done"]
    if report.skipped:
        parts.append(f"{report.skipped} skipped")
    if report.failed:
        parts.append(f"{report.failed} failed")
    rate, left = _rate(report), seconds_left(report)
    if rate:
        parts.append(rate)
    if left is not None:
        parts.append(f"{timedelta(seconds=round(left))} left")
    return ", ".join(parts)


def _rate(report: Report) -> str:
    """Frames per second where there are films, else pictures per second; empty before the first."""
    if report.frames:
        return f"{report.frames} frames, {report.frame_rate:.1f} frames/s"
    return f"{report.rate:.1f}/s" if report.done else ""


def seconds_left(report: Report) -> float | None:
    """Time for the remaining frames of films, else for the remaining pictures; None: unknown."""
    if not report.frames:
        return report.seconds_left
    frames = report.frames_expected - report.frames
    return frames / max(report.frame_rate, 1e-3) if frames > 0 else None
