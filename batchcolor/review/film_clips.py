"""The first seconds of a film as they would be with a decision: made by an ordinary job."""

from __future__ import annotations

import threading
from pathlib import Path

from batchcolor.errors import ProcessingError
from batchcolor.hooks.manager import Plugins
from batchcolor.pipeline.decisions.corrections import choose_reference, find_reference
from batchcolor.pipeline.decisions.decision import Decision
from batchcolor.pipeline.job import run as run_job
from batchcolor.pipeline.settings import RunSettings
from batchcolor.review.items import ReviewItem
from batchcolor.storage.atomic import temporary_folder
from batchcolor.storage.journal import STATE_FOLDER
from batchcolor.video.time_range import TimeRange

SECONDS = 3.0


class FilmClips:
    """Makes clips, one at a time; each is given once and not kept."""

    def __init__(self, output: Path, plugins: Plugins) -> None:
        self._output, self._plugins = output, plugins
        self._lock = threading.Lock()

    def make(self, item: ReviewItem, job: RunSettings, decision: Decision) -> bytes:
        """Returns an mp4 of the first seconds. Raises ProcessingError, UsageError, ModelError."""
        target = self._output / STATE_FOLDER / "clips" / item.id
        with self._lock, temporary_folder(target) as folder:
            if decision.reference is not None:
                reference = str(self._output / decision.reference)
                decision = decision.model_copy(update={"reference": reference})
            settings = make_clip_settings(item, job, decision, folder / "clip")
            report = run_job(settings, self._plugins, lambda report: None)
            made = sorted((folder / "clip").glob("*.mp4"))
            if not made:
                reasons = [outcome.reason for outcome in report.failures]
                raise ProcessingError("encode", reasons[0] if reasons else report.message)
            return made[0].read_bytes()


def make_clip_settings(
    item: ReviewItem, job: RunSettings, decision: Decision, output: Path
) -> RunSettings:
    """The settings of the job with those of the decision, for a clip that browsers play.

    A relative reference of the decision begins at the current folder.
    """
    is_own = decision.model in (None, job.model)
    given = dict(job.options) if is_own else {}
    reference = find_reference(job, decision, item.key)
    strength = job.strength if decision.strength is None else decision.strength
    return RunSettings(
        sources=(str(item.source),),
        output=output,
        model=decision.model or job.model,
        weights=job.weights if is_own else None,
        options=tuple({**given, **decision.options}.items()),
        strength=0.0 if decision.state == "rejected" else strength,
        **(choose_reference(reference) if reference else {}),
        stabilize=job.stabilize,
        every=job.every,
        format="mp4",
        preview=TimeRange(0.0, SECONDS),
        no_mark=True,
    )
