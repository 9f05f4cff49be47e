"""What the shots of a film have in common in colour: their references, scenes, one palette.

At the beginning of a shot, its first frames decide how the colours of all its frames are changed.
A `FilmColors` is never changed in place, so that the state before a block of frames can be kept.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from batchcolor.images.chroma_moments import TRANSFER_STRENGTH
from batchcolor.video.temporal.motion import Field
from batchcolor.video.temporal.scenes import ScenePalettes
from batchcolor.video.temporal.shot_palette import (
    LOCK_STRENGTH,
    FilmPalette,
    ShotPalette,
    ShotReference,
    adopt_reference,
)

MAX_NOTES = 100
Arrays = dict[str, NDArray[Any]]
FindReference = Callable[[int, Sequence[Field]], ShotReference | None]
"""Returns the reference of the shot that begins at a frame, from luma of its first frames."""


@dataclass(frozen=True)
class ColorRules:
    """What is asked for: references of shots, and whether all shots are held to one palette."""

    find_reference: FindReference | None = None
    is_locked: bool = False

    @property
    def changes_shots(self) -> bool:
        """Whether shots are changed before their frames are averaged."""
        return self.find_reference is not None or self.is_locked


@dataclass(frozen=True)
class FilmColors:
    """The state up to one frame; `number` is that of the next frame."""

    number: int = 0
    scenes: ScenePalettes = field(default_factory=ScenePalettes)
    film: FilmPalette = field(default_factory=FilmPalette)
    shot: ShotPalette = field(default_factory=ShotPalette)
    has_reference: bool = False
    """Whether the current shot has a reference, and so not the palette of its scene."""
    shots: int = 0
    """Shots until now; `returns` of them have the palette of an earlier shot."""
    returns: int = 0
    notes: tuple[str, ...] = ()
    """Which references the first `MAX_NOTES` shots have."""

    def begin_shot(
        self, rules: ColorRules, guides: Sequence[Field], fields: Sequence[Field]
    ) -> FilmColors:
        """Returns the state at the beginning of a shot, of which the model's chroma is passed."""
        film, shot, reference = self.film, ShotPalette(), None
        if rules.find_reference is not None:
            reference = rules.find_reference(self.number, guides)
        if reference is not None:
            strength = LOCK_STRENGTH if rules.is_locked else TRANSFER_STRENGTH
            shot = adopt_reference(guides, fields, reference, strength)
        elif rules.is_locked:
            film, shot = film.hold(guides, fields)
        notes = self.notes
        if reference is not None and reference.note and len(notes) < MAX_NOTES:
            notes = (*notes, reference.note)
        has_reference = reference is not None
        return replace(self, film=film, shot=shot, has_reference=has_reference, notes=notes)

    def begin_scene(self, guides: Sequence[Field], fields: Sequence[Field]) -> FilmColors:
        """Returns the state after the scene of a shot is found, from its averaged chroma."""
        shots, returns = self.shots + 1, self.returns
        if self.has_reference:
            scenes = self.scenes.begin_new_scene(self.number, guides, fields)
        else:
            scenes = self.scenes.begin_shot(self.number, guides, fields)
            returns += scenes.change is not None
        return replace(self, scenes=scenes, shots=shots, returns=returns)

    def observe(self, count: int, guide: Field, chroma: Field) -> FilmColors:
        """Returns the state after so many frames more, of which the last one is passed."""
        return replace(self, number=self.number + count, scenes=self.scenes.observe(guide, chroma))

    def state(self) -> Arrays:
        """Returns the state as arrays."""
        arrays: Arrays = {"number": np.array(self.number)}
        arrays["has_reference"] = np.array(self.has_reference)
        arrays |= {
            "counts": np.array([self.shots, self.returns]),
            "notes": np.array(self.notes, str),
        }
        arrays |= {f"scene_{name}": values for name, values in self.scenes.state().items()}
        arrays |= {f"shot_{name}": values for name, values in self.shot.state().items()}
        if self.film.moments is not None:
            arrays["film"] = self.film.moments
        return arrays

    @classmethod
    def from_state(cls, arrays: Mapping[str, NDArray[Any]]) -> FilmColors:
        """Returns the colours of a `state`."""
        return cls(
            int(arrays["number"]),
            ScenePalettes.from_state(take_prefixed(arrays, "scene_")),
            FilmPalette(arrays.get("film")),
            ShotPalette.from_state(take_prefixed(arrays, "shot_")),
            bool(arrays["has_reference"]),
            int(arrays["counts"][0]),
            int(arrays["counts"][1]),
            tuple(map(str, arrays["notes"])),
        )


def take_prefixed(arrays: Mapping[str, NDArray[Any]], prefix: str) -> Arrays:
    """Returns the arrays whose names begin with `prefix`, without it."""
    return {key.removeprefix(prefix): it for key, it in arrays.items() if key.startswith(prefix)}
