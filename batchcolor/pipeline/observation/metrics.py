"""Metrics of a job in the text format of Prometheus, in a file or at a port: `--metrics`.

Names follow the conventions of Prometheus: base units, `_total` for counters.
"""

from __future__ import annotations

import importlib
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

from batchcolor.errors import OutputError, UsageError
from batchcolor.pipeline.observation.job_numbers import JobNumbers
from batchcolor.pipeline.options.metrics_target import MetricsAddress, parse_metrics_target
from batchcolor.pipeline.options.settings import RunSettings
from batchcolor.pipeline.report import Report
from batchcolor.storage.atomic import write_atomic
from batchcolor.version import __version__

WRITE_SECONDS = 5.0
"""Between two writes of the file."""
COUNTERS = (
    ("frames", "frames_total", "Coloured frames of films"),
    ("source_bytes", "source_bytes_total", "Bytes of the sources of new results"),
    ("result_bytes", "result_bytes_total", "Bytes of new results"),
)
GAUGES = (
    ("planned", "planned_pictures", "Pictures and films of the job, as far as they are known"),
    ("in_flight", "in_flight_items", "Pictures, pages and films whose memory is reserved"),
    ("memory_used", "reserved_memory_bytes", "Memory reserved for pictures in flight"),
    ("memory_limit", "memory_limit_bytes", "Limit of the memory for pictures in flight"),
    ("is_running", "running", "1 while pictures are coloured, else 0"),
)
LABELLED = (
    ("outcomes", "pictures_total", "Finished pictures and films", "outcome"),
    ("failures", "failures_total", "Failed pictures and films, by the step that failed", "step"),
    ("device_seconds", "device_seconds_total", "Time in which a device ran a model", "device"),
)
"""Counters: attribute of JobNumbers, name without `batchcolor_`, help, label."""


class Metrics:
    """The metrics of a job, also over the rounds of a watched folder. A context manager."""

    def __init__(self, settings: RunSettings) -> None:
        """Raises UsageError without prometheus-client, or where the port is taken."""
        assert settings.metrics_path is not None
        self._client = _import_client()
        self._target = parse_metrics_target(settings.metrics_path)
        self._labels = {
            "version": __version__,
            "model": settings.model,
            "shard": "" if settings.shard is None else str(settings.shard),
        }
        self._ended = JobNumbers()
        self._report: Report | None = None
        self._measure: Callable[[], JobNumbers] | None = None
        """Counts the job that is running."""
        self._written = 0.0
        self._registry = self._client.CollectorRegistry()
        self._registry.register(self)
        self._client.ProcessCollector(registry=self._registry)
        self._server: Any = None
        self._thread: Any = None
        self.url = ""
        """Where the metrics are served; empty for a file."""
        if isinstance(self._target, MetricsAddress):
            self._serve(self._target)

    def _serve(self, address: MetricsAddress) -> None:
        try:
            self._server, self._thread = self._client.start_http_server(
                address.port, address.host or "0.0.0.0", registry=self._registry
            )
        except (OSError, OverflowError) as error:
            reason = getattr(error, "strerror", None) or error
            raise UsageError(
                f"--metrics {address.host}:{address.port} cannot be served ({reason}); "
                f"choose another port"
            ) from error
        self.url = f"http://{address.host or 'localhost'}:{self._server.server_port}/metrics"

    def __enter__(self) -> Metrics:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.detach()
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._thread.join()

    def attach(self, report: Report, measure: Callable[[], JobNumbers]) -> None:
        """Begins with the numbers of a job, or of the next round."""
        self._report, self._measure = report, measure
        report.metrics_url = self.url

    def update(self) -> None:
        """Writes the file if it is some seconds old. A full disk ends the job elsewhere."""
        if time.monotonic() - self._written >= WRITE_SECONDS:
            self._write()

    def detach(self) -> None:
        """Keeps the counters of a job that has ended, and writes the file."""
        measure, self._measure = self._measure, None
        if measure is not None:
            numbers = measure()
            self._ended.add(numbers)
            self._ended.memory_limit = numbers.memory_limit
        self._write()

    def _write(self) -> None:
        self._written = time.monotonic()
        if isinstance(self._target, Path):
            try:
                write_atomic(self._target, self._client.generate_latest(self._registry))
            except OutputError as error:
                if self._report is not None:
                    self._report.note(f"--metrics: {error}")

    def collect(self) -> Iterator[Any]:
        """Yields the metrics. Called by prometheus-client, in the thread of its server."""
        numbers, measure = self._ended, self._measure
        if measure is not None:
            numbers = measure()
            numbers.add(self._ended)
        core = importlib.import_module("prometheus_client.core")
        info = core.InfoMetricFamily("batchcolor_job", "The job")
        info.add_metric((), self._labels)
        yield info
        for attribute, name, text, label in LABELLED:
            family = core.CounterMetricFamily(f"batchcolor_{name}", text, labels=[label])
            for value, number in sorted(getattr(numbers, attribute).items()):
                family.add_metric([value], number)
            yield family
        for attribute, name, text in COUNTERS:
            yield core.CounterMetricFamily(
                f"batchcolor_{name}", text, value=getattr(numbers, attribute)
            )
        for attribute, name, text in GAUGES:
            yield core.GaugeMetricFamily(
                f"batchcolor_{name}", text, value=getattr(numbers, attribute)
            )
        queues = core.GaugeMetricFamily(
            "batchcolor_queue_items", "Items that wait in front of a stage", labels=["queue"]
        )
        for queue, number in numbers.queues.items():
            queues.add_metric([queue], number)
        yield queues


def _import_client() -> Any:
    try:
        return importlib.import_module("prometheus_client")
    except ImportError as error:
        raise UsageError(
            "--metrics needs the package prometheus-client: pip install 'batchcolor[metrics]'"
        ) from error
