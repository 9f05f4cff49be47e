"""RunnerPool: the models of a job. Decisions may choose another one for single sources.

Batches are filled across sources with different models; each model gets its part of a batch. Other
models than that of the job are loaded when the first source needs them, and a few are kept.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from batchcolor.errors import BatchcolorError, ProcessingError, UsageError
from batchcolor.hooks.manager import Plugins
from batchcolor.hooks.types import ColorizerSpec
from batchcolor.inference.color_transfer import ColorTransfer
from batchcolor.inference.device_worker import add_seconds
from batchcolor.inference.reference_library import ReferenceLibrary
from batchcolor.inference.runner import Prediction, Runner, load_runner
from batchcolor.pipeline.decisions.correction import ChosenModel
from batchcolor.pipeline.items.document_item import PageItem
from batchcolor.pipeline.items.frame_item import FrameItem
from batchcolor.pipeline.items.picture_item import PictureItem
from batchcolor.pipeline.options.settings import RunSettings
from batchcolor.pipeline.planning.task import Task
from batchcolor.video.temporal.motion import Field
from batchcolor.video.temporal.shot_palette import ShotReference

MAX_LOADED = 2
"""Models beside that of the job that are kept in memory."""
MAX_TRANSFERS = 64
"""References whose colours are kept in memory: a few hundred bytes each."""


class ModelInput(Protocol):
    """A picture, page or frame that a model colours."""

    @property
    def task(self) -> Task:
        """Its source, and how it is coloured."""
        ...

    @property
    def square(self) -> NDArray[np.float32]:
        """Luma `(S, S)`."""
        ...

    @property
    def is_shot_start(self) -> bool:
        """Whether it is the first of its shot."""
        ...


class RunnerPool:
    """The models of one job. `run` is for one thread; the rest is thread-safe.

    `note_reference` takes which of several references was chosen for a source. Raises UsageError
    for a `--like` or `--references` that cannot be read.
    """

    def __init__(
        self,
        runner: Runner,
        plugins: Plugins,
        settings: RunSettings,
        note_reference: Callable[[Task, str], None],
    ) -> None:
        loading = settings.loading
        self.runner, self.plugins, self.loading = runner, plugins, loading
        self._loaded: OrderedDict[ChosenModel, Runner] = OrderedDict()
        self._transfers: OrderedDict[Path, ColorTransfer] = OrderedDict()
        self._discarded_seconds: dict[str, float] = {}
        """Those of models that were discarded."""
        self._notes: list[str] = []
        self._libraries: dict[Path, ReferenceLibrary] = {}
        self._shots: dict[Path, dict[int, Path | None]] = {}
        """The reference of each shot of a film, by the shot's first frame."""
        self._is_stabilized = settings.stabilize != "off"
        self._lock = threading.Lock()
        """Of references: films choose theirs in threads of their own."""
        self.note_reference = note_reference
        if loading.like is not None:
            self._find_transfer(loading.like)
        if settings.references is not None:
            self._find_library(settings.references)

    @property
    def notes(self) -> list[str]:
        """Changes of backend, device or batch size of any model, each once."""
        return [*self.runner.notes, *self._notes]

    @property
    def device_seconds(self) -> dict[str, float]:
        """Time in which models ran, by the device as torch names it."""
        total = self.runner.device_seconds
        for runner in list(self._loaded.values()):
            add_seconds(total, runner.device_seconds)
        add_seconds(total, dict(self._discarded_seconds))
        return total

    def find_spec(self, task: Task) -> ColorizerSpec:
        """The spec of the model that colours a source."""
        model = task.correction.model
        return self.runner.spec if model is None else self.plugins.find(model.name).spec

    def find_working_size(self, task: Task) -> int:
        """Side of the luma square that the model of a source takes."""
        return self.find_spec(task).working_size

    def run(self, items: Sequence[ModelInput]) -> list[Prediction | ProcessingError]:
        """Returns the prediction or the failure of each item, in order."""
        results: dict[int, Prediction | ProcessingError] = {}
        groups: dict[ChosenModel | None, list[int]] = {}
        for index, item in enumerate(items):
            groups.setdefault(item.task.correction.model, []).append(index)
        for model, indices in groups.items():
            part = [items[index] for index in indices]
            results.update(zip(indices, self._run_part(model, part), strict=True))
        return [results[index] for index in range(len(items))]

    def _run_part(
        self, model: ChosenModel | None, items: Sequence[ModelInput]
    ) -> list[Prediction | ProcessingError]:
        try:
            runner = self.runner if model is None else self._load(model)
        except BatchcolorError as error:
            return [ProcessingError("chroma", str(error)) for _ in items]
        hints = None
        if (spec := runner.spec).hints:
            hints = [_take_hints(item, keep=spec.hints_propagated) for item in items]
        fields = runner.predict_frames(
            [item.square for item in items], [item.is_shot_start for item in items], hints
        )
        if runner is not self.runner:  # whose notes are kept when it makes room for another one
            self._notes += [note for note in runner.notes if note not in self._notes]
        return [self._transfer(*pair) for pair in zip(items, fields, strict=True)]

    def _transfer(
        self, item: ModelInput, found: Prediction | ProcessingError
    ) -> Prediction | ProcessingError:
        """Applies the reference of a source to its chroma."""
        if isinstance(found, ProcessingError):
            return found
        try:
            like = self._choose_reference(item)
            if like is None:
                return found
            return found._replace(chroma=self._find_transfer(like).apply(found.chroma, item.square))
        except UsageError as error:
            return ProcessingError("chroma", str(error).removeprefix("--like "))

    def _choose_reference(self, item: ModelInput) -> Path | None:
        """The reference of an item, or None. Raises UsageError.

        Of several, the nearest is chosen and noted. A stabilized film adopts its references shot
        by shot (`find_shot_reference`).
        """
        settings = item.task.settings
        if isinstance(item, FrameItem):
            if self._is_stabilized:
                return None
            return self._choose_for_frame(item)
        if settings.references is None:
            return settings.like
        nearest = self._find_library(settings.references).find_nearest(item.square)
        self.note_reference(item.task, f"colours of {nearest.name} (nearest by luma)")
        return nearest

    def _choose_for_frame(self, item: FrameItem) -> Path | None:
        """The reference of the shot of a frame, chosen by its first frame and noted."""
        first = item.number if item.shot_position is None else item.shot_position.shot
        shots = self._shots.setdefault(item.task.source.path, {})
        if first not in shots:
            numbers = item.stream.find_film_numbers(first, item.number)
            chosen = self._choose_for_shot(item.task, numbers, [item.square], item.picture.rate)
            shots[first] = None if chosen is None else chosen[0]
            if chosen is not None and chosen[1]:
                self.note_reference(item.task, _describe_shot(numbers[0], chosen[1]))
        return shots[first]

    def find_shot_reference(
        self, task: Task, shot: tuple[int, int], lumas: Sequence[Field], rate: Fraction
    ) -> ShotReference | None:
        """The reference of a shot of a film; None without one.

        `shot` is the number of its first frame and of the last one of which the luma is passed, in
        the film; `lumas` `(S, S)` are those of its first frames. Raises ProcessingError where it
        cannot be read.
        """
        try:
            chosen = self._choose_for_shot(task, shot, lumas, rate)
            if chosen is None:
                return None
            found = self._find_transfer(chosen[0])
        except UsageError as error:
            raise ProcessingError("chroma", str(error).removeprefix("--like ")) from error
        if not found.has_color:
            return None
        return ShotReference(found.moments, *found.frame, note=_describe_shot(shot[0], chosen[1]))

    def _choose_for_shot(
        self, task: Task, numbers: tuple[int, int], lumas: Sequence[Field], rate: Fraction
    ) -> tuple[Path, str] | None:
        """The reference of a shot, and a note on it: as decided, by its name, or the nearest."""
        settings = task.settings
        shot = task.correction.find_shot(*numbers)
        if shot is not None and shot.reference is not None:
            path = Path(shot.reference)
            return path, f"colours of {path.name} (as decided)"
        if settings.references is None:
            return None if settings.like is None else (settings.like, "")
        library = self._find_library(settings.references)
        named = library.find_for_frame(numbers[0], float(rate), task.source.path.stem)
        if named is not None:
            return named, f"colours of {named.name} (by its name)"
        path, correlation = library.find_nearest_to_shot(lumas)
        return path, f"colours of {path.name} (nearest by luma, correlation {correlation:.2f})"

    def _find_library(self, folder: Path) -> ReferenceLibrary:
        with self._lock:
            if folder not in self._libraries:
                self._libraries[folder] = ReferenceLibrary(folder)
            return self._libraries[folder]

    def _find_transfer(self, reference: Path) -> ColorTransfer:
        """The colours of a reference. Raises UsageError where it cannot be read."""
        with self._lock:
            found = self._transfers.pop(reference, None)
            if found is None:
                found = ColorTransfer.from_picture(reference)
                if found.note and found.note not in self.notes:
                    self._notes.append(found.note)
            self._transfers[reference] = found
            if len(self._transfers) > MAX_TRANSFERS:
                self._transfers.popitem(last=False)
            return found

    def _load(self, model: ChosenModel) -> Runner:
        """The runner of a model; the one that was not used for longest makes room for it.

        Torch runs it unless a backend is asked for: an export takes longer than a few pictures.
        Raises ModelError, UsageError.
        """
        runner = self._loaded.pop(model, None)
        if runner is None:
            loading = replace(self.loading, options=model.options, like=None)
            if model.name != self.runner.spec.name:
                loading = replace(loading, weights=None)
            if loading.backend == "auto":
                loading = replace(loading, backend="torch")
            if len(self._loaded) >= MAX_LOADED:
                _, discarded = self._loaded.popitem(last=False)
                add_seconds(self._discarded_seconds, discarded.device_seconds)
            runner = load_runner(self.plugins.find(model.name), loading)
        self._loaded[model] = runner
        return runner


def _describe_shot(first: int, note: str) -> str:
    """What is reported about a shot that begins at a frame; empty without a note."""
    return f"shot from frame {first}: {note}" if note else ""


def _take_hints(item: ModelInput, *, keep: bool) -> NDArray[np.float32] | None:
    """The hints of an item for a model that takes them; unless kept, they are not propagated."""
    if not isinstance(item, PictureItem | PageItem) or item.hints is None:
        return None
    hints, item.hints = item.hints, item.hints if keep else None
    return hints.as_square(len(item.square))
