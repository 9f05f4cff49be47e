"""Corrections: finds what is decided about each source of a job and applies it to its options.

What is nearer to the source wins, value by value: a line of `decisions.jsonl`, the sidecar beside
the source, `--like-for` of its folder, the options of the job.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import replace
from fnmatch import fnmatchcase as fnmatch
from functools import cached_property
from pathlib import Path
from typing import Any

from batchcolor.errors import BatchcolorError
from batchcolor.hooks.manager import Plugins
from batchcolor.hooks.types import DEFAULT_MODEL
from batchcolor.images.companion_files import DECISION_SUFFIX, HINTS_SUFFIX, CompanionFinder
from batchcolor.images.scan import ScannedFile, SkippedEntry
from batchcolor.inference import weights
from batchcolor.pipeline.decisions.correction import ChosenModel, Correction, compute_digest
from batchcolor.pipeline.decisions.decision import Decision, InvalidDecisionError
from batchcolor.pipeline.decisions.reference_copies import (
    MissingReferenceError,
    ReferenceCopies,
    anchor_reference,
)
from batchcolor.pipeline.decisions.store import DecisionStore
from batchcolor.pipeline.options.fingerprint import canonical_options, hash_path
from batchcolor.pipeline.options.settings import RunSettings
from batchcolor.storage.journal import head_tail_digest

MAX_BAD_LINES = 20
"""Bad lines of a file of decisions that are reported one by one."""


NOT_COUNTED = {"version", "source", "digest", "time", "state", "reference", "shots"}
"""Fields that do not change a result, or that are counted by the content of their files."""


class CorrectionError(Exception):
    """A decision cannot be applied; the message says why."""


class Corrections:
    """What is decided about the sources of one job. For one thread at a time."""

    def __init__(
        self,
        settings: RunSettings,
        plugins: Plugins,
        store: DecisionStore,
        model_options: Mapping[str, Any],
    ) -> None:
        self.settings, self.plugins, self.store = settings, plugins, store
        self.plain = Correction(settings, model_options)
        self._companions = CompanionFinder()
        self._references = ReferenceCopies()
        self._bases: dict[str, Correction] = {}
        """The options that hold without a decision, by the reference of `--like-for`."""
        self._weights: dict[str, str] = {}
        self._file_hashes: dict[tuple[Path, int], str] = {}

    def refresh(self) -> None:
        """Reads decisions and lists companion files again: others may have come since."""
        self.store.refresh()
        self._companions = CompanionFinder()
        self._references.clear()

    def list_bad_lines(self) -> Iterator[SkippedEntry]:
        """Yields a failure for each line of the decisions that is not one."""
        bad = self.store.bad_lines
        for line in bad[:MAX_BAD_LINES]:
            reason = f"line {line.number} is not applied: {line.reason}"
            yield SkippedEntry(self.store.path, reason, failed=True)
        if len(bad) > MAX_BAD_LINES:
            reason = f"{len(bad) - MAX_BAD_LINES} more lines are not applied"
            yield SkippedEntry(self.store.path, reason, failed=True)

    def find(self, file: ScannedFile, name: str) -> Correction:
        """How a source is coloured; `name` is its path as in `Decision.source`.

        A decision that cannot be applied is the `fault` of the correction.
        """
        try:
            decision = self._find_decision(file, name)
            painted = None if file.is_film else self._companions.find(file.path, HINTS_SUFFIX)
            if decision is not None:
                _check_kind(decision, is_film=file.is_film)
                decision = self._references.place(decision)
            base = self._find_base(name)
            if decision is None and painted is None:
                return base
            return self._apply(decision or Decision(), painted, base)
        except (CorrectionError, MissingReferenceError) as error:
            return Correction(self.settings, self.plain.model_options, fault=str(error))

    def _find_base(self, name: str) -> Correction:
        """The options of the job with the `--like-for` that is nearest to a source."""
        reference = find_folder_reference(self.settings, name)
        if reference is None:
            return self.plain
        if reference not in self._bases:
            self._hash_reference(reference)
            changed = change_settings(self.settings, choose_reference(Path(reference)))
            self._bases[reference] = replace(self.plain, settings=changed)
        return self._bases[reference]

    def _find_decision(self, file: ScannedFile, name: str) -> Decision | None:
        """The decision on a source, with absolute paths; None where there is none."""
        sidecar = read_sidecar(file.path, self._companions)
        if not len(self.store):
            return sidecar
        stored = self.store.find(name, head_tail_digest(file.path))
        if stored is None or stored.is_empty:
            return sidecar
        stored = _anchor(stored, self.store.output)
        return stored if sidecar is None else stored.over(sidecar)

    def _apply(self, decision: Decision, painted: Path | None, base: Correction) -> Correction:
        values = decision.model_dump(exclude_defaults=True, exclude=NOT_COUNTED)
        if decision.state == "rejected":
            digest = compute_digest({"state": "rejected"})
            grey = {"model": DEFAULT_MODEL, "options": (), "strength": 0.0, "like": None}
            grey["references"] = None
            settings = change_settings(self.settings, grey)
            return Correction(settings, {}, None, "", decision, None, digest, digest)
        references = {shot.frame: shot.reference for shot in decision.shots}
        hashes = {frame: self._hash_reference(path) for frame, path in references.items()}
        shots = [shot.model_dump(exclude={"reference"}) for shot in decision.shots]
        marks = {
            "hints": values.get("hints"),
            "painted": self._hash(painted) if painted else "",
            "shots": [{**shot, "reference": hashes[shot["frame"]]} for shot in shots],
        }
        values["reference"] = self._hash_reference(decision.reference)
        digest = compute_digest({**values, **marks})
        model, options, weights_hash = self._choose_model(decision)
        changes: dict[str, Any] = {}
        if decision.strength is not None:
            changes["strength"] = decision.strength
        if model is not None:
            changes |= {"model": model.name, "options": model.options}
            if model.name != self.settings.model:
                changes["weights"] = None
        if decision.reference is not None:
            changes |= choose_reference(Path(decision.reference))
        settings = change_settings(base.settings, changes) if changes else base.settings
        return Correction(
            *(settings, options, model, weights_hash),
            *(decision, painted, digest, compute_digest(marks)),
        )

    def _choose_model(
        self, decision: Decision
    ) -> tuple[ChosenModel | None, dict[str, Any], str | None]:
        """The model of a decision with its options, and the hash of its weights."""
        name = decision.model or self.settings.model
        is_own = name == self.settings.model
        if is_own and not decision.options:
            return None, dict(self.plain.model_options), None
        given = {**dict(self.settings.options if is_own else ()), **decision.options}
        try:
            spec = self.plugins.find(name).spec
            options = canonical_options(spec, given)
            if spec.temporal and not is_own:
                raise CorrectionError(
                    f"model {name} keeps state between frames: choose it for a whole job, --model"
                )
            digest = None if is_own else self._hash_weights(name)
        except BatchcolorError as error:
            raise CorrectionError(f"its decision cannot be applied: {error}") from error
        if options == dict(self.plain.model_options) and is_own:
            return None, options, None
        return ChosenModel(name, tuple(sorted(given.items()))), options, digest

    def _hash_weights(self, name: str) -> str:
        """The hash of a model's weights. Raises WeightsError."""
        if name not in self._weights:
            path = weights.find(self.plugins.find(name), None)
            self._weights[name] = weights.verify(path) if path else ""
        return self._weights[name]

    def _hash_reference(self, reference: str | None) -> str:
        """The hash of a reference. Raises CorrectionError where it does not exist."""
        if reference is None:
            return ""
        if not os.path.exists(reference):  # noqa: PTH110  (no error for a path that is too long)
            raise CorrectionError(f"its reference {reference} does not exist")
        return self._hash(Path(reference))

    def _hash(self, path: Path) -> str:
        """The hash of a file's content, or of a folder's; remembered while it is the same."""
        try:
            key = path, path.stat().st_mtime_ns
        except OSError:
            return str(path)
        if key not in self._file_hashes:
            self._file_hashes[key] = hash_path(path)
        return self._file_hashes[key]


