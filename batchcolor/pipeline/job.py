"""A job from its settings to its report: everything that makes it impossible first, then work."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from batchcolor.errors import ExitCode, OutputError, ProcessingError, UsageError
from batchcolor.hooks.manager import Plugins, RegisteredColorizer
from batchcolor.hooks.types import Outcome
from batchcolor.images.scan import SkippedEntry
from batchcolor.pipeline.decisions.corrections import Corrections
from batchcolor.pipeline.decisions.store import DecisionStore
from batchcolor.pipeline.gallery.open_gallery import check_gallery
from batchcolor.pipeline.observation.job_numbers import measure_job
from batchcolor.pipeline.options.fingerprint import canonical_options
from batchcolor.pipeline.options.settings import RunSettings
from batchcolor.pipeline.planning.make_plan import make_plan
from batchcolor.pipeline.planning.planner import Plan
from batchcolor.pipeline.planning.source_checks import check_writable
from batchcolor.pipeline.planning.task import Task
from batchcolor.pipeline.records.job_record import record_job
from batchcolor.pipeline.records.run_record import RunRecorder
from batchcolor.pipeline.report import Report
from batchcolor.pipeline.warning_notes import note_warnings
from batchcolor.signals import handle_signals
from batchcolor.storage.journal import Journal
from batchcolor.storage.locations import describe_url
from batchcolor.storage.mounts import find_mount, name_of

if TYPE_CHECKING:
    from batchcolor.inference.runner import Runner
    from batchcolor.pipeline.executor import Pipeline
    from batchcolor.pipeline.observation.metrics import Metrics

Interrupt: TypeAlias = Callable[[ExitCode], None]
"""Asks a job to finish what is in flight and to end with this exit code."""
Observe: TypeAlias = Callable[[Outcome], None]
TICK = 0.1
"""Seconds between two updates of the display."""


def run(
    settings: RunSettings,
    plugins: Plugins,
    watch: Callable[[Report], None],
    missing: Sequence[SkippedEntry] = (),
    observe: Observe | None = None,
) -> Report:
    """Colour what the settings name; `watch` is called ten times a second with the report so far.

    Raises UsageError and ModelError, before anything is written, and internal errors. An exception
    in `watch` ends the job and is raised; the same job can be run again to resume.
    Failed pictures, an unwritable output and signals are in the report, with its exit code.
    """
    plan, owned = plan_job(settings, plugins, missing)
    with plan.open_session(), open_metrics(settings) as metrics:
        if not has_tasks(plan, plugins):
            return finish_empty_shard(plan)

        runner = load_job_runner(settings, owned)
        if settings.if_exists == "error":
            refuse_existing(plan, plugins, runner.weights_hash)
        return run_plan(plan, runner, plugins, watch, metrics=metrics, observe=observe)


def open_metrics(settings: RunSettings) -> AbstractContextManager[Metrics | None]:
    """The metrics of a job; None without `--metrics`. Raises UsageError."""
    if settings.metrics_path is None:
        return nullcontext()
    from batchcolor.pipeline.observation.metrics import Metrics

    return Metrics(settings)


def load_job_runner(settings: RunSettings, owned: RegisteredColorizer) -> Runner:
    """Loads the model of a job, without the reference, which differs between sources.

    Raises UsageError, WeightsError, PluginError.
    """
    from batchcolor.inference.runner import load_runner

    return load_runner(owned, replace(settings.loading, like=None))


def run_plan(
    plan: Plan,
    runner: Runner,
    plugins: Plugins,
    watch: Callable[[Report], None],
    signals: Callable[[Interrupt], AbstractContextManager[None]] = handle_signals,
    metrics: Metrics | None = None,
    observe: Observe | None = None,
) -> Report:
    """Colours what a plan selects, with a model that is loaded.

    `signals` is given the function that interrupts the job, for the time that it runs; `observe`
    is called with each outcome, from several threads, one at a time. Raises
    OutputLockedError where another job writes to the output folder, and what `run` raises.
    """
    from batchcolor.pipeline.executor import Pipeline

    with open_journal(plan) as journal:
        pipeline = Pipeline(plan, runner, plugins, journal, observe)
        if metrics is not None:
            metrics.attach(pipeline.report, partial(measure_job, pipeline))
        recorder = RunRecorder(plan, journal)

        def watch_and_record(report: Report) -> None:
            watch(report)
            recorder.update(report)
            if metrics is not None:
                metrics.update()

        report = run_pipeline(pipeline, watch_and_record, signals, recorder.start)
        if metrics is not None:
            metrics.detach()
        record_end(plan, journal, recorder, report)
        return report


def open_journal(plan: Plan) -> Journal:
    """The journal of a job, or of its shard, which is locked as a context manager."""
    guard = None if plan.remote_output is None else plan.remote_output.guard
    return Journal(plan.output, lock=not plan.settings.no_lock, shard=plan.shard, guard=guard)


def finish_empty_shard(plan: Plan) -> Report:
    """The report of a shard without sources."""
    report = Report(plan.settings.model, name_of(plan.output), shard=str(plan.shard))
    with open_journal(plan) as journal:
        report.note(f"shard {plan.shard} has no pictures: nothing to do")
        report.is_scanning, report.counted = False, 0
        report.finish()
        record_end(plan, journal, RunRecorder(plan, journal), report)
    return report


def run_pipeline(
    pipeline: Pipeline,
    watch: Callable[[Report], None],
    signals: Callable[[Interrupt], AbstractContextManager[None]],
    begin: Callable[[Report], None],
) -> Report:
    """Runs a pipeline to its end; `watch` and `signals` are those of `run_plan`.

    `begin` is called once, when it has started.
    """
    with signals(pipeline.interrupt), note_warnings(pipeline.report):
        try:
            pipeline.start()
            begin(pipeline.report)
            while not pipeline.wait(TICK):
                watch(pipeline.report)
            watch(pipeline.report)
        except BaseException as error:
            pipeline.abort(error)
            raise
    return pipeline.finish()


def record_end(plan: Plan, journal: Journal, recorder: RunRecorder, report: Report) -> None:
    """Records the end for `batchcolor report`, and the settings for `batchcolor review`, if the
    output folder stays.

    An output on remote storage gets a copy of them. A full disk is reported.
    """
    if not (journal.path.exists() and journal.is_kept):
        return
    try:
        recorder.finish(report)
        record_job(plan.output, plan.settings)
        if plan.remote_output is not None:
            plan.remote_output.finish(journal.path)
            _pack(plan, report)
    except OutputError as error:
        if report.exit_code == ExitCode.DONE:
            report.exit_code, report.message = error.exit_code, str(error)


def _pack(plan: Plan, report: Report) -> None:
    """Packs the results of a job that has ended into its tar file. Raises OutputError."""
    from batchcolor.pipeline.planning.packed_members import list_members
    from batchcolor.storage.remote.packed_output import PackedOutput

    output = plan.remote_output
    has_ended = report.exit_code in (ExitCode.DONE, ExitCode.SOME_FAILED)
    if isinstance(output, PackedOutput) and has_ended:
        made = report.done + report.copied + report.kept_grey
        if made or not output.is_there:
            output.pack(list_members(plan.roots, Journal(plan.output, lock=False)))


def preview(
    settings: RunSettings, plugins: Plugins, missing: Sequence[SkippedEntry] = ()
) -> tuple[Plan, Iterator[Task | SkippedEntry]]:
    """The plan, its tasks, the skipped entries; nothing is written: `--dry-run`.

    Raises what the job itself would, before it begins; the iterator raises OutputError at a task
    whose result could not be written.
    """
    from batchcolor.inference.runner import load_runner

    plan, owned = plan_job(settings, plugins, missing)
    has_tasks(plan, plugins)
    digest = load_runner(owned, settings.loading).weights_hash
    if settings.if_exists == "error":
        refuse_existing(plan, plugins, digest)
    check_writable(plan.output, has_work=False)
    found = plan.tasks(Journal(plan.output), digest, plugins.readers())
    return plan, (it if isinstance(it, SkippedEntry) else _preview_task(it, plan) for it in found)


def plan_job(
    settings: RunSettings, plugins: Plugins, missing: Sequence[SkippedEntry]
) -> tuple[Plan, RegisteredColorizer]:
    """The plan of a job and its model. Raises UsageError, ModelError."""
    plan = make_plan(settings, missing)
    try:
        if settings.gallery:
            check_gallery(plan)
        owned = plugins.find(settings.model)
        check_model(settings, owned)
        options = canonical_options(owned.spec, dict(settings.loading.options))
        corrections = Corrections(settings, plugins, DecisionStore(plan.output), options)
    except BaseException:
        plan.close()
        raise
    return replace(plan, model_options=options, corrections=corrections), owned


def check_model(settings: RunSettings, owned: RegisteredColorizer) -> None:
    """Raises UsageError where the model does not support a setting."""
    if owned.spec.temporal and settings.every > 1:
        raise UsageError(
            f"--every {settings.every}: {settings.model} has to see every frame of a shot"
        )


def _preview_task(task: Task, plan: Plan) -> Task:
    """The task, refused with the reason if opening it or a film's header shows that it fails.

    Raises OutputError where results cannot be written.
    """
    if task.action != "colour":
        return task
    check_writable(plan.output, has_work=True)
    if find_mount(str(task.source.path)) is not None:
        return task  # only its name is known
    if reason := _describe_unreadable(task.source.path):
        return replace(task, action="refused", step="decode", reason=reason)
    if not task.source.is_film:
        return task

    from batchcolor.pipeline.films.video_admission import probe_film

    try:
        probe_film(task, plan.settings, plan.settings.memory, 1)
    except ProcessingError as error:
        return replace(task, action="refused", step=error.step, reason=error.reason)
    return task


def _describe_unreadable(path: Path) -> str:
    """Why a source cannot be opened, in the words of the job; empty where it can be.

    A folder of frames is left to its probe.
    """
    try:
        if not path.is_dir():
            path.open("rb").close()
    except OSError as error:
        return f"cannot be read ({error.strerror})"
    return ""


def has_tasks(plan: Plan, plugins: Plugins) -> bool:
    """Whether a shard has a picture, or a failure to report. Scans up to the first one.

    Raises UsageError where no source has a picture, in any shard.
    """
    if plan.shard is not None:
        found = plan.tasks(Journal(plan.output, lock=False), "", plugins.readers())
        if any(isinstance(task, Task) or task.failed for task in found):
            return True
        plan = replace(plan, settings=plan.settings.model_copy(update={"shard": None}))
        _check_tasks(plan, plugins)
        return False
    _check_tasks(plan, plugins)
    return True


def _check_tasks(plan: Plan, plugins: Plugins) -> None:
    """Raises UsageError where no source has a picture."""
    journal = Journal(plan.output, lock=False)
    telling: SkippedEntry | None = None
    skipped: SkippedEntry | None = None
    for task in plan.tasks(journal, "", plugins.readers()):
        if isinstance(task, Task):
            return
        if not task.is_foreign:
            skipped = skipped or task
        if task.failed or plan.settings.films.fps is not None:
            telling = telling or task
    if telling:
        raise UsageError(f"{name_of(telling.path)}: {telling.reason}")
    hint = f" (skipped {skipped.path.name}: {skipped.reason})" if skipped else ""
    names = ", ".join(map(describe_url, plan.settings.sources))
    raise UsageError(f"no pictures found in {names}{hint}")


def refuse_existing(plan: Plan, plugins: Plugins, weights_hash: str) -> None:
    """Raises UsageError where a result exists already: `--if-exists error`."""
    tasks = plan.tasks(Journal(plan.output), weights_hash, plugins.readers())
    taken = [task.target for task in tasks if isinstance(task, Task) and task.action == "exists"]
    if taken:
        raise UsageError(
            f"{'1 result exists' if len(taken) == 1 else f'{len(taken)} results exist'} already, "
            f"the first is {taken[0]} (--if-exists error)"
        )
