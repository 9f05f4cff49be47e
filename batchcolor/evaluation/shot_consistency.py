"""Measures whether areas keep their colours through a shot, and when the shot returns.

Both figures are distances of (Cb, Cr) in 8-bit levels, and 0 for colours that follow the luma:

- `shot_difference`: between the first appearance of an area in a shot and the last frame. Each
  sample is followed along the motion of luma as far as the match is certain.
- `scene_difference`: between a shot and the earlier shots of its scene, in the areas that both
  show. Shots are matched by luma, as the stabilizer does.
"""

from __future__ import annotations

import numpy as np

from batchcolor.images.picture import resize_chroma
from batchcolor.video.temporal.motion import Field, Match
from batchcolor.video.temporal.scenes import KeyFrame, Scene, make_key_frame, match_scene

MIN_CONFIDENCE = 0.5
"""Confidence of the motion estimate from which a sample is followed or compared."""
MAX_LUMA_CHANGE = 0.1
"""Change of luma, 0..1, from which a sample has left the area that it was followed from."""
MIN_SECONDS = 0.5
"""Time for which a sample must have been followed."""
KEY_INTERVAL = 12
"""Frames from one key frame of a shot to the next."""
MAX_KEY_FRAMES = 4
SCALE = 255.0


class ShotMeter:
    """Measures `shot_difference` of one film; `rate` is in frames per second."""

    def __init__(self, rate: float) -> None:
        self._min_age = max(1, round(MIN_SECONDS * rate))
        self._first: tuple[Field, Field] | None = None
        """Luma and chroma at the first appearance of each sample of the frame added last."""
        self._age = np.zeros(0)
        self._last: tuple[Field, Field] | None = None
        self._sum = self._count = 0.0

    def add(self, luma: Field, chroma: Field, motion: Match | None) -> None:
        """Adds the next frame: luma `(64, 64)`, chroma `(2, s, s)`, the match with the previous
        one; None at the start of a shot."""
        chroma = resize_chroma(chroma, luma.shape)
        if motion is None or self._first is None:
            self.finish()
            self._first, self._age = (luma, chroma), np.zeros(luma.shape)
        else:
            rows, columns = motion.rows, motion.columns
            first_luma, first_chroma = (
                self._first[0][rows, columns],
                self._first[1][:, rows, columns],
            )
            is_followed = motion.confidence > MIN_CONFIDENCE
            is_followed &= np.abs(first_luma - luma) < MAX_LUMA_CHANGE
            self._first = (
                np.where(is_followed, first_luma, luma),
                np.where(is_followed, first_chroma, chroma),
            )
            self._age = np.where(is_followed, self._age[rows, columns] + 1, 0)
        self._last = (luma, chroma)

    def finish(self) -> None:
        """Ends a shot."""
        if self._first is not None and self._last is not None:
            is_old = self._age >= self._min_age
            distance = np.hypot(*(self._last[1] - self._first[1]))[is_old]
            self._sum += float(distance.sum())
            self._count += distance.size
        self._first = self._last = None

    @property
    def difference(self) -> float:
        """The mean over all samples, after `finish`; NaN if none was followed for long enough."""
        return SCALE * self._sum / self._count if self._count else float("nan")


class SceneMeter:
    """Measures `scene_difference` of one film."""

    def __init__(self) -> None:
        self._scenes: list[Scene] = []
        self._frames: list[KeyFrame] = []
        self._number = 0
        self._means: list[float] = []

    def add(self, luma: Field, chroma: Field, *, is_shot_start: bool) -> None:
        """Adds the next frame: luma `(64, 64)` in 0..1, and chroma `(2, s, s)` in -0.5..0.5."""
        if is_shot_start:
            self.finish()
        if self._number % KEY_INTERVAL == 0 and len(self._frames) < MAX_KEY_FRAMES:
            self._frames.append(make_key_frame(luma, resize_chroma(chroma, luma.shape)))
        self._number += 1

    def finish(self) -> None:
        """Ends a shot."""
        frames, self._frames, self._number = self._frames, [], 0
        if not frames:
            return
        found = match_scene(self._scenes, frames)
        if found is None:
            self._scenes.append(Scene(0, tuple(frames)))
            return
        distances = []
        for difference, confidence in found.differences:
            distances.append(np.hypot(*difference)[confidence > MIN_CONFIDENCE])
        compared = np.concatenate(distances)
        if compared.size:
            self._means.append(float(compared.mean()))

    @property
    def difference(self) -> float:
        """The mean over the shots that return, after `finish`; NaN if none does."""
        return SCALE * float(np.mean(self._means)) if self._means else float("nan")
