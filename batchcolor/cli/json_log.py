"""`run --log-json`: what happens, as one JSON object a line on standard error.

It replaces the display; docs/scripting.md lists events and fields.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal

from batchcolor.storage.mounts import name_of, name_paths

if TYPE_CHECKING:
    from batchcolor.hooks.manager import Plugins
    from batchcolor.hooks.types import Outcome
    from batchcolor.pipeline.options.settings import RunSettings
    from batchcolor.pipeline.report import Report

PROGRESS_SECONDS = 5.0
"""Between two events of progress."""
MAX_SOURCES = 20
"""Sources that the first event lists."""
Level = Literal["info", "warning", "error"]


class JsonLog:
    """Writes the events of a job, or of one that stays. Thread-safe."""

    def __init__(self, settings: RunSettings | None = None) -> None:
        self._settings = settings
        shard = None if settings is None else settings.shard
        self._shard = {} if shard is None else {"shard": str(shard)}
        self._start = self._last_progress = time.monotonic()
        self._lock = threading.Lock()
        self._is_closed = False
        self._notes: set[str] = set()
        self._shown_entries = self._shown_refused = 0
        self._has_url = False

    def __enter__(self) -> JsonLog:
        """Writes that a job starts."""
        if self._settings is not None:
            output = str(self._settings.output or "")
            sources = list(self._settings.sources[:MAX_SOURCES])
            self.write("started", model=self._settings.model, output=output, sources=sources)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Does nothing: each line is written at once."""

    def write(self, event: str, level: Level = "info", **values: Any) -> None:
        """Writes one line. Where the reader is gone, the job goes on without a log."""
        line = {
            "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "level": level,
            "event": event,
            "elapsed": round(time.monotonic() - self._start, 3),
            **self._shard,
            **{name: value for name, value in values.items() if value not in ("", [], None)},
        }
        with self._lock:
            if self._is_closed:
                return
            try:
                sys.stderr.write(json.dumps(line) + "\n")
                sys.stderr.flush()
            except (OSError, ValueError):
                self._is_closed = True

    def record(self, outcome: Outcome) -> None:
        """Writes the outcome of a picture or film."""
        self.write(
            "picture",
            "error" if outcome.status == "failed" else "info",
            picture=name_of(outcome.source),
            outcome=outcome.status,
            target=name_of(outcome.target) if outcome.target else "",
            step=outcome.step,
            reason=outcome.reason,
            notes=list(outcome.notes),
        )

    def watch(self, report: Report) -> None:
        """Writes progress, and what is new in the report."""
        if report.metrics_url and not self._has_url:
            self._has_url = True
            self.write("metrics", url=report.metrics_url)
        for source, reason in report.refused[self._shown_refused :]:
            self.write("refused", "warning", picture=source, reason=reason)
        self._shown_refused = len(report.refused)
        self._write_news(report)
        if time.monotonic() - self._last_progress >= PROGRESS_SECONDS:
            self._last_progress = time.monotonic()
            self.write("progress", **_count(report), current=report.current)

    def idle(self, report: Report) -> None:
        """Writes nothing: no file is in work."""

    def end_round(self, report: Report, files: frozenset[Path]) -> None:
        """Writes what a round of a watched folder has done."""
        self.write("round", **_count(report))
        self._shown_entries = self._shown_refused = 0

    def wait(self, folders: Sequence[Path]) -> None:
        """Writes that a job waits for new files."""
        self.write("waiting", folders=[str(folder) for folder in folders])

    def summary(self, report: Report, plugins: Plugins, *, salvages: bool = False) -> None:
        """Writes what is left to say at the end of a job."""
        self._write_news(report)
        for broken in plugins.broken:
            reason = name_paths(broken.describe(with_location=True))
            self.write("plugin", "error", reason=reason)
        level: Level = "error" if report.exit_code else "info"
        values = {"exit_code": int(report.exit_code), "message": report.message}
        self.write("ended", level, **_count(report), seconds=round(report.seconds, 3), **values)

    def _write_news(self, report: Report) -> None:
        for path, reason in report.skipped_entries[self._shown_entries :]:
            self.write("entry_skipped", picture=path, reason=reason)
        self._shown_entries = max(self._shown_entries, len(report.skipped_entries))
        for note in list(report.notes):
            if note not in self._notes:
                self._notes.add(note)
                self.write("note", "warning", reason=note)


def _count(report: Report) -> dict[str, Any]:
    """The counts of a report."""
    return {
        "done": report.done,
        "copied": report.copied,
        "kept_grey": report.kept_grey,
        "skipped": report.skipped,
        "failed": report.failed,
        "total": report.total,
        "frames": report.frames,
        "images_per_second": round(report.rate, 3),
    }
