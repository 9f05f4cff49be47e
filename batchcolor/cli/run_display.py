"""What a job shows: progress while it runs, then each failure and a closing summary."""

from __future__ import annotations

import importlib.util
import os
import shlex
import time
from datetime import timedelta
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from rich.console import RenderableType
from rich.progress import (
    BarColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TaskID,
    TextColumn,
)

from batchcolor.cli.console import make_console, print_line
from batchcolor.cli.next_steps import suggest_next_steps
from batchcolor.cli.progress_line import BAR_WIDTH, counts, describe_node, describe_rate, fit_line
from batchcolor.errors import ExitCode, make_printable
from batchcolor.storage.journal import journal_path
from batchcolor.storage.locations import is_url
from batchcolor.storage.mounts import name_of, name_paths
from batchcolor.storage.shard import parse_shard

if TYPE_CHECKING:
    from batchcolor.hooks.manager import Plugins
    from batchcolor.pipeline.report import Report

PLAIN_SECONDS = 5.0
"""Between progress lines where there is no terminal."""
LISTED_FAILURES = 5
"""Names of those that failed in an earlier run."""
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
        self.bar = Progress(
            SpinnerColumn(),
            TextColumn("{task.fields[counts]}", markup=False),
            _OptionalBar(),
            TextColumn("{task.fields[name]}", markup=False),
            console=self.console,
            transient=True,
        )
        self.task = self.bar.add_task(
            "", total=None, counts="looking for pictures", has_bar=False, name=""
        )
        self.nodes: dict[int, TaskID] = {}
        """The line of each node of a cluster, by its place in the report."""
        self.last_line = time.monotonic()
        self.shown_failures = self.shown_refused = self.shown_announcements = 0
        self.has_url = False

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
        if report.metrics_url and not (self.quiet or self.has_url):
            self.has_url = True
            print_line(self.console, f"metrics at {report.metrics_url}")
        if not self.quiet:
            for source, reason in report.refused[self.shown_refused :]:
                print_line(
                    self.console,
                    f"cannot be coloured: {make_printable(source)}: {make_printable(reason)}",
                )
            self.shown_refused = len(report.refused)
            for line in report.announcements[self.shown_announcements :]:
                print_line(self.console, line)
            self.shown_announcements = len(report.announcements)
        if self.verbose:
            for outcome in report.failures[self.shown_failures :]:
                name, reason = name_of(outcome.source), outcome.reason
                print_line(
                    self.console, f"failed: {make_printable(name)}: {make_printable(reason)}"
                )
            self.shown_failures = len(report.failures)
        if self.drawn:
            name = make_printable(report.current)
            text, has_bar, name = fit_line(report, name, self.console.width)
            self.bar.update(
                self.task,
                total=report.total,
                completed=report.scanned - report.left,
                counts=text,
                has_bar=has_bar,
                name=name,
            )
            self._show_nodes(report)
        elif not self.quiet and time.monotonic() - self.last_line > PLAIN_SECONDS:
            self.last_line = time.monotonic()
            name = f" ({make_printable(report.current)})" if report.current else ""
            print_line(self.console, f"{counts(report)}{name}")

    def _show_nodes(self, report: Report) -> None:
        """A line for each node of a cluster, below that of the job."""
        for place, node in enumerate(report.nodes):
            if place not in self.nodes:
                self.nodes[place] = self.bar.add_task(
                    "", total=None, counts="", has_bar=False, name=""
                )
            self.bar.update(self.nodes[place], counts=f"  {describe_node(node)}")

    def summary(self, report: Report, plugins: Plugins, *, salvages: bool = False) -> None:
        """Failures, notes and the closing lines; only failures and the message when quiet.

        `salvages` tells that the job has `--salvage`.
        """
        self._show_failures(report)
        for broken in plugins.broken:
            self._say(name_paths(broken.describe(with_location=bool(self.verbose))))
        if report.message:
            self._say(f"batchcolor: {report.message}")
        if self.quiet:
            return
        self._show_notes(report)
        self._say(closing_sentence(report))
        for node in report.nodes:
            self._say(f"  {describe_node(node)}")
        if is_url(report.output):
            self._say(f"Results: {report.output}")
            if report.gallery and report.exit_code != ExitCode.EXTERNAL_FAILURE:
                self._say(f"Gallery: {report.gallery}")
            return
        output = Path(report.output).absolute()
        if output.exists():
            self._say(f"Results: {output}")
        if report.gallery and Path(report.gallery).exists():
            self._say(f"Gallery: {report.gallery}")
        if report.done and output.exists() and _has_review():
            self._say(f"Review: batchcolor review {shlex.quote(report.output)}")
        if report.exit_code == ExitCode.SOME_FAILED:
            for step in suggest_next_steps(report.failures, salvages=salvages):
                self._say(f"Next: {step}")

    def _show_failures(self, report: Report) -> None:
        """One line for each failure, and one for all that failed in an earlier run."""
        previous = []
        for failure in report.failures:
            if RETRY_HINT in failure.reason and not self.verbose:
                previous.append(failure.source.name)
            elif not self.verbose:
                self._say(f"failed: {_printed(failure.source)}: {failure.reason}")
        for failure in report.failures[self.shown_failures :] if self.verbose else []:
            self._say(f"failed: {_printed(failure.source)}: {failure.reason}")
        if previous:
            self._say(describe_earlier_failures(previous))

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
        if not self.verbose and (hidden := report.note_count - report.shown_note_count):
            notes, them = ("1 note", "it") if hidden == 1 else (f"{hidden} notes", "them")
            shard = parse_shard(report.shard) if report.shard else None
            journal = journal_path(Path(report.output).absolute(), shard)
            files = "a file" if hidden == 1 else "files"
            self._say(f"{notes} on {files} (-v lists {them}; {journal} has {them})")

    def _say(self, line: str) -> None:
        print_line(self.console, make_printable(line))


