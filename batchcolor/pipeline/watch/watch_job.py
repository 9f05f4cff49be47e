"""`run --watch`: a job that stays, and colours what arrives in its source folders.

The folders are listed again whenever the system reports a change, and every few minutes: an event
that is lost only costs time. Remote storage reports no changes; it is listed at an interval. What
is complete is coloured by an ordinary job on these files, so that every rule of a job holds: names,
journal, resume, failures.
"""

from __future__ import annotations

import importlib
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

from batchcolor.errors import ExitCode, OutputError, OutputLockedError, ProcessingError, UsageError
from batchcolor.hooks.manager import Plugins
from batchcolor.hooks.types import Reader
from batchcolor.images.completeness import has_end
from batchcolor.images.header import estimate_memory
from batchcolor.images.scan import ScannedFile, SkippedEntry, scan, scan_paths
from batchcolor.pipeline.job import (
    TICK,
    Interrupt,
    Observe,
    load_job_runner,
    open_metrics,
    plan_job,
    refuse_existing,
    run_plan,
)
from batchcolor.pipeline.options.settings import RunSettings
from batchcolor.pipeline.planning.planner import Plan
from batchcolor.pipeline.planning.sources import Root, is_remote
from batchcolor.pipeline.report import Report
from batchcolor.pipeline.watch.arrivals import Arrivals
from batchcolor.pipeline.watch.object_arrivals import ObjectArrivals
from batchcolor.signals import handle_signals
from batchcolor.storage.mounts import name_of
from batchcolor.storage.network_folder import is_on_network
from batchcolor.storage.remote.errors import StorageError

LISTING_SECONDS = 300.0
"""Between two listings of the folders when no change is reported."""
PENDING_SECONDS = 0.5
"""Between two checks of files that are not complete yet."""
LISTING_SHARE = 0.1
"""Of the time that listing the folders may take while changes are reported all the time."""
POLL_MS = 2000
"""Between two listings where the system does not report changes."""
REMOTE_SECONDS = 10.0
"""Between two listings of remote storage, or longer where that would exceed `LISTING_SHARE`."""


class WatchView(Protocol):
    """What shows a job that stays."""

    def watch(self, report: Report) -> None:
        """Called ten times a second while files are in work, with the report of the round."""

    def idle(self, report: Report) -> None:
        """Called ten times a second while nothing is in work, with the report of all rounds."""

    def end_round(self, report: Report, files: frozenset[Path]) -> None:
        """Called after each round with its report and the files that it was for."""

    def wait(self, folders: Sequence[Path]) -> None:
        """Called once, when the job begins to wait for new files."""


class ProgressView:
    """Calls a function with the report of the round, or of all rounds while nothing is in work."""

    def __init__(self, progress: Callable[[Report], None]) -> None:
        self.watch = self.idle = progress

    def end_round(self, report: Report, files: frozenset[Path]) -> None:
        """Does nothing: the next call of `idle` has the report."""

    def wait(self, folders: Sequence[Path]) -> None:
        """Does nothing."""


def run_watch(
    settings: RunSettings,
    plugins: Plugins,
    view: WatchView,
    missing: Sequence[SkippedEntry] = (),
    observe: Observe | None = None,
) -> Report:
    """Colours what the settings name and what arrives there, until a signal.

    Returns the report of all rounds. A signal while nothing is in work ends with the exit code of
    the finished files, else with that of the signal. Raises what `job.run` raises at its start.
    """
    watchfiles = None if all(map(is_remote, settings.sources)) else _import_watchfiles()
    plan, owned = plan_job(settings, plugins, missing)
    with plan.open_session():
        for root in plan.roots:
            _check_root(root)
        runner = load_job_runner(settings, owned)
        if settings.if_exists == "error":
            refuse_existing(plan, plugins, runner.weights_hash)
        job = _WatchJob(plan, plugins, view, Report(runner.name, name_of(plan.output)))
        with (
            open_metrics(settings) as metrics,
            handle_signals(job.interrupt),
            job.report_changes(watchfiles),
        ):
            job.run(
                lambda part: run_plan(
                    *(part, runner, plugins, view.watch, job.signals),
                    metrics=metrics,
                    observe=observe,
                )
            )
        return job.finish()


