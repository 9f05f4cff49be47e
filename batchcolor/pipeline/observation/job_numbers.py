"""JobNumbers: what the metrics state of a job, at one moment."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from batchcolor.inference.device_worker import add_seconds
from batchcolor.pipeline.report import Report

if TYPE_CHECKING:
    from batchcolor.pipeline.executor import Pipeline


OUTCOMES = ("done", "copied", "kept_grey", "skipped", "failed")
QUEUES = ("decode", "chroma", "encode")


@dataclass
class JobNumbers:
    """Counters, which only grow and are added over the rounds of a watched folder, and gauges."""

    outcomes: Counter[str] = field(default_factory=lambda: Counter(dict.fromkeys(OUTCOMES, 0)))
    """Pictures and films: done, copied, kept_grey, skipped, failed."""
    failures: Counter[str] = field(default_factory=Counter)
    """By step."""
    frames: int = 0
    source_bytes: int = 0
    """Of sources with a new result."""
    result_bytes: int = 0
    device_seconds: dict[str, float] = field(default_factory=dict)
    """Time in which a device ran a model, as torch names it."""
    planned: int = 0
    queues: dict[str, int] = field(default_factory=lambda: dict.fromkeys(QUEUES, 0))
    """Items that wait in front of a stage."""
    in_flight: int = 0
    memory_used: int = 0
    memory_limit: int = 0
    is_running: bool = False

    def add(self, ended: JobNumbers) -> None:
        """Adds the counters of a round that has ended."""
        self.outcomes.update(ended.outcomes)
        self.failures.update(ended.failures)
        add_seconds(self.device_seconds, ended.device_seconds)
        self.frames += ended.frames
        self.source_bytes += ended.source_bytes
        self.result_bytes += ended.result_bytes
        self.planned += ended.planned


def measure_report(report: Report) -> JobNumbers:
    """The numbers of a job of which only the report is here, as other computers do it."""
    return JobNumbers(
        outcomes=Counter({name: getattr(report, name) for name in OUTCOMES}),
        failures=Counter(failure.step for failure in list(report.failures)),
        frames=report.frames,
        source_bytes=report.source_bytes,
        result_bytes=report.result_bytes,
        planned=report.total or 0,
        is_running=True,
    )


def measure_job(pipeline: Pipeline) -> JobNumbers:
    """The numbers of a running job. Takes no lock: each is right for one moment of its own."""
    waiting = len(pipeline.to_decode), len(pipeline.to_chroma), len(pipeline.to_encode)
    return replace(
        measure_report(pipeline.report),
        device_seconds=pipeline.runners.device_seconds,
        queues=dict(zip(QUEUES, waiting, strict=True)),
        in_flight=pipeline.budget.items,
        memory_used=pipeline.budget.used,
        memory_limit=pipeline.budget.limit,
    )