def read_sidecar(source: Path, companions: CompanionFinder) -> Decision | None:
    """Returns the decision beside a source, with absolute paths; None where there is none.

    Raises CorrectionError.
    """
    path = companions.find(source, DECISION_SUFFIX)
    if path is None:
        return None
    try:
        return _anchor(Decision.parse(path.read_bytes()), path.parent)
    except OSError as error:
        raise CorrectionError(f"{path.name} cannot be read ({error.strerror})") from error
    except InvalidDecisionError as error:
        raise CorrectionError(f"{path.name}: {error}") from error


def _check_kind(decision: Decision, *, is_film: bool) -> None:
    """Raises CorrectionError for a decision on a picture that is a film, or the reverse."""
    if is_film and decision.hints:
        raise CorrectionError("colour hints are for pictures, and this is a film")
    if decision.shots and not is_film:
        raise CorrectionError("shots are for films, and this is a picture")


def find_folder_reference(settings: RunSettings, name: str) -> str | None:
    """The `--like-for` that is nearest to a source; None where none fits."""
    fitting = [pair for pair in settings.like_for if _is_below(name, pair[0])]
    return max(fitting, key=lambda pair: len(pair[0].strip("/")))[1] if fitting else None


def find_reference(settings: RunSettings, decision: Decision, name: str) -> Path | None:
    """The reference, a picture or a folder, that a job uses for a source with this decision.

    A relative path begins at the current folder.
    """
    nearest = decision.reference or find_folder_reference(settings, name)
    return Path(nearest) if nearest else settings.like or settings.references


def choose_reference(reference: Path) -> dict[str, Any]:
    """The settings with which a reference is used: a picture, or a folder of several."""
    if reference.is_dir():
        return {"like": None, "references": reference}
    return {"like": reference, "references": None}


def _is_below(name: str, path: str) -> bool:
    """Whether a source is the path of `--like-for`, lies below it, or matches it as a pattern."""
    path = path.strip("/")
    is_whole = path in ("", ".")
    return is_whole or name == path or name.startswith(f"{path}/") or fnmatch(name, path)


def _anchor(decision: Decision, folder: Path) -> Decision:
    """The decision with absolute paths, or URLs; relative ones begin at `folder`."""
    if decision.reference is None and not decision.shots:
        return decision

    def place(reference: str | None) -> str | None:
        return None if reference is None else anchor_reference(reference, folder)

    shots = tuple(
        shot.model_copy(update={"reference": place(shot.reference)}) for shot in decision.shots
    )
    return decision.model_copy(update={"reference": place(decision.reference), "shots": shots})


def change_settings(settings: RunSettings, changes: dict[str, Any]) -> RunSettings:
    """The settings with other values; what is computed from them is computed again."""
    changed = settings.model_copy(update=changes)
    for name, value in vars(RunSettings).items():
        if isinstance(value, cached_property):
            changed.__dict__.pop(name, None)
    return changed
