"""RunRecord: how far a job or shard is, in `OUT/.batchcolor/progress*.json`.

It is written every few seconds and at the end, so it outlives a killed process; what the journal
has of later pictures is added by `batchcolor report`. Durations are those of monotonic clocks.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import socket
import time
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Literal

from batchcolor.errors import ExitCode, OutputError
from batchcolor.pipeline.planning.planner import Plan
from batchcolor.pipeline.report import Report
from batchcolor.storage.atomic import write_atomic
from batchcolor.storage.journal import STATE_FOLDER, Journal, absolute_source
from batchcolor.storage.shard import Shard, parse_tag

RECORD_NAME = "progress.json"
RECORD_SECONDS = 10.0
"""Between two writes while a job runs."""
MAX_FAILURES = 1000
"""Failures that a record lists; the journal has those of this run."""

RecordState = Literal["running", "ended", "stopped"]


@dataclass(frozen=True)
class RunRecord:
    """The last run of a job or shard, and sums of those before it on the same sources."""

    run: int
    """The number of the run, see `JournalEntry`: the last one of several shards has the highest."""
    state: RecordState
    """stopped: by a signal or an external failure."""
    host: str
    sources: str
    """Digest of the sources as they were given."""
    journal_start: int
    """Size of the journal in bytes when the run began: what follows is of this run."""
    planned: int
    """Pictures and films: an estimate by their names until the scan is complete."""
    is_planned: bool
    """Whether the scan is complete, so that `planned` is exact."""
    counted: int | None
    """The estimate."""
    counted_of_all: int | None
    """That of all shards."""
    colored: int
    """Results of this run: coloured, copied, or kept grey as decided."""
    done_before: int
    kept: int
    """Results that exist and were made with other settings, or by another program."""
    in_color: int
    """Pictures in colour that are skipped as asked."""
    failed: int
    failures: list[tuple[str, str, str]]
    """Source, step and reason."""
    seconds: float
    """Of this run."""
    exit_code: int | None = None
    runs: int = 1
    """This one, and those before it on the same sources."""
    earlier_seconds: float = 0.0
    earlier_colored: int = 0
    shard: Shard | None = field(default=None, compare=False)


class RunRecorder:
    """Writes the record of one run."""

    def __init__(self, plan: Plan, journal: Journal) -> None:
        self._journal, self._path = journal, record_path(plan.output, plan.shard)
        self._is_partial = plan.accept is not None
        """Whether only single files are coloured: a round of a watched folder, or of a review."""
        self._sources = hashlib.sha256(
            "\0".join(plan.settings.sources).encode(*ENCODING)
        ).hexdigest()
        self._former = read_record(self._path)
        self._written = time.monotonic()
        self._has_count = False

    def update(self, report: Report) -> None:
        """Writes the record if the last one is some seconds old or lacks the number of files.

        A full disk ends the job elsewhere.
        """
        has_count = report.counted is not None
        if has_count != self._has_count or time.monotonic() - self._written >= RECORD_SECONDS:
            with contextlib.suppress(OutputError):
                self._write(report, "running")
            self._written, self._has_count = time.monotonic(), has_count

    def finish(self, report: Report) -> None:
        """Writes the record at the end of a run. Raises OutputError."""
        is_ended = report.exit_code in (ExitCode.DONE, ExitCode.SOME_FAILED)
        self._write(report, "ended" if is_ended else "stopped")

    def start(self, report: Report) -> None:
        """Writes the record of a shard at its start: a kill in the first seconds leaves it."""
        if self._journal.shard is not None:
            self._write(report, "running")

    def _write(self, report: Report, state: RecordState) -> None:
        if self._is_partial or not (self._journal.is_open and self._journal.is_kept):
            return
        values = asdict(self._make(report, state))
        del values["shard"]
        write_atomic(self._path, json.dumps(values, indent=1).encode() + b"\n")

    def _make(self, report: Report, state: RecordState) -> RunRecord:
        former = self._former
        if former is not None and former.sources != self._sources:
            former = None
        return RunRecord(
            run=self._journal.run,
            state=state,
            host=socket.gethostname(),
            sources=self._sources,
            journal_start=self._journal.start_size,
            planned=report.total or 0,
            is_planned=not report.is_scanning,
            counted=report.counted,
            counted_of_all=report.counted_of_all,
            colored=report.done + report.copied + report.kept_grey,
            done_before=report.skipped - report.existed - report.colored_skipped,
            kept=report.existed,
            in_color=report.colored_skipped,
            failed=report.failed,
            failures=[
                (absolute_source(one.source), one.step, one.reason)
                for one in report.failures[:MAX_FAILURES]
            ],
            seconds=round(report.seconds or time.monotonic() - report.started, 3),
            exit_code=None if state == "running" else int(report.exit_code),
            runs=1 + (former.runs if former else 0),
            earlier_seconds=former.earlier_seconds + former.seconds if former else 0.0,
            earlier_colored=former.earlier_colored + former.colored if former else 0,
        )


ENCODING = ("utf-8", "surrogatepass")


def record_path(output: Path, shard: Shard | None) -> Path:
    """The file of the record of a job without shards, or of a shard."""
    path = output / STATE_FOLDER / RECORD_NAME
    return path if shard is None else shard.name_file(path)


def read_records(output: Path) -> list[RunRecord]:
    """The records of an output folder, the last run first; damaged ones are skipped."""
    stem, _, ending = RECORD_NAME.partition(".")
    paths: list[tuple[Path, Shard | None]] = [(record_path(output, None), None)]
    for path in sorted((output / STATE_FOLDER).glob(f"{stem}-*.{ending}")):
        if shard := parse_tag(path.stem.removeprefix(f"{stem}-")):
            paths.append((path, shard))
    found = [record for path, shard in paths if (record := read_record(path, shard))]
    return sorted(found, key=lambda record: -record.run)


def read_record(path: Path, shard: Shard | None = None) -> RunRecord | None:
    """The record in a file; None where there is none, or a damaged one."""
    try:
        values: dict[str, Any] = json.loads(path.read_bytes())
        failures = [(str(a), str(b), str(c)) for a, b, c in values["failures"]]
        record = RunRecord(**{**values, "failures": failures, "shard": shard})
    except (OSError, ValueError, TypeError, KeyError):
        return None
    numbers = [
        getattr(record, item.name) for item in fields(record) if item.type in ("int", "float")
    ]
    is_valid = all(isinstance(number, int | float) for number in numbers)
    return record if is_valid else None
