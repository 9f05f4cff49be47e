"""Previews at screen size: the models, strengths, references and hints of a decision.

The same models and the same functions as in a job, on the luma of the source reduced to the screen.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from batchcolor.errors import ProcessingError
from batchcolor.hooks.manager import Plugins
from batchcolor.images.companion_files import HINTS_SUFFIX, CompanionFinder
from batchcolor.images.decode import decode
from batchcolor.images.formats import PNG
from batchcolor.images.join import join
from batchcolor.images.picture import Picture, reduce_to_8_bits, resize_luma
from batchcolor.inference.color_transfer import ColorTransfer
from batchcolor.inference.hints.picture_hints import PictureHints, prepare_hints
from batchcolor.inference.load_options import LoadOptions
from batchcolor.inference.reference_library import ReferenceLibrary
from batchcolor.inference.runner import Runner, load_runner
from batchcolor.pipeline.decisions.corrections import (
    CorrectionError,
    find_reference,
    read_sidecar,
)
from batchcolor.pipeline.decisions.decision import Decision
from batchcolor.pipeline.decisions.reference_copies import (
    MissingReferenceError,
    ReferenceCopies,
    anchor_reference,
)
from batchcolor.pipeline.options.settings import MAX_PIXELS, RunSettings
from batchcolor.pipeline.previews import find_file, read_source, shrink
from batchcolor.review.film_shots import FilmShots, Shot
from batchcolor.review.likely_colors import find_likely_colors
from batchcolor.review.review_files import ReviewFiles
from batchcolor.review.review_item import ReviewItem

SCREEN_SIDE = 2000
"""Longer side of the luma that is kept for previews."""
MAX_SOURCES, MAX_FIELDS, MAX_RUNNERS, MAX_TRANSFERS, MAX_LIBRARIES = 24, 256, 16, 16, 4
"""Of the caches: sources at screen size, fields of chroma, models, references, folders of them."""

T = TypeVar("T")


class Cache(Generic[T]):
    """Keeps the values that were used last."""

    def __init__(self, size: int) -> None:
        self._size, self._values = size, OrderedDict[Hashable, T]()

    def get(self, key: Hashable, make: Callable[[], T]) -> T:
        """The value of a key; made where it is missing."""
        if key not in self._values:
            self._values[key] = make()
            if len(self._values) > self._size:
                self._values.popitem(last=False)
        self._values.move_to_end(key)
        return self._values[key]

    def values(self) -> list[T]:
        """All values, the one that was not used for longest first."""
        return list(self._values.values())


@dataclass(frozen=True)
class ScreenSource:
    """A source reduced to the screen: luma `(h, w)` uint8, and its size in pixels."""

    key: tuple[Hashable, ...]
    luma: NDArray[np.uint8]
    width: int
    height: int
    squares: dict[int, NDArray[np.float32]] = field(default_factory=dict)
    """Squares of the working sizes that were asked for."""


class Engine:
    """Computes previews. Calls from several threads wait for each other."""

    def __init__(self, files: ReviewFiles, plugins: Plugins, shots: FilmShots) -> None:
        self.plugins, self._files, self._shots = plugins, files, shots
        self._references = ReferenceCopies()
        self._lock = threading.Lock()
        self._sources: Cache[ScreenSource] = Cache(MAX_SOURCES)
        self._fields: Cache[NDArray[np.float32]] = Cache(MAX_FIELDS)
        self._runners: Cache[Runner] = Cache(MAX_RUNNERS)
        self._transfers: Cache[ColorTransfer] = Cache(MAX_TRANSFERS)
        self._libraries: Cache[ReferenceLibrary] = Cache(MAX_LIBRARIES)

    def warm_up(self, job: RunSettings) -> None:
        """Loads the model of a job, so that the first preview need not wait for it."""
        with self._lock:
            self._find_runner(job.model, dict(job.options), job)

    def render(
        self,
        item: ReviewItem,
        job: RunSettings,
        decision: Decision,
        side: int,
        shot: Shot | None = None,
    ) -> Image.Image:
        """Returns the picture as the job would colour it with this decision, at most `side` long.

        `shot`: the frame of this shot of the film, with what is decided about the shot. Raises
        ProcessingError, UsageError and ModelError.
        """
        decision = add_sidecar(item, decision)
        if shot is not None:
            decision = find_shot_look(decision, shot)
        with self._lock:
            source = self._read(item, shot)
            luma = Image.fromarray(source.luma)
            if decision.state == "rejected":
                return shrink(luma, side).convert("RGB")
            strength = job.strength if decision.strength is None else decision.strength
            hints = self._prepare_hints(item, source, decision)
            name, _ = self._choose_model(job, decision)
            spec = self.plugins.find(name).spec
            given = hints if spec.hints else None
            chroma = self._compute_chroma(item, source, job, decision, given)
            chroma = chroma * np.float32(strength)
            if hints is not None and (spec.hints_propagated or not spec.hints):
                chroma = hints.apply(chroma)
        small = np.asarray(shrink(luma, side))
        picture = Picture(item.source, small, None, PNG)
        rgb = join(picture, chroma, 1.0, PNG).rgb
        assert rgb is not None
        return Image.fromarray(rgb)

    def find_notes(
        self, item: ReviewItem, job: RunSettings, decision: Decision, shot: Shot | None = None
    ) -> list[str]:
        """Returns what a person should know about a decision: hints that contradict each other, a
        reference without colour.

        `shot`: as for `render`. Raises ProcessingError and UsageError.
        """
        decision = add_sidecar(item, decision)
        if shot is not None:
            decision = find_shot_look(decision, shot)
        if decision.state == "rejected":
            return []
        with self._lock:
            hints = self._prepare_hints(item, self._read(item, shot), decision)
            notes = list(hints.notes) if hints is not None else []
            reference = self._find_reference(item, job, decision)
            if reference is not None and not reference.is_dir():
                notes.append(self._load_transfer(reference).note)
        return [note for note in notes if note]

    def measure(self, item: ReviewItem) -> tuple[int, int]:
        """Width and height of the source in pixels, upright. Raises ProcessingError."""
        with self._lock:
            source = self._read(item)
        return source.width, source.height

    def likely_colors(
        self, item: ReviewItem, job: RunSettings, decision: Decision, place: tuple[float, float]
    ) -> list[str]:
        """Colours `#rrggbb` that the model holds for likely at a place, the likeliest first.

        `place` is x and y as shares of width and height. All have the luma of the place.
        """
        with self._lock:
            source = self._read(item)
            runner = self._find_runner(*self._choose_model(job, decision), job)
            square = self._find_square(source, runner.working_size)
            chroma = self._compute_chroma(item, source, job, decision)
            return find_likely_colors(runner, square, chroma, place)

    def forget_references(self) -> None:
        """Asks the storage again for references: results may have changed."""
        with self._lock:
            self._references.clear()

    # ---- sources and models ------------------------------------------------------------------

    def _read(self, item: ReviewItem, shot: Shot | None = None) -> ScreenSource:
        key = (item.id, self._files.find_version(item), shot)
        return self._sources.get(key, lambda: self._decode(item, shot, key))

    def _decode(
        self, item: ReviewItem, shot: Shot | None, key: tuple[Hashable, ...]
    ) -> ScreenSource:
        readers = self.plugins.readers()
        if item.is_film:
            if shot is None:
                with self._files.open_source(item) as path:
                    frame = np.asarray(read_source(path, SCREEN_SIDE, readers))
            else:
                frame = np.asarray(self._shots.read(item, shot, SCREEN_SIDE))
            return ScreenSource(key, frame, frame.shape[1], frame.shape[0])
        with self._files.open_source(item) as path:
            picture = decode(find_file(path, readers), MAX_PIXELS, readers)
        luma = picture.luma if picture.depth == 8 else reduce_to_8_bits(picture.luma)
        small = np.asarray(shrink(Image.fromarray(np.ascontiguousarray(luma)), SCREEN_SIDE))
        source = ScreenSource(key, small, picture.width, picture.height)
        source.squares.update(
            {size: resize_luma(picture.luma, size) for size in self._working_sizes()}
        )
        return source

    def _working_sizes(self) -> set[int]:
        """Of the models that are loaded; they get the square of the luma at full size."""
        return {runner.working_size for runner in self._runners.values()}

    def _find_square(self, source: ScreenSource, size: int) -> NDArray[np.float32]:
        if size not in source.squares:
            source.squares[size] = resize_luma(source.luma, size)
        return source.squares[size]

    def _choose_model(self, job: RunSettings, decision: Decision) -> tuple[str, dict[str, str]]:
        name = decision.model or job.model
        options = dict(job.options) if name == job.model else {}
        return name, {**options, **decision.options}

    def _find_runner(self, name: str, options: dict[str, str], job: RunSettings) -> Runner:
        key = make_model_key(name, options, job)
        _, pairs, weights = key
        loading = LoadOptions(options=pairs, weights=weights, batch_size=1, backend="torch")
        return self._runners.get(key, lambda: load_runner(self.plugins.find(name), loading))

    def _compute_chroma(
        self,
        item: ReviewItem,
        source: ScreenSource,
        job: RunSettings,
        decision: Decision,
        hints: PictureHints | None = None,
    ) -> NDArray[np.float32]:
        """Returns the chroma of the model; `hints` are for a model that takes them."""
        name, options = self._choose_model(job, decision)
        runner = self._find_runner(name, options, job)
        square = self._find_square(source, runner.working_size)
        key = (*source.key, make_model_key(name, options, job))
        if hints is None:
            chroma = self._fields.get(key, lambda: run_one(runner, square))
        else:
            chroma = run_one(runner, square, hints.as_square(len(square)))
        if reference := self._find_reference(item, job, decision):
            if reference.is_dir():
                reference = self._load_library(reference).find_nearest(square)
            chroma = self._load_transfer(reference).apply(chroma, square)
        return chroma

    def _prepare_hints(
        self, item: ReviewItem, source: ScreenSource, decision: Decision
    ) -> PictureHints | None:
        """The hints of the decision above those that are painted beside the source."""
        painted = None if item.is_film else CompanionFinder().find(item.source, HINTS_SUFFIX)
        hints = [hint for hint in decision.hints if hint.page == 1]
        return prepare_hints(source.luma, hints, painted, (source.width, source.height))

    def _find_reference(
        self, item: ReviewItem, job: RunSettings, decision: Decision
    ) -> Path | None:
        """The reference; that of a decision begins at the output folder, and one on remote storage
        is a copy. Raises ProcessingError."""
        if decision.reference is None:
            return find_reference(job, decision, item.key)
        anchored = anchor_reference(decision.reference, self._files.output)
        try:
            placed = self._references.place(Decision(reference=anchored))
        except MissingReferenceError as error:
            raise ProcessingError("decision", str(error)) from error
        return Path(placed.reference or "")

    def _load_transfer(self, path: Path) -> ColorTransfer:
        key = path, read_change_time(path)
        return self._transfers.get(key, lambda: ColorTransfer.from_picture(path))

    def _load_library(self, folder: Path) -> ReferenceLibrary:
        key = folder, read_change_time(folder)
        return self._libraries.get(key, lambda: ReferenceLibrary(folder))


def add_sidecar(item: ReviewItem, decision: Decision) -> Decision:
    """Returns the decision; what it leaves open is that of the sidecar beside the source.

    Raises ProcessingError where the sidecar is damaged.
    """
    try:
        sidecar = read_sidecar(item.source, CompanionFinder())
    except CorrectionError as error:
        raise ProcessingError("decision", str(error)) from error
    return decision if sidecar is None else decision.over(sidecar)


def make_model_key(
    name: str, options: dict[str, str], job: RunSettings
) -> tuple[str, tuple[tuple[str, str], ...], Path | None]:
    """Returns what a loaded model depends on: its name, options and weights file."""
    weights = job.weights if name == job.model else None
    return name, tuple(sorted(options.items())), weights


def read_change_time(path: Path) -> int:
    """Returns when a file was changed, in nanoseconds; 0 where it is gone."""
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0


def find_shot_look(decision: Decision, shot: Shot) -> Decision:
    """Returns the decision that holds for a shot: its own values, or else those of the film."""
    own = decision.find_shot(shot.frame, shot.shown_frame)
    if own is None:
        return decision
    values = own.model_dump(exclude_defaults=True, exclude={"frame", "state"})
    if own.state == "rejected":
        values["state"] = own.state
    return decision.model_copy(update=values)


def run_one(
    runner: Runner, square: NDArray[np.float32], hints: NDArray[np.float32] | None = None
) -> NDArray[np.float32]:
    """Returns the chroma of one square with its hints `(3, S, S)`. Raises ProcessingError."""
    (prediction,) = runner.predict_frames([square], [True], [hints])
    if isinstance(prediction, ProcessingError):
        raise prediction
    return prediction.chroma
