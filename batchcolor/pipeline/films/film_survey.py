"""Decides how a film is divided into parts: decodes it once, without colours."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass

from batchcolor.pipeline.films.film_parts import (
    FilmPart,
    choose_boundaries,
    count_segment_frames,
    find_last_end,
    has_several_parts,
    list_unfinished,
    write_parts,
)
from batchcolor.pipeline.films.room import count_frames
from batchcolor.pipeline.films.video_admission import Admission, open_frames
from batchcolor.pipeline.job_context import JobContext
from batchcolor.pipeline.planning.task import Task
from batchcolor.pipeline.resume_point import ResumePoint
from batchcolor.video.frame_mark import FrameMark, mark_frame
from batchcolor.video.output.segment_state import (
    DamagedStateError,
    SegmentStart,
    State,
    read_state,
)
from batchcolor.video.output.timestamps import Timeline
from batchcolor.video.planes import read_luma
from batchcolor.video.temporal.motion import SIDE
from batchcolor.video.temporal.scene_survey import (
    SceneSurvey,
    SurveyedShot,
    find_independent_shots,
)

WHOLE = "coloured by one worker: {}"
RETURNING = WHOLE.format("its shots return throughout, or are long")
DAMAGED = WHOLE.format("it is damaged, or its frames have no increasing times")
TEMPORAL = WHOLE.format("the model needs all frames of a shot in order")
BY_REFERENCE = WHOLE.format("its shots have references, or one palette")


@dataclass(frozen=True)
class Division:
    """The numbers of the parts that are to be coloured; none where the film stays whole."""

    parts: tuple[int, ...] = ()
    note: str = ""
    """Why a film that is long enough stays whole."""


def divide_film(
    task: Task,
    admission: Admission,
    context: JobContext,
    parts: int,
    is_stopped: Callable[[], bool],
) -> Division:
    """Divides a film into at most so many parts, and writes where they begin.

    Those of an earlier job are kept. Raises ProcessingError, OutputError, OSError.
    """
    if not has_several_parts(count_frames(admission)):
        return Division()
    source, settings = admission.source, admission.output.settings
    has_packets = source.has_packets and not (source.is_animation or source.is_image_sequence)
    if not has_packets or settings.to_frames or settings.video_codec.is_animation:
        return Division()
    if settings.preview is not None or settings.video_codec.uses_palette:
        return Division()
    if note := _find_obstacle(task, context):
        return Division(note=note)
    if source.has_estimated_pts:
        return Division(note=DAMAGED)
    point = context.find_resume_point(task)
    unfinished = list_unfinished(point)
    if unfinished is not None:
        return Division(tuple(unfinished))
    if _has_segments(point):  # of an earlier job on one machine
        return Division()
    return _Survey(admission, context, point).run(parts, is_stopped)


def _find_obstacle(task: Task, context: JobContext) -> str:
    """Returns why the parts of a film depend on each other; empty where they may not."""
    if context.is_temporal:
        return TEMPORAL
    given = (task.settings.like, task.settings.references)
    decided = (shot.reference for shot in task.correction.decision.shots)
    if context.settings.palette_lock or any(it is not None for it in (*given, *decided)):
        return BY_REFERENCE
    return ""


def _has_segments(point: ResumePoint) -> bool:
    try:
        state = read_state(point.folder)
    except DamagedStateError:
        return False
    return state is not None and state.fingerprint == point.fingerprint


class _Survey:
    """Decodes a film, and keeps what is needed to begin at each of its segments."""

    def __init__(self, admission: Admission, context: JobContext, point: ResumePoint) -> None:
        self._frames, self._point = open_frames(admission), point
        self._format, self._mode = admission.output.frame_format, context.settings.stabilize
        self._timeline = Timeline(admission.source)
        self._scenes = SceneSurvey(self._mode)
        self._marks: list[FrameMark] = []
        self._segments: list[tuple[dict[str, int | None], int]] = []
        """State of the timeline at each segment, and the shot of the frame before it."""

    def run(self, parts: int, is_stopped: Callable[[], bool]) -> Division:
        """As `divide_film`."""
        unit = count_segment_frames()
        for frame in self._frames:
            if is_stopped():
                return Division()
            if len(self._marks) % unit == 0:
                self._segments.append((self._timeline.state(), self._scenes.shot))
            self._marks.append(mark_frame(frame))
            self._scenes.add(read_luma(frame, self._format, SIDE))
            self._timeline.assign_encoder_pts(frame)
            assert self._timeline.encoder_pts is not None
            self._timeline.source_pts(self._timeline.encoder_pts)  # forgets it
        if not (self._frames.is_flawless and _are_increasing(self._marks)):
            return Division(note=DAMAGED)
        return self._divide(self._scenes.finish(), parts)

    def _divide(self, shots: list[SurveyedShot], parts: int) -> Division:
        frames = len(self._marks)
        starts = {shot.start: shot for shot in find_independent_shots(shots)}
        places = starts if self._mode != "off" else range(0, frames, count_segment_frames())
        boundaries = choose_boundaries(places, frames, parts)
        if len(boundaries) == 1:
            return Division(note=RETURNING)
        ends = [first for first, _ in boundaries[1:]] + [find_last_end(frames)]
        found = [
            FilmPart(self._make_start(first, shot, starts.get(shot)), end)
            for (first, shot), end in zip(boundaries, ends, strict=True)
        ]
        write_parts(self._point, found)
        return Division(tuple(range(len(found))))

    def _make_start(self, first: int, replay: int, shot: SurveyedShot | None) -> SegmentStart:
        number = first // count_segment_frames()
        timeline, shot_before = self._segments[number]
        state = State(
            fingerprint=self._point.fingerprint,
            frames=first,
            timeline=timeline,
            shot=shot_before,
            replay=replay,
            is_flawless=True,
            first_segment=number,
        )
        arrays = {} if shot is None or self._mode == "off" else shot.stabilizer_state
        return SegmentStart(state, self._marks[:first], arrays)


def _are_increasing(marks: list[FrameMark]) -> bool:
    pairs = itertools.pairwise(mark.tick for mark in marks)
    return all(a is not None and b is not None and b > a for a, b in pairs)
