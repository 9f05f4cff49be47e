"""What a report says last: notes of the whole job, its exit code and message."""

from __future__ import annotations

from collections.abc import Iterable

from batchcolor.errors import ExitCode, OutputError
from batchcolor.pipeline.decisions.unknown_sources import describe_unknown_sources
from batchcolor.pipeline.planning.planner import Plan
from batchcolor.pipeline.report import Report
from batchcolor.storage.journal import Journal


def complete_report(
    report: Report,
    plan: Plan,
    journal: Journal,
    notes: Iterable[str],
    error: BaseException | None,
    signal: ExitCode | None,
) -> None:
    """Completes the report of a job that has ended, by itself, by an error or by a signal.

    Raises `error` where it is internal; all other errors are in the report.
    """
    for note in notes:
        report.note(note)
    if plan.corrections is not None and not report.is_scanning:
        own = [one for one in plan.corrections.store if plan.is_own_name(one.source)]
        unknown = describe_unknown_sources(journal, own)
        if unknown:
            report.note(unknown)
    if isinstance(error, OutputError):
        report.exit_code, report.message = error.exit_code, str(error)
    elif error is not None:
        raise error
    elif signal is not None:
        report.exit_code = signal
        report.message = "stopped; run the same command again to resume"
    report.finish()