def _check_root(root: Root) -> None:
    """Raises UsageError for a source in which nothing can arrive."""
    if root.remote is None:
        if not root.path.is_dir():
            raise UsageError(f"--watch takes folders, and {root.path} is a file; name its folder")
        return
    name = root.remote.name
    if root.remote.single is not None:
        raise UsageError(f"--watch takes folders, and {name} has one file as source; name a folder")
    if not root.remote.store.is_concurrent:
        raise UsageError(f"--watch takes folders, and {name} is an archive")
    if not root.remote.store.lists_tags:
        raise UsageError(
            f"--watch cannot watch {name}: pages of web servers state neither sizes nor tags; run "
            f"the same command from time to time instead"
        )


def _import_watchfiles() -> Any:
    try:
        return importlib.import_module("watchfiles")
    except ImportError as error:
        raise UsageError(
            "--watch needs the package watchfiles: pip install 'batchcolor[watch]'"
        ) from error


class _WatchJob:
    """Rounds of one job. The main thread works; another one waits for changes."""

    def __init__(self, plan: Plan, plugins: Plugins, view: WatchView, total: Report) -> None:
        self.plan, self.view, self.total = plan, view, total
        self.settings = plan.settings
        readers = plugins.readers()
        self.remote_roots = [root for root in plan.roots if root.remote is not None]
        self.local_roots = [root for root in plan.roots if root.remote is None]
        self.objects, self._next_remote = ObjectArrivals(self.settings.settle), 0.0
        self.arrivals = Arrivals(
            self.settings.settle,
            lambda path: is_complete(path, self.settings.max_pixels, readers),
        )
        self._changed, self._stop = threading.Event(), threading.Event()
        self._interrupt_round: Interrupt | None = None
        self._code = ExitCode.DONE
        self._is_cut = False
        """Whether a signal arrived while files were in work."""

    def run(self, work: Callable[[Plan], Report]) -> None:
        """Lists the folders and colours what is complete, until it is stopped."""
        plan, is_waiting = self.plan, False
        while not self._stop.is_set():
            self._changed.clear()
            started = time.monotonic()
            self._list_folders(started)
            taken = time.monotonic() - started
            ready = self.arrivals.take(time.monotonic()) | self.objects.take()
            if ready and not self._work(work, plan, ready, is_first=not is_waiting):
                return
            if ready:
                plan = replace(plan, missing=(), reports_bad_lines=False)  # once is enough
                continue
            if not is_waiting:
                self.view.wait([root.path for root in self.plan.roots])
                is_waiting = True
            self._sleep(taken)

    def _list_folders(self, now: float) -> None:
        self._list_remote()
        paths: list[Path] = []
        for root in self.local_roots:
            if not root.path.is_dir():
                raise OutputError(
                    f"the source folder {root.path} is gone; "
                    f"run the same command again when it is back"
                )
            include_results = self.settings.include_results
            paths.extend(scan_paths(root.path, include_results=include_results))
        self.arrivals.update(paths, now)

    def _list_remote(self) -> None:
        """Lists the folders on remote storage, if it is time.

        Raises OutputError; a fault that may pass is left to the next listing.
        """
        started = time.monotonic()
        if not self.remote_roots or started < self._next_remote:
            return
        try:
            self.objects.update(self.remote_roots, started)
        except StorageError as error:
            if error.kind != "transient":
                names = ", ".join(name_of(root.path) for root in self.remote_roots)
                raise OutputError(
                    f"{names} cannot be listed: {error}; run the same command again when it can"
                ) from error
        now = time.monotonic()
        self._next_remote = now + max(REMOTE_SECONDS, (now - started) / LISTING_SHARE)

    def _work(
        self, work: Callable[[Plan], Report], plan: Plan, ready: frozenset[Path], *, is_first: bool
    ) -> bool:
        """Runs a round; whether the job goes on."""
        try:
            report = work(replace(plan, accept=ready.__contains__))
        except OutputLockedError:
            if is_first and not self.total.scanned:
                raise
            self.arrivals.put_back(ready)  # another job writes to the output: try again later
            self.objects.put_back(ready)
            self._stop.wait(PENDING_SECONDS)
            return True
        self.total.gallery = report.gallery
        self.total.add_round(report, ready)
        self.view.end_round(report, ready)
        if report.exit_code == ExitCode.EXTERNAL_FAILURE:
            self.total.exit_code, self.total.message = report.exit_code, report.message
            return False
        self._is_cut = report.remaining > 0
        return True

    def _sleep(self, taken: float) -> None:
        """Waits for a change, or until files may be complete."""
        end = time.monotonic() + (PENDING_SECONDS if self.arrivals.has_pending else LISTING_SECONDS)
        if self.remote_roots:
            end = min(end, self._next_remote)
        pause = time.monotonic() + taken / LISTING_SHARE
        while not self._stop.is_set() and time.monotonic() < end:
            if self._changed.wait(TICK) and time.monotonic() >= pause:
                return
            self.view.idle(self.total)

    def interrupt(self, code: ExitCode) -> None:
        """Finishes what is in flight and ends the job. For signal handlers."""
        self._code = code
        self._stop.set()
        if self._interrupt_round is not None:
            self._interrupt_round(code)

    @contextmanager
    def signals(self, interrupt: Interrupt) -> Iterator[None]:
        """Passes signals on to the round that runs."""
        self._interrupt_round = interrupt
        if self._stop.is_set():  # it arrived before the round was set up
            interrupt(self._code)
        try:
            yield
        finally:
            self._interrupt_round = None

    @contextmanager
    def report_changes(self, watchfiles: Any) -> Iterator[None]:
        """Sets `_changed` at every change in the folders, in a thread of its own.

        Where the system cannot watch them, as beyond its limit on watched folders, it is set every
        `POLL_MS`. Without local folders it is never set.
        """
        paths = [root.path for root in self.local_roots]
        if not paths:
            yield
            return
        polls = True if any(is_on_network(path) for path in paths) else None

        def wait_for_changes() -> None:
            with suppress(OSError, RuntimeError):  # watchfiles raises both; see below
                for _ in watchfiles.watch(
                    *paths,
                    watch_filter=None,
                    debounce=200,
                    stop_event=self._stop,
                    rust_timeout=1000,
                    force_polling=polls,
                    poll_delay_ms=POLL_MS,
                    ignore_permission_denied=True,
                    raise_interrupt=False,
                ):
                    self._changed.set()
            self._changed.set()  # if a folder is gone, listing reports it
            while not self._stop.wait(POLL_MS / 1000):
                self._changed.set()

        thread = threading.Thread(target=wait_for_changes, name="watch", daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._stop.set()
            thread.join()

    def finish(self) -> Report:
        """The report of all rounds."""
        if self._is_cut and self.total.exit_code == ExitCode.DONE:
            self.total.exit_code = self._code
            self.total.message = "stopped; run the same command again to resume"
        self.total.finish()
        return self.total


def is_complete(path: Path, max_pixels: int, readers: Sequence[Reader]) -> bool:
    """Whether the header of a picture or film is readable, and the end of a picture there.

    True for other files.
    """
    found = next(scan(path, readers=readers), None)
    if not isinstance(found, ScannedFile) or found.format is None:
        return True
    try:
        if found.is_film:
            from batchcolor.video.probe import probe

            probe(path, max_pixels)
        else:
            estimate_memory(found, max_pixels, readers, allow_multiple=True)
            return has_end(path, found.format)
    except ProcessingError as error:
        return error.step not in ("decode", "scan")
    except OSError:
        return False
    return True
