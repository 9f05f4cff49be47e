"""Records the outcome of each source: in the journal, in the report, and with the plugins."""

from __future__ import annotations

import hashlib
import json
import os
import threading
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import cast

from batchcolor.errors import ProcessingError
from batchcolor.hooks.manager import Plugins
from batchcolor.hooks.types import Outcome, Status
from batchcolor.images.scan import SkippedEntry
from batchcolor.pipeline.gallery.writer import GalleryWriter
from batchcolor.pipeline.planning.planner import Plan
from batchcolor.pipeline.planning.task import Task
from batchcolor.pipeline.records.provenance_record import ProvenanceRecorder
from batchcolor.pipeline.records.result_record import Action, ResultRecord
from batchcolor.pipeline.records.sidecars import list_sidecars, write_sidecars
from batchcolor.pipeline.records.strip_writer import write_contact_strip
from batchcolor.pipeline.report import KEPT_GREY, Report
from batchcolor.pipeline.resume_point import ResumePoint
from batchcolor.storage.fixity import Fixity, measure
from batchcolor.storage.journal import (
    RESULTS,
    Journal,
    JournalEntry,
    absolute_source,
    head_tail_digest,
)
from batchcolor.storage.mounts import find_mount, name_of
from batchcolor.storage.remote.store import RemoteObject

MAX_SKIPPED = 1000
"""Skipped entries that the report lists, of each kind; further ones are counted."""
MAX_EXTRA_NOTES = 100
"""Notes on one source about its references: as many shots of a film."""
UNFINISHED_VERSION = 2
"""Changed when the stored state of an unfinished film or document changes; others start again."""
IN_COLOUR = "in colour already"


