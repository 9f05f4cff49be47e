"""The films of a job: each looked at, read, written and told of; its own way is `film_line.py`."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from batchcolor.errors import OutputError, ProcessingError
from batchcolor.hooks.manager import format_error
from batchcolor.hooks.types import Outcome
from batchcolor.images.formats import JPEG, VIDEO_SUFFIXES
from batchcolor.images.scan import SkippedEntry
from batchcolor.images.verify import verify_image
from batchcolor.pipeline.planner import Task
from batchcolor.pipeline.stages import CancelledError, start_thread
from batchcolor.pipeline.turns import Over
from batchcolor.pipeline.video_admission import Admission, admit
from batchcolor.pipeline.video_sink import ResumePoint
from batchcolor.pipeline.video_task import ColorizeOptions, VideoTask
from batchcolor.storage.atomic import commit
from batchcolor.storage.journal import absolute_source
from batchcolor.video.contact_strip import render_contact_strip

if TYPE_CHECKING:
    from batchcolor.pipeline.executor import Pipeline


class VideoScheduler:
    """What a pipeline does with films."""

    def __init__(self, job: Pipeline) -> None:
        self.job = job
        self._refused: dict[Path, ProcessingError] = {}

    def look_ahead(self) -> None:
        """Name the films that cannot be coloured as asked, before any other work begins."""
        job = self.job
        found = job.plan.tasks(job.journal, job.runner.weights_hash, (), VIDEO_SUFFIXES)
        for task in found:
            if job.stop.draining.is_set():
                return
            if isinstance(task, SkippedEntry) or task.action != "colour" or not task.found.film:
                continue
            try:
                self.look_at(task)
            except ProcessingError as error:
                self._refused[task.found.path] = error
                job.report.refused.append((str(task.found.path), error.reason))

    def look_at(self, task: Task) -> Admission:
        """What a film takes. Raises ProcessingError where it cannot be coloured as asked."""
        if task.found.path in self._refused:
            raise self._refused[task.found.path]
        return admit(
            task,
            self.job.settings.films,
            self.job.settings.max_pixels,
            self.job.budget.limit,
            self.job.runner.batch_size * self.job.settings.every,
        )

    def read(self, task: Task, share: int, film: Admission) -> None:
        """Put a film's frames on the line, to the last; a thread of its own writes them."""
        line = VideoTask(
            task,
            film,
            self._colouring(),
            self.job.settings.quality,
            self._segment_place(task),
            self.job.stop,
            self._frame_done,
        )
        try:
            line.resume()
        except ProcessingError as error:
            self.job.failed(task, error, share)
            return
        self.job.report.expect(line.expected - line.done)
        write = partial(self._write, line, share)
        self.job.threads.append(start_thread(f"film-{task.target.name}", write, self.job.stop))
        line.read(self.job.runner.working_size, self.job.to_chroma.put)
        if self.job.runner.spec.temporal:
            self.job.to_chroma.put(Over(line))

    def _colouring(self) -> ColorizeOptions:
        settings, spec = self.job.settings, self.job.runner.spec
        return ColorizeOptions(settings.strength, settings.stabilize, settings.every, spec.temporal)

    def _write(self, line: VideoTask, share: int) -> None:
        committed, failure = False, None
        try:
            committed = line.write(overwrite=self.job.settings.if_exists == "overwrite")
        except ProcessingError as error:
            failure = error
        except (OutputError, CancelledError):
            raise
        except Exception as error:  # an encoder may raise anything; one film is not the job
            failure = ProcessingError("encode", format_error(error))
        if failure is not None:
            line.fail(failure)
            line.drain()
            self.job.failed(line.task, failure, share)
            return
        if committed:
            line.notes += self.strip(line.task)
        if committed:
            for note in line.notes:  # films are few, and what happened to one is worth a line
                self.job.report.note(f"{line.task.found.relative}: {note}")
            self.job.succeeded(line.task, line.notes)
        self.job.budget.release(share)

    def strip(self, task: Task) -> list[str]:
        """Write the contact strip of a film that is done beside it, if one is asked for; what went
        wrong with that."""
        place = task.strip
        if place is None:
            return []
        try:
            data = render_contact_strip(task.target, self.job.settings.max_pixels)
            overwrite = self.job.settings.if_exists == "overwrite"
            commit(
                data,
                place,
                partial(verify_image, expected=JPEG),
                replace=overwrite,
                mtime_ns=task.found.mtime_ns,
            )
        except FileExistsError:
            return [f"{place.name} exists and was left as it is"]
        except ProcessingError as error:
            return [f"no strip of it: {error.reason}"]
        return []

    def _frame_done(self, line: VideoTask) -> None:
        self.job.report.frames += 1
        self.job.report.current = f"{line.task.found.relative} {line.progress}"

    def _segment_place(self, task: Task) -> ResumePoint:
        """Beside the journal, by the source's name; of use for the same source and settings."""
        outcome = Outcome(task.found.path, task.target, "done")
        made_of = json.dumps(asdict(self.job.entry(task, outcome)))
        name = hashlib.sha256(os.fsencode(absolute_source(task.found.path))).hexdigest()[:16]
        folder = self.job.journal.folder / "films" / name
        return ResumePoint(folder, hashlib.sha256(made_of.encode()).hexdigest())
