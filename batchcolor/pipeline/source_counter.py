"""SourceCounter: counts sources and probes films while the first results are made."""

from __future__ import annotations

import time
from collections.abc import Sequence

from batchcolor.hooks.types import Reader
from batchcolor.images.formats import VIDEO_SUFFIXES
from batchcolor.pipeline.films.film_prober import FilmProber
from batchcolor.pipeline.planning.planner import Plan
from batchcolor.pipeline.report import Report
from batchcolor.pipeline.stages import Cancellation
from batchcolor.storage.journal import Journal

COUNT_DELAY = 5.0
"""Seconds at most for which names on remote storage are not counted."""
POLL = 0.1
"""Seconds between two checks for the first outcome."""


class SourceCounter:
    """Counts the sources of one job, in a thread of its own."""

    def __init__(
        self,
        plan: Plan,
        journal: Journal,
        weights_hash: str,
        readers: Sequence[Reader],
        prober: FilmProber,
        report: Report,
        cancellation: Cancellation,
    ) -> None:
        self.plan, self.journal, self.weights_hash = plan, journal, weights_hash
        self.readers = readers
        self.prober, self.report, self.cancellation = prober, report, cancellation

    def count(self) -> None:
        """Counts names ahead of the work, then probes the films: none is begun before all are."""
        is_cancelled = self.cancellation.draining.is_set
        if self.plan.has_only_remote_sources:
            self.prober.probe_all((), self.report)  # films are probed when they are fetched
            self._wait_for_first()
        counted = self.plan.count_files(self.readers, is_cancelled)
        if not is_cancelled():  # else it is the number up to the signal
            self.report.counted, self.report.counted_of_all = counted.own, counted.every
        if self.plan.has_only_remote_sources:
            return
        suffixes = VIDEO_SUFFIXES if self.plan.settings.films.fps is None else ()
        films = self.plan.tasks(self.journal, self.weights_hash, (), suffixes)
        self.prober.probe_all(films if counted.has_films else (), self.report)

    def _wait_for_first(self) -> None:
        """Waits for the first outcome: counting is a listing of its own, which would delay it."""
        end = time.monotonic() + COUNT_DELAY
        report = self.report
        while report.is_scanning and report.left == report.scanned and time.monotonic() < end:
            if self.cancellation.draining.wait(POLL):
                break
