"""Finds the shots of a film, and which shots have the colours of earlier ones, from luma alone.

Scenes are matched by luma, so they are known before the film is coloured. A film can be divided
before a shot if neither that shot nor a later one has the colours of a shot before it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from batchcolor.video.temporal.film_colors import Arrays, FilmColors
from batchcolor.video.temporal.motion import SIDE, Field
from batchcolor.video.temporal.shots import is_cut_between
from batchcolor.video.temporal.stabilizer import HORIZONS, Stabilize, make_shot_start_state

_NO_COLOR = np.zeros((2, SIDE, SIDE), np.float32)


@dataclass(frozen=True)
class SurveyedShot:
    """A shot: the number of its first frame, and that of the first shot of its scene."""

    start: int
    scene: int
    before: FilmColors
    """What shots have in common before it, with the luma of scenes and without their colours."""

    @property
    def stabilizer_state(self) -> Arrays:
        """The state of a stabilizer that begins with this shot."""
        return make_shot_start_state(self.before)


class SceneSurvey:
    """Takes luma `(SIDE, SIDE)` of each frame of a film, in order; `finish` after the last one."""

    def __init__(self, mode: Stabilize) -> None:
        self._horizon = max(1, HORIZONS[mode].frames)
        self._shots: list[SurveyedShot] = []
        self._colors = FilmColors()
        self._first: list[Field] = []
        """Luma of the frames with which the current shot begins, as many as are buffered."""
        self._last: Field | None = None
        self._start = self._number = 0

    @property
    def shot(self) -> int:
        """The number of the first frame of the current shot."""
        return self._start

    def add(self, guide: Field) -> None:
        """Adds the next frame."""
        if self._last is not None and is_cut_between(self._last, guide):
            self._close_shot(self._last)
        if len(self._first) < self._horizon:
            self._first.append(guide)
        self._last, self._number = guide, self._number + 1

    def finish(self) -> list[SurveyedShot]:
        """Returns the shots."""
        if self._last is not None:
            self._close_shot(self._last)
        return self._shots

    def _close_shot(self, last: Field) -> None:
        without_change = replace(self._colors.scenes, change=None)  # that of the shot before
        before = replace(self._colors, scenes=without_change)
        colors = before.begin_scene(self._first, [_NO_COLOR] * len(self._first))
        scene = colors.scenes.scenes[-1].shot
        self._shots.append(SurveyedShot(self._start, scene, before))
        self._colors = colors.observe(self._number - self._start, last, _NO_COLOR)
        self._first, self._start = [], self._number


def find_independent_shots(shots: list[SurveyedShot]) -> list[SurveyedShot]:
    """Returns the shots before which a film can be divided."""
    independent: list[SurveyedShot] = []
    earliest = shots[-1].start if shots else 0
    for shot in reversed(shots):
        earliest = min(earliest, shot.scene)
        if earliest >= shot.start:
            independent.append(shot)
    return independent[::-1]
