"""What `run --watch` shows: the first round as any job, then a line for what arrives."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

from batchcolor.cli.console import make_console, print_line
from batchcolor.cli.run_display import RunView
from batchcolor.errors import make_printable
from batchcolor.pipeline.report import Report
from batchcolor.storage.mounts import name_of

LISTED_NAMES = 3


class WatchDisplay:
    """Shows a job that stays, on standard error."""

    def __init__(self, *, verbose: int, quiet: bool) -> None:
        self.verbose, self.quiet = verbose, quiet
        self.console = make_console()
        self._round: RunView | None = None

    def __enter__(self) -> WatchDisplay:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._close_round()

    def watch(self, report: Report) -> None:
        """Shows the progress of a round on a terminal."""
        if self._round is None:
            self._round = RunView(verbose=self.verbose, quiet=self.quiet).__enter__()
        self._round.watch(report)

    def idle(self, report: Report) -> None:
        """Shows nothing."""

    def end_round(self, report: Report, files: frozenset[Path]) -> None:
        """One line for the files that were coloured, and one for each that failed."""
        self._close_round()
        failed = {str(outcome.source) for outcome in report.failures}
        if not self.verbose:  # else each was shown when it failed
            for outcome in report.failures:
                name = make_printable(name_of(outcome.source))
                reason = make_printable(outcome.reason)
                print_line(self.console, f"failed: {name}: {reason}")
        if self.quiet:
            return
        finished = report.done + report.copied + report.kept_grey
        if finished:
            names = sorted(path.name for path in files if str(path) not in failed)
            if len(names) != finished:  # files that are no pictures arrived with them
                self._say(f"{finished} coloured")
            else:
                more = f" and {len(names) - LISTED_NAMES} more" if len(names) > LISTED_NAMES else ""
                listed = ", ".join(map(make_printable, names[:LISTED_NAMES]))
                self._say(f"{finished} coloured: {listed}{more}")
        if report.skipped > report.existed:
            self._say(f"{report.skipped - report.existed} finished before")
        if report.existed:
            kept = "1 result" if report.existed == 1 else f"{report.existed} results"
            self._say(f"{kept} kept, made before: --if-exists overwrite replaces results")

    def wait(self, folders: Sequence[Path]) -> None:
        """States what is watched, and how to end it."""
        if not self.quiet:
            listed = ", ".join(make_printable(name_of(folder)) for folder in folders)
            self._say(f"waiting for pictures in {listed}; Ctrl-C ends")

    def _say(self, text: str) -> None:
        print_line(self.console, f"{time.strftime('%H:%M:%S')}  {text}")

    def _close_round(self) -> None:
        if self._round is not None:
            self._round.__exit__(None, None, None)
            self._round = None
