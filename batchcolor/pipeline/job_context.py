"""What a film uses of its job: a film never reaches into the executor."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

from batchcolor.errors import ProcessingError
from batchcolor.images.provenance_marks.provenance import Provenance
from batchcolor.pipeline.items.document_item import PageItem
from batchcolor.pipeline.items.frame_item import FrameItem
from batchcolor.pipeline.items.frame_order import EndOfStream
from batchcolor.pipeline.options.settings import RunSettings
from batchcolor.pipeline.planning.task import Task
from batchcolor.pipeline.report import Report
from batchcolor.pipeline.resume_point import ResumePoint
from batchcolor.pipeline.stages import ByteBudget, Cancellation
from batchcolor.video.temporal.motion import Field
from batchcolor.video.temporal.shot_palette import ShotReference

if TYPE_CHECKING:
    from batchcolor.images.provenance_marks.content_credentials import ContentCredentials


FindShotReference = Callable[
    [Task, tuple[int, int], Sequence[Field], Fraction], ShotReference | None
]
"""The reference of a shot of a film, by the number of its first frame and of another one of it,
luma of its first frames, and the film's frames per second. Raises ProcessingError where it cannot
be read."""


@dataclass(frozen=True)
class JobContext:
    """Settings, shared resources and callbacks of the job."""

    settings: RunSettings
    budget: ByteBudget
    report: Report
    cancellation: Cancellation
    find_working_size: Callable[[Task], int]
    """Side of the luma square that the model of a source takes."""
    find_shot_reference: FindShotReference
    is_temporal: bool
    """Whether the model needs all frames of a shot in order."""
    submit: Callable[[FrameItem | PageItem | EndOfStream], None]
    """Passes a frame or page to inference; `receive` of its film or document gets it back."""
    open_output: Callable[[], None]
    """Makes and locks the output folder; called before anything is written."""
    hold: Callable[[Path, str], AbstractContextManager[None]]
    """Records that a source is in work, for the case that its codec crashes the process."""
    succeed: Callable[[Task, list[str]], None]
    fail: Callable[[Task, ProcessingError, int], None]
    """Reports a failed film and releases so many bytes of the budget."""
    start_thread: Callable[[str, Callable[[], None]], None]
    find_resume_point: Callable[[Task], ResumePoint]
    describe_source: Callable[[Task], Provenance]
    """The provenance of a film's result. Raises ProcessingError."""
    credentials: ContentCredentials | None
    """Signs results; None where that is not asked for."""