def _printed(path: Path) -> str:
    return make_printable(name_of(path))


class _OptionalBar(ProgressColumn):
    """A bar where the line has room for it."""

    def __init__(self) -> None:
        super().__init__()
        self.bar = BarColumn(BAR_WIDTH)

    def render(self, task: Task) -> RenderableType:
        """The bar, or nothing."""
        return self.bar.render(task) if task.fields["has_bar"] else ""


def describe_earlier_failures(names: list[str]) -> str:
    """How many failed in an earlier run, with the first names."""
    listed = ", ".join(names[:LISTED_FAILURES])
    if len(names) == 1:
        return f"1 failed in an earlier run and was not tried again: {listed} (-v has the reason)"
    more = ", ... (-v lists all)" if len(names) > LISTED_FAILURES else " (-v has the reasons)"
    return f"{len(names)} failed in an earlier run and were not tried again: {listed}{more}"


def _has_review() -> bool:
    """Whether the packages of `batchcolor review` are installed."""
    return all(importlib.util.find_spec(name) is not None for name in ("starlette", "uvicorn"))


def closing_sentence(report: Report) -> str:
    """How many were coloured, skipped and failed, in what time, how fast, with what model."""
    parts = [f"{f'shard {report.shard}: ' if report.shard else ''}{report.done} coloured"]
    if report.copied:
        parts.append(f"{report.copied} in colour already and copied")
    if report.kept_grey:
        parts.append(f"{report.kept_grey} kept grey")
    if report.colored_skipped:
        parts.append(f"{report.colored_skipped} in colour already and skipped")
    if skipped := report.skipped - report.colored_skipped:
        parts.append(f"{skipped} skipped")
    parts.append(f"{report.failed} failed")
    if report.remaining:
        parts.append(f"{report.remaining} not processed")
    took = timedelta(seconds=round(report.seconds))
    rate = describe_rate(report)
    return f"{', '.join(parts)} in {took} ({f'{rate}, ' if rate else ''}{report.model})"
