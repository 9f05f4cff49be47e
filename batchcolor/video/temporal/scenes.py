"""Gives the shots of one scene one palette: a shot that returns gets its former colours.

The frames with which a shot begins are matched with key frames of the shots before it, by luma
alone. Where one matches, the differences of their chroma, along motion and as far as it is
certain, are the change that all frames of the new shot get.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from batchcolor.video.temporal.chroma_grid import GridSum, apply_grid
from batchcolor.video.temporal.motion import SIDE, Field, compute_box_mean, match_frames

MAX_SCENES = 64
"""Scenes that are kept; the one that has not been seen for longest is dropped."""
MAX_KEY_FRAMES = 6
"""Key frames of a scene."""
FIRST_KEY_FRAMES = 4
"""Frames with which a shot begins that are compared, and kept as the first key frames."""
MIN_CORRELATION = 0.7
"""Correlation of luma from which a shot belongs to a scene; that of other shots is below 0.6."""
MIN_CONFIDENCE = 0.45
"""Mean confidence of the match along motion from which a shot belongs to a scene."""
MAX_BAR_STD = 0.01
"""Standard deviation of luma in the rows and columns of bars, as of letterboxed films."""
MIN_CONTENT = 0.1
"""Share of the frame beside bars below which it is not recognized."""
BLUR_RADIUS = 2
MIN_LUMA_STD = 0.03
"""Standard deviation of luma below which a frame is too flat to be recognized."""

Arrays = dict[str, NDArray[Any]]


@dataclass(frozen=True)
class KeyFrame:
    """A frame that represents a shot.

    `guide` is its luma `(SIDE, SIDE)`, `chroma` `(2, SIDE / 2, SIDE / 2)`, both float16.
    """

    guide: NDArray[np.float16]
    chroma: NDArray[np.float16]

    @property
    def luma(self) -> Field:
        """Luma `(SIDE, SIDE)`, float32."""
        return self.guide.astype(np.float32)

    @cached_property
    def signature(self) -> Field:
        """That of `compute_signature`."""
        return compute_signature(self.luma)


def find_content(guide: Field) -> NDArray[np.bool_]:
    """Returns where a frame has content, `(SIDE, SIDE)`: not in bars at its borders."""
    is_content = np.ones((SIDE, SIDE), np.bool_)
    for axis in (0, 1):
        varies = np.flatnonzero(guide.std(axis=1 - axis) > MAX_BAR_STD)
        first, last = (varies[0], varies[-1]) if varies.size else (SIDE, 0)
        is_inside = np.ones(SIDE, np.bool_)
        if first > 0:
            is_inside[: first + BLUR_RADIUS] = False
        if last < SIDE - 1:
            is_inside[max(last + 1 - BLUR_RADIUS, 0) :] = False
        is_content &= np.expand_dims(is_inside, 1 - axis)
    return is_content


def compute_signature(guide: Field) -> Field:
    """Returns blurred luma as a unit vector, 0 in bars; the product of two is their correlation.

    Zeros for a flat frame.
    """
    is_content = find_content(guide)
    blurred = compute_box_mean(guide, BLUR_RADIUS)
    values = blurred[is_content]
    signature = np.zeros(SIDE * SIDE, np.float32)
    if values.size < MIN_CONTENT * SIDE * SIDE or float(values.std()) < MIN_LUMA_STD:
        return signature
    values = values - values.mean()
    signature[is_content.ravel()] = values / np.linalg.norm(values)
    return signature


def make_key_frame(guide: Field, chroma: Field) -> KeyFrame:
    """Returns the key frame of luma `(SIDE, SIDE)` and chroma `(2, SIDE, SIDE)`."""
    half = chroma.reshape(2, SIDE // 2, 2, SIDE // 2, 2).mean(axis=(2, 4))
    return KeyFrame(guide.astype(np.float16), half.astype(np.float16))


@dataclass(frozen=True)
class Scene:
    """A scene: the number of the first frame of its first shot, and its key frames."""

    shot: int
    key_frames: tuple[KeyFrame, ...]

    def add(self, frame: KeyFrame) -> Scene:
        """Returns the scene with one more key frame; the oldest one after the first is dropped."""
        frames = (*self.key_frames, frame)
        if len(frames) > MAX_KEY_FRAMES:
            frames = frames[:FIRST_KEY_FRAMES] + frames[FIRST_KEY_FRAMES + 1 :]
        return replace(self, key_frames=frames)


@dataclass(frozen=True)
class ScenePalettes:
    """The scenes of a film up to one frame, the last seen last; never changed in place.

    `change` `(2, BINS, SIDE, SIDE)` is that of the current shot, None where it is the first one of
    its scene; `latest` is the last frame that was returned.
    """

    scenes: tuple[Scene, ...] = ()
    change: Field | None = None
    latest: KeyFrame | None = None

    def begin_shot(
        self, shot: int, guides: Sequence[Field], fields: Sequence[Field]
    ) -> ScenePalettes:
        """Returns the palettes with a new shot; `guides` and `fields` are luma and chroma of the
        frames with which it begins."""
        scenes = self._close_shot()
        frames = _pick_key_frames(guides, fields)
        match = match_scene(scenes, frames)
        if match is None:
            return self.begin_new_scene(shot, guides, fields)
        others = scenes[: match.index] + scenes[match.index + 1 :]
        return ScenePalettes((*others, scenes[match.index]), compute_change(frames, match))

    def begin_new_scene(
        self, shot: int, guides: Sequence[Field], fields: Sequence[Field]
    ) -> ScenePalettes:
        """Returns the palettes with a new shot, which is the first one of its scene."""
        scene = Scene(shot, tuple(_pick_key_frames(guides, fields)))
        return ScenePalettes((*self._close_shot(), scene)[-MAX_SCENES:])

    def _close_shot(self) -> tuple[Scene, ...]:
        if self.latest is None:
            return self.scenes
        return (*self.scenes[:-1], self.scenes[-1].add(self.latest))

    def apply(self, guide: Field, chroma: Field) -> Field:
        """Returns the chroma `(2, SIDE, SIDE)` of a frame of the current shot."""
        return chroma if self.change is None else chroma + apply_grid(self.change, guide)

    def state(self) -> Arrays:
        """Returns the palettes as arrays."""
        keys = [frame for scene in self.scenes for frame in scene.key_frames]
        arrays: Arrays = {
            "shots": np.array([scene.shot for scene in self.scenes], np.int64),
            "sizes": np.array([len(scene.key_frames) for scene in self.scenes], np.int64),
        }
        for name, frames in (("key", keys), ("latest", [self.latest] if self.latest else [])):
            if frames:
                arrays[f"{name}_guides"] = np.stack([frame.guide for frame in frames])
                arrays[f"{name}_chroma"] = np.stack([frame.chroma for frame in frames])
        return arrays if self.change is None else {**arrays, "change": self.change}

    @classmethod
    def from_state(cls, arrays: Mapping[str, NDArray[Any]]) -> ScenePalettes:
        """Returns the palettes of a `state`."""
        found = {}
        for name in ("key", "latest"):
            guides, chroma = arrays.get(f"{name}_guides", ()), arrays.get(f"{name}_chroma", ())
            found[name] = [KeyFrame(*pair) for pair in zip(guides, chroma, strict=True)]
        keys, scenes = iter(found["key"]), []
        for shot, size in zip(arrays["shots"], arrays["sizes"], strict=True):
            scenes.append(Scene(int(shot), tuple(itertools.islice(keys, int(size)))))
        latest = next(iter(found["latest"]), None)
        return cls(tuple(scenes), arrays.get("change"), latest)

    def observe(self, guide: Field, chroma: Field) -> ScenePalettes:
        """Returns the palettes after a frame of the current shot with its final chroma."""
        return replace(self, latest=make_key_frame(guide, chroma))


@dataclass(frozen=True)
class SceneMatch:
    """The scene of a new shot.

    `differences` are those of its chroma from the shot's, `(2, SIDE, SIDE)`, for each frame of the
    shot that was passed, with the confidence `(SIDE, SIDE)`.
    """

    index: int
    differences: list[tuple[Field, Field]]


def match_scene(scenes: Sequence[Scene], frames: Sequence[KeyFrame]) -> SceneMatch | None:
    """Returns the match of a shot of which `frames` are the first ones; None if it is new."""
    signatures = np.stack([frame.signature for frame in frames])
    tables = [
        np.stack([key.signature for key in scene.key_frames]) @ signatures.T for scene in scenes
    ]
    if not tables:
        return None
    best = int(np.argmax([table.max() for table in tables]))
    if tables[best].max() < MIN_CORRELATION:
        return None
    differences = []
    for column, frame in enumerate(frames):
        key = scenes[best].key_frames[int(tables[best][:, column].argmax())]
        match = match_frames(key.luma, frame.luma)
        former = key.chroma[:, match.rows // 2, match.columns // 2].astype(np.float32)
        own = frame.chroma.repeat(2, 1).repeat(2, 2).astype(np.float32)
        differences.append((former - own, match.confidence))
    certain = [
        confidence[find_content(frame.luma)].mean()
        for frame, (_, confidence) in zip(frames, differences, strict=True)
        if frame.signature.any()
    ]
    if np.mean(certain) < MIN_CONFIDENCE:
        return None
    return SceneMatch(best, differences)


def compute_change(frames: Sequence[KeyFrame], match: SceneMatch) -> Field:
    """Returns the change of chroma `(2, BINS, SIDE, SIDE)` that brings a shot to its scene."""
    total = GridSum()
    for frame, (difference, confidence) in zip(frames, match.differences, strict=True):
        total.add(frame.luma, difference, confidence)
    return total.solve()


def _pick_key_frames(guides: Sequence[Field], fields: Sequence[Field]) -> list[KeyFrame]:
    """Returns at most `FIRST_KEY_FRAMES` of the frames, evenly spread."""
    positions = np.linspace(0, len(guides) - 1, min(FIRST_KEY_FRAMES, len(guides)))
    return [make_key_frame(guides[round(it)], fields[round(it)]) for it in positions]
