"""The merged report of an output folder: of each shard, and of all, from records and journals.

Times are durations that each process measured: times of day of several computers are not compared.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

from filelock import Timeout

from batchcolor.errors import ExitCode, UsageError
from batchcolor.pipeline.records.run_record import RunRecord, read_records
from batchcolor.storage.folder_lock import make_lock
from batchcolor.storage.journal import RESULTS, STATE_FOLDER, Journal, has_journal, journal_path
from batchcolor.storage.json_lines import read_json_lines
from batchcolor.storage.output_lock import OutputLock
from batchcolor.storage.shard import WHOLE, Shard, ShardSet

State = Literal["complete", "running", "stopped", "interrupted", "not started", "incomplete"]
"""incomplete: of a sum, of which a part is stopped, interrupted or not started."""


@dataclass(frozen=True)
class FailedSource:
    """A source without a result, and the reason."""

    source: str
    step: str
    reason: str
    shard: str


@dataclass(frozen=True)
class ShardProgress:
    """How far a shard is, or a job without shards. Counts are pictures and films.

    `done` have a result, also from earlier runs; `skipped` are left as they are: in colour, or with
    a result of other settings. `missing` are planned, and none of these. `seconds` and `colored`
    are sums over its runs. Numbers are None where they are not known.
    """

    shard: str
    state: State
    host: str = ""
    planned: int | None = None
    is_exact: bool = False
    """Whether `planned` is no estimate by file names."""
    done: int = 0
    failed: int = 0
    skipped: int = 0
    colored: int = 0
    seconds: float = 0.0
    runs: int = 0
    failures: tuple[FailedSource, ...] = ()

    @property
    def missing(self) -> int | None:
        """Planned ones that are neither done nor failed nor skipped."""
        if self.planned is None:
            return None
        return max(0, self.planned - self.done - self.failed - self.skipped)

    @property
    def rate(self) -> float | None:
        """Pictures per second of one process; None where none was coloured."""
        return self.colored / self.seconds if self.colored and self.seconds > 0 else None

    def as_json(self) -> dict[str, Any]:
        """The object in the document of `batchcolor report --json`."""
        return {
            "shard": self.shard,
            "state": self.state,
            "host": self.host,
            "planned": self.planned,
            "planned_is_exact": self.is_exact,
            "done": self.done,
            "failed": self.failed,
            "skipped": self.skipped,
            "missing": self.missing,
            "seconds": round(self.seconds, 3),
            "images_per_second": None if self.rate is None else round(self.rate, 3),
            "runs": self.runs,
        }


@dataclass(frozen=True)
class MergedReport:
    """The shards of the last job on an output folder, and their sum."""

    output: str
    shards: tuple[ShardProgress, ...]
    total: ShardProgress

    @property
    def exit_code(self) -> ExitCode:
        """DONE if every planned picture is done or skipped, else SOME_FAILED."""
        is_complete = self.total.state == "complete" and not self.total.failed
        return ExitCode.DONE if is_complete else ExitCode.SOME_FAILED

    @property
    def failures_by_step(self) -> dict[str, list[FailedSource]]:
        """The failures of each step, the step with most of them first."""
        counts = Counter(failure.step for failure in self.total.failures)
        return {
            step: [one for one in self.total.failures if one.step == step]
            for step, _ in counts.most_common()
        }

    def as_json(self) -> dict[str, Any]:
        """The document of `batchcolor report --json`."""
        return {
            "output": self.output,
            "exit_code": int(self.exit_code),
            "total": {k: v for k, v in self.total.as_json().items() if k not in ("shard", "host")},
            "shards": [shard.as_json() for shard in self.shards],
            "failures_by_step": {step: len(found) for step, found in self.failures_by_step.items()},
            "failures": [vars(failure) for failure in self.total.failures],
        }


def merge_reports(
    output: Path, remote: str = "", is_running: Callable[[Shard | None], bool] | None = None
) -> MergedReport:
    """Returns the report of the last job on an output folder.

    `remote` is the URL of the output of which `output` has a copy of the state; whether the process
    of a shard exists is what `is_running` tells then, else its local lock. Raises UsageError for a
    folder without results of batchcolor.
    """
    records = _select_last_job(read_records(output))
    if not records and not has_journal(output):
        raise UsageError(
            f"{remote or output}: not an output folder of batchcolor: it has no journal; name the "
            f"folder that is --output of run"
        )
    is_running = is_running or partial(_is_locked, output)
    shards = [_measure(output, one, is_running) for one in records]
    shards = shards or [_read_journal(output)]
    total = _add_up([*shards, *(waiting := list(_list_not_started(records)))], records)
    shards = sorted([*shards, *waiting], key=lambda one: int(one.shard.partition("/")[0] or 0))
    return MergedReport(remote or str(output), tuple(shards), total)


def _select_last_job(records: Sequence[RunRecord]) -> list[RunRecord]:
    """The last record and all that have no source in common with a later one.

    So shards that were run again, and those that were divided, count once.
    """
    selected: list[RunRecord] = []
    parts = ShardSet()
    for record in records:
        part = record.shard or WHOLE
        if not parts.overlaps(part):
            parts.add(part)
            selected.append(record)
    return selected


def _measure(
    output: Path, record: RunRecord, is_running: Callable[[Shard | None], bool]
) -> ShardProgress:
    """The progress of a shard: its record, and what its journal has after the record."""
    outcomes = _read_outcomes(journal_path(output, record.shard), record.journal_start)
    written = Counter(outcome for outcome, _ in outcomes.values())
    colored = max(record.colored, sum(written[outcome] for outcome in RESULTS))
    skipped = record.kept + max(record.in_color, written["skipped"])
    shard = "" if record.shard is None else str(record.shard)
    failures = {one[0]: FailedSource(*one, shard) for one in record.failures}
    failures |= {
        source: FailedSource(source, *reason, shard)
        for source, (outcome, reason) in outcomes.items()
        if outcome == "failed"
    }
    done, failed = record.done_before + colored, max(record.failed, len(failures))
    finished = done + failed + skipped
    is_counted = record.is_planned or record.counted is not None
    return ShardProgress(
        shard=shard,
        state=_find_state(record, is_running),
        host=record.host,
        planned=max(record.planned, finished) if is_counted else None,
        is_exact=record.is_planned,
        done=done,
        failed=failed,
        skipped=skipped,
        colored=record.earlier_colored + colored,
        seconds=record.earlier_seconds + record.seconds,
        runs=record.runs,
        failures=tuple(failures.values()),
    )


def _read_outcomes(journal: Path, start: int) -> dict[str, tuple[str, tuple[str, str]]]:
    """Outcome, step and reason of each source in the journal from byte `start` on."""
    found: dict[str, tuple[str, tuple[str, str]]] = {}
    for values in read_json_lines(journal, start):
        if values is not None:
            reason = str(values.get("step", "")), str(values.get("reason", ""))
            found[str(values.get("source"))] = str(values.get("outcome")), reason
    return found


def _find_state(record: RunRecord, is_running: Callable[[Shard | None], bool]) -> State:
    if record.state != "running":
        return "complete" if record.state == "ended" else "stopped"
    return "running" if is_running(record.shard) else "interrupted"


def _is_locked(output: Path, shard: Shard | None) -> bool:
    """Whether the process of a shard exists: its lock is held, or cannot be tested."""
    path = OutputLock(output / STATE_FOLDER, shard).path
    if not path.exists():
        return False
    lock = make_lock(path)
    try:
        lock.acquire(timeout=0)
    except (Timeout, NotImplementedError, OSError):
        return True
    lock.release()
    return False


def _read_journal(output: Path) -> ShardProgress:
    """The progress that only a journal tells: an earlier version of batchcolor wrote no records."""
    entries = Journal(output, lock=False).latest()
    counts = Counter(entry.outcome for entry in entries)
    failures = tuple(
        FailedSource(entry.source, entry.step, entry.reason, "")
        for entry in entries
        if entry.outcome == "failed"
    )
    return ShardProgress(
        *("", "complete"),
        planned=len(entries),
        is_exact=True,
        done=sum(counts[outcome] for outcome in RESULTS),
        failed=len(failures),
        skipped=counts["skipped"],
        failures=failures,
    )


def _list_not_started(records: Sequence[RunRecord]) -> Iterator[ShardProgress]:
    """Yields the shards without a record; their pictures are counted together, see `_add_up`."""
    parts = [record.shard for record in records if record.shard is not None]
    count, started = min((part.count for part in parts), default=0), ShardSet(parts)
    for index in range(1, count + 1):
        if not started.overlaps(Shard(index, count)):
            yield ShardProgress(str(Shard(index, count)), "not started")


def _add_up(shards: Sequence[ShardProgress], records: Sequence[RunRecord]) -> ShardProgress:
    """The sum. How much those have that counted no names is known from what others counted."""
    planned: int | None = sum(shard.planned or 0 for shard in shards)
    if any(shard.planned is None for shard in shards):
        every = [one.counted_of_all for one in records if one.counted_of_all is not None]
        counted = sum(one.counted or 0 for one in records)
        planned = (planned or 0) + max(0, max(every) - counted) if every else None
    return ShardProgress(
        shard="",
        state=_combine([shard.state for shard in shards]),
        planned=planned,
        is_exact=all(shard.is_exact for shard in shards),
        done=sum(shard.done for shard in shards),
        failed=sum(shard.failed for shard in shards),
        skipped=sum(shard.skipped for shard in shards),
        colored=sum(shard.colored for shard in shards),
        seconds=sum(shard.seconds for shard in shards),
        runs=sum(shard.runs for shard in shards),
        failures=_merge_failures(shards),
    )


def _merge_failures(shards: Sequence[ShardProgress]) -> tuple[FailedSource, ...]:
    """Failures of all shards; a folder that several cannot read is one."""
    found = {one.source: one for shard in shards for one in shard.failures}
    return tuple(sorted(found.values(), key=lambda one: one.source))


def _combine(states: Sequence[State]) -> State:
    """The state of all shards."""
    if "running" in states:
        return "running"
    return "complete" if set(states) <= {"complete"} else "incomplete"
