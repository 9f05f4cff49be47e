"""Runs a job on a cluster: opens what it needs, in order, and closes it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from batchcolor.cluster.chunk_worker import ChunkWorker
from batchcolor.cluster.cluster_job import ClusterJob
from batchcolor.cluster.node_check import hash_weights
from batchcolor.cluster.ray_cluster import RayCluster
from batchcolor.errors import UsageError
from batchcolor.hooks.manager import Plugins
from batchcolor.images.scan import SkippedEntry
from batchcolor.pipeline.job import (
    Observe,
    finish_empty_shard,
    has_tasks,
    open_journal,
    open_metrics,
    plan_job,
    record_end,
    refuse_existing,
)
from batchcolor.pipeline.observation.job_numbers import measure_report
from batchcolor.pipeline.options.settings import RunSettings
from batchcolor.pipeline.records.run_record import RunRecorder
from batchcolor.pipeline.report import Report
from batchcolor.signals import handle_signals


def run_on_cluster(
    settings: RunSettings,
    plugins: Plugins,
    watch: Callable[[Report], None],
    missing: Sequence[SkippedEntry] = (),
    observe: Observe | None = None,
    kind: type[ChunkWorker] = ChunkWorker,
) -> Report:
    """Colours what the settings name on a cluster; arguments and report are those of `job.run`.

    Raises UsageError, ModelError and ClusterError before any picture is coloured, and internal
    errors. A cluster that is lost later is in the report, with its exit code.
    """
    if settings.cluster is None:
        raise UsageError("the settings name no cluster")
    plan, owned = plan_job(settings, plugins, missing)
    with plan.open_session():
        if not has_tasks(plan, plugins):
            return finish_empty_shard(plan)
        digest = hash_weights(owned, settings.weights)
        if settings.if_exists == "error":
            refuse_existing(plan, plugins, digest)
        with open_metrics(settings) as metrics, open_journal(plan) as journal:
            journal.open()  # the lock first: workers write to the folder
            recorder = RunRecorder(plan, journal)
            with RayCluster(settings.cluster, settings.workers) as cluster:
                job = ClusterJob(plan, owned, plugins, journal, digest, cluster, kind, observe)

                def watch_and_record(report: Report) -> None:
                    watch(report)
                    recorder.update(report)
                    if metrics is not None:
                        metrics.update()

                if metrics is not None:
                    metrics.attach(job.report, partial(measure_report, job.report))
                with handle_signals(job.interrupt):
                    recorder.start(job.report)
                    report = job.run(watch_and_record)
            record_end(plan, journal, recorder, report)
            return report