class Recorder:
    """Outcomes of one job. Thread-safe. `plugins` get each outcome, unless they are None."""

    def __init__(
        self,
        plan: Plan,
        provenance: ProvenanceRecorder,
        journal: Journal,
        report: Report,
        plugins: Plugins | None,
        gallery: GalleryWriter | None = None,
        observe: Callable[[Outcome], None] | None = None,
    ) -> None:
        """`observe` is called with each outcome, one at a time."""
        self.plan, self.provenance = plan, provenance
        self.journal, self.report, self.plugins = journal, report, plugins
        self.gallery, self._observe = gallery, observe
        self._lock = threading.Lock()
        self._extra_notes: dict[Path, list[str]] = {}
        self._doubts: dict[Path, tuple[float, int]] = {}
        """Sum and number of the doubts of a source in work: of its frames or pages."""
        self._listed = [0, 0]
        """Skipped entries that may be pictures, and those that are foreign."""

    def add_doubt(self, task: Task, doubt: float) -> None:
        """Adds how unsure the model was of a picture, page or frame of a source."""
        with self._lock:
            total, count = self._doubts.get(task.source.path, (0.0, 0))
            self._doubts[task.source.path] = total + doubt, count + 1

    def add_note(self, task: Task, note: str) -> None:
        """Adds a note on a source in work, once."""
        with self._lock:
            notes = self._extra_notes.setdefault(task.source.path, [])
            if note not in notes and len(notes) < MAX_EXTRA_NOTES:
                notes.append(note)

    def _take_doubt(self, task: Task) -> float | None:
        """The mean doubt of a source, which is forgotten."""
        with self._lock:
            total, count = self._doubts.pop(task.source.path, (0.0, 0))
        return round(total / count, 2) if count else None

    def succeed(self, task: Task, notes: list[str], fixity: Fixity | None = None) -> None:
        """Records a committed picture or film; without `fixity` the result is read again."""
        fixity = fixity or _measure(task.target)
        with self._lock:
            notes = [*notes, *self._extra_notes.pop(task.source.path, [])]
        is_grey = task.correction.is_rejected
        action: Action = "kept grey" if is_grey else "coloured"
        notes = [*notes, *self._write_sidecars(task, action, fixity, notes)]
        reason = KEPT_GREY if is_grey else ""
        shown = tuple(_replace_paths(task, note) for note in notes)
        outcome = Outcome(task.source.path, task.target, "done", reason=reason, notes=shown)
        doubt = self._take_doubt(task)
        entry = replace(self._result_entry(task, outcome, fixity), doubt=doubt)
        self._record_result(task, outcome, entry)
        self._count_bytes(task, fixity)
        if doubt is not None:
            self.report.add_doubt(name_of(task.source.path), doubt)

    def copy(self, task: Task, target: Path, fixity: Fixity) -> None:
        """Records a picture in colour that was copied to `target`."""
        task = replace(task, target=target)
        notes = tuple(self._write_sidecars(task, "copied", fixity, []))
        outcome = Outcome(task.source.path, target, "copied", reason=IN_COLOUR, notes=notes)
        self._record_result(task, outcome, self._result_entry(task, outcome, fixity))
        self._count_bytes(task, fixity)

    def skip_colored(self, task: Task) -> None:
        """Records a picture in colour that has no result, as asked."""
        self.report.count_colored_skipped()
        outcome = Outcome(task.source.path, None, "skipped", reason=IN_COLOUR)
        self._record(outcome, self._entry(task, outcome))

    def fail(self, task: Task, error: ProcessingError) -> None:
        """Records a picture or film that failed."""
        self._take_doubt(task)
        with self._lock:
            self._extra_notes.pop(task.source.path, None)
        reason = _replace_paths(task, error.reason)
        outcome = Outcome(task.source.path, None, "failed", error.step, reason)
        self._record(outcome, self._entry(task, outcome))

    def _count_bytes(self, task: Task, fixity: Fixity | None) -> None:
        if fixity is not None:
            self.report.count_bytes(max(0, task.source.size), fixity.size)

    def skip(self, task: Task) -> None:
        """Records a task whose action is not to colour: its result exists, or it is refused."""
        if task.action in ("refused", "failed before"):
            outcome = Outcome(task.source.path, None, "failed", task.step, task.reason)
            self._record(outcome, None)
            return
        notes: list[str] = []
        if task.action == "exists":
            self.report.existed += 1
            notes = [f"result kept: it exists and was {task.reason}"]
        elif task.strip and self.plan.remote_output is None and not os.path.lexists(task.strip):
            notes = write_contact_strip(task, self.plan.settings)
            for note in notes or [f"contact strip {task.strip.name} written"]:
                self.report.note(f"{task.source.relative}: {note}")
        if task.action == "done before":
            notes += self._add_missing_sidecars(task)
        source, target = task.source.path, task.target
        outcome = Outcome(source, target, "skipped", reason=task.action, notes=tuple(notes))
        self._record(outcome, None, task.found)

    def record_entries(self, made: Sequence[tuple[Task, JournalEntry]]) -> None:
        """Records the entries that another process of the job made for tasks."""
        with self._lock:
            self.journal.extend([entry for _, entry in made])
        for task, entry in made:
            self._report_entry(task, entry)

    def _report_entry(self, task: Task, entry: JournalEntry) -> None:
        target = self.plan.output / entry.target if entry.outcome in RESULTS else None
        status = cast("Status", entry.outcome)
        outcome = Outcome(
            *(task.source.path, target, status, entry.step, entry.reason, entry.notes)
        )
        if outcome.status == "skipped":
            self.report.count_colored_skipped()
        self._record(outcome, None)
        if entry.outcome in RESULTS:
            self.report.count_bytes(max(0, task.source.size), entry.result_size)
        if entry.doubt is not None:
            self.report.add_doubt(name_of(task.source.path), entry.doubt)

    def skip_entry(self, entry: SkippedEntry) -> None:
        """Records a directory entry that is not coloured; an unreadable folder is a failure."""
        if entry.failed:
            self.report.scanned += 1
            self._record(Outcome(entry.path, None, "failed", "scan", entry.reason), None)
            return
        self.report.skipped_entry_count += 1
        self._listed[entry.is_foreign] += 1
        if self._listed[entry.is_foreign] <= MAX_SKIPPED:
            self.report.skipped_entries.append((name_of(entry.path), entry.reason))

    def find_resume_point(self, task: Task) -> ResumePoint:
        """The segments of a film from an earlier job with the same source and settings."""
        expected = self._entry(task, Outcome(task.source.path, task.target, "done"))
        values = asdict(expected)
        for name in ("run", "result_sha256", "result_size", "result_tag"):
            del values[name]
        values["version"] = UNFINISHED_VERSION
        fingerprint = hashlib.sha256(json.dumps(values).encode()).hexdigest()
        return ResumePoint(self.journal.film_folder(expected.source), fingerprint)

    def _add_missing_sidecars(self, task: Task) -> list[str]:
        """Writes the sidecars of a result of an earlier job; returns notes."""
        settings, previous = self.plan.settings, self.journal.find_target(task.source.path)
        if previous is not None and previous.outcome == "failed":
            previous = self.journal.find_result(task.target.relative_to(self.plan.output))
        if previous is None or previous.outcome not in RESULTS:
            return []
        task = replace(task, target=self.plan.output / previous.target)
        paths = list_sidecars(task.target, as_json=settings.sidecar, as_premis=settings.premis)
        fixity = None if all(map(os.path.lexists, paths)) else _measure(task.target)
        action: Action = "copied" if previous.outcome == "copied" else "coloured"
        if task.correction.is_rejected:
            action = "kept grey"
        return self._write_sidecars(task, action, fixity, list(previous.notes))

    def _write_sidecars(
        self, task: Task, action: Action, fixity: Fixity | None, notes: list[str]
    ) -> list[str]:
        """Writes the sidecars that are asked for; returns notes on those that cannot be."""
        settings, source = self.plan.settings, task.source
        if fixity is None or not (settings.sidecar or settings.premis):
            return []
        try:
            provenance = self.provenance.describe(task)
        except ProcessingError as error:
            return [f"no sidecar: {error.reason}"]
        record = ResultRecord(
            target=task.target,
            target_format=_format_name(task, action),
            fixity=fixity,
            source=source.path,
            source_format=source.format.name if source.format else "",
            source_size=source.size,
            source_mtime_ns=source.mtime_ns,
            provenance=provenance,
            action=action,
            notes=tuple(notes),
        )
        return write_sidecars(record, as_json=settings.sidecar, as_premis=settings.premis)

    def _result_entry(self, task: Task, outcome: Outcome, fixity: Fixity | None) -> JournalEntry:
        entry = self._entry(task, outcome)
        if fixity is None:
            return entry
        return replace(entry, result_sha256=fixity.sha256, result_size=fixity.size)

    def _entry(self, task: Task, outcome: Outcome) -> JournalEntry:
        path: Path = task.source.path
        return JournalEntry(
            source=absolute_source(path),
            size=task.source.size,
            mtime_ns=task.source.mtime_ns,
            edges=head_tail_digest(path),
            settings=task.fingerprint,
            weights=task.weights_hash,
            target=str(task.target.relative_to(self.plan.output)),
            outcome=outcome.status,
            step=outcome.step,
            reason=outcome.reason,
            notes=outcome.notes,
            decision=task.correction.digest,
        )

    def _record_result(self, task: Task, outcome: Outcome, entry: JournalEntry) -> None:
        """Records a result; one on remote storage when it is there."""
        output, settings = self.plan.remote_output, self.plan.settings
        if output is None:
            self._record(outcome, entry)
            return
        others = list_sidecars(task.target, as_json=settings.sidecar, as_premis=settings.premis)
        others += [] if task.strip is None else [task.strip]
        files = [*(path for path in others if path.is_file()), task.target]
        output.put(
            files,
            self.journal.path,
            lambda found: self._record(outcome, replace(entry, result_tag=found.tag)),
            lambda error: self.fail(task, error),
        )

    def _record(
        self, outcome: Outcome, entry: JournalEntry | None, found: RemoteObject | None = None
    ) -> None:
        with self._lock:
            if entry is not None:
                self.journal.append(entry)
            self.report.add(outcome)
            if self.plugins is not None:
                self.plugins.done(outcome)
            if self.gallery is not None:
                self.gallery.add(outcome, found)
            if self._observe is not None:
                self._observe(outcome)
        if self.plan.session is not None:
            self.plan.session.release(outcome.source)


def _measure(path: Path) -> Fixity | None:
    """The fixity of a result; None where another program has removed it: verify reports that."""
    try:
        return measure(path)
    except OSError:
        return None


def _replace_paths(task: Task, text: str) -> str:
    """A message with the URLs of the task's files instead of the paths of their local copies.

    Libraries and plugins put paths into their errors.
    """
    for path in (task.source.path, task.target):
        if find_mount(str(path)) is not None:
            text = text.replace(str(path), name_of(path))
    return text


def _format_name(task: Task, action: Action) -> str:
    """The format of a result: that of its source where it is a copy."""
    if action == "copied" and task.source.format is not None:
        return task.source.format.name
    return task.format.name
