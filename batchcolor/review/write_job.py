"""Writes changes: runs the job again on the sources whose decisions have changed."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from batchcolor.errors import BatchcolorError, ExitCode, make_printable
from batchcolor.hooks.manager import Plugins
from batchcolor.hooks.types import Outcome
from batchcolor.pipeline.job import Interrupt, load_job_runner, plan_job, run_plan
from batchcolor.pipeline.options.settings import RunSettings
from batchcolor.pipeline.report import Report
from batchcolor.storage.journal import absolute_source


@dataclass(frozen=True)
class WriteRequest:
    """The sources of one job that are coloured again."""

    job: RunSettings
    sources: frozenset[str]
    """Absolute paths or URLs, as in the journal."""


class WriteJob:
    """One write at a time, in a thread of its own; a page need not stay open for it."""

    def __init__(self, plugins: Plugins, send: Callable[..., None]) -> None:
        self._plugins, self._send = plugins, send
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._interrupt: Interrupt | None = None
        self._is_stopped = False
        self.status: dict[str, Any] = {"running": False}
        """What the pages show of the last write."""

    @property
    def is_running(self) -> bool:
        """Whether a write is running."""
        return self._thread is not None and self._thread.is_alive()

    def start(self, requests: Sequence[WriteRequest], finished: Callable[[], None]) -> bool:
        """Starts a write; false where one is running."""
        with self._lock:
            if self.is_running:
                return False
            self._is_stopped = False
            total = sum(len(request.sources) for request in requests)
            self._report(running=True, done=0, failed=0, total=total, message="")
            self._thread = threading.Thread(
                target=self._run, args=(requests, total, finished), name="write", daemon=True
            )
            self._thread.start()
            return True

    def stop(self) -> None:
        """Finishes the pictures in flight, and ends; the others stay as they are."""
        self._is_stopped = True
        interrupt = self._interrupt  # the job that runs may end between the next two lines
        if interrupt is not None:
            interrupt(ExitCode.SIGINT)

    def join(self) -> None:
        """Waits for the end."""
        if self._thread is not None:
            self._thread.join()

    def _run(
        self, requests: Sequence[WriteRequest], total: int, finished: Callable[[], None]
    ) -> None:
        done, message = 0, ""
        failures: list[Outcome] = []
        try:
            for request in requests:
                if self._is_stopped:
                    break
                report = self._run_one(request, done, len(failures), total)
                done += count_finished(report)
                failures += report.failures
                message = message or report.message
        except BatchcolorError as error:
            message = str(error)
        except Exception as error:  # shown on the page; the review goes on
            message = f"internal error: {error!r}"
        if self._is_stopped:
            message = "stopped; write again to continue"
        try:
            finished()
        except Exception as error:  # the pages must learn of the end in any case
            message = f"the folder of results cannot be read again: {error}"
        listed = [
            {"name": make_printable(one.source.name), "reason": make_printable(one.reason)}
            for one in failures[:100]
        ]
        self._report(
            running=False,
            done=done,
            failed=len(failures),
            total=total,
            message=message,
            failures=listed,
        )
        self._send("reload")  # after the status: a page that loads now must not see it running

    def _run_one(self, request: WriteRequest, done: int, failed: int, total: int) -> Report:
        plan, owned = plan_job(request.job, self._plugins, ())
        part = replace(plan, accept=lambda path: absolute_source(path) in request.sources)

        def watch(report: Report) -> None:
            self._report(
                running=True,
                done=done + count_finished(report),
                failed=failed + report.failed,
                total=total,
                message="",
                current=make_printable(report.current),
            )

        with plan.open_session():
            runner = load_job_runner(request.job, owned)
            return run_plan(part, runner, self._plugins, watch, self._signals)

    @contextmanager
    def _signals(self, interrupt: Interrupt) -> Iterator[None]:
        """Keeps what interrupts the job, for `stop`."""
        self._interrupt = interrupt
        if self._is_stopped:
            interrupt(ExitCode.SIGINT)
        try:
            yield
        finally:
            self._interrupt = None

    def _report(self, **status: Any) -> None:
        if status != self.status:
            self.status = status
            self._send("write", **status)


def count_finished(report: Report) -> int:
    """Sources with a new result: coloured, copied or kept grey."""
    return report.done + report.copied + report.kept_grey
