"""The provenance of each result of a job: model, weights, settings and source."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from batchcolor.errors import ProcessingError
from batchcolor.hooks.manager import Plugins
from batchcolor.hooks.types import ColorizerSpec
from batchcolor.images.provenance_marks.provenance import Provenance
from batchcolor.inference.weights import hash_file
from batchcolor.pipeline.decisions.correction import Correction
from batchcolor.pipeline.options.fingerprint import hash_path
from batchcolor.pipeline.options.settings import RunSettings
from batchcolor.pipeline.planning.planner import Plan
from batchcolor.pipeline.planning.task import Task

PICTURE_OPTIONS = (
    "strength",
    "format",
    "quality",
    "profile",
    "luma",
    "pages",
    "salvage",
    "include_results",
)
FILM_OPTIONS = (
    *(
        "codec",
        "crf",
        "preset",
        "bit_depth",
        "stabilize",
        "palette_lock",
        "every",
        "preview",
        "compare",
    ),
    *("frames", "fps", "to_frames", "recode_sound"),
)
FILE_OPTIONS = ("like", "references", "weights")
"""Options that are files: recorded by name and sha256."""


class ProvenanceRecorder:
    """Makes the provenance of each source of one job."""

    def __init__(self, plan: Plan, spec: ColorizerSpec, plugins: Plugins) -> None:
        self.spec, self.plugins = spec, plugins
        self._pictures = describe_settings(plan.settings, plan.model_options, is_film=False)
        self._films = describe_settings(plan.settings, plan.model_options, is_film=True)

    def describe(self, task: Task, source_sha256: str = "") -> Provenance:
        """The provenance of the result of a source, which is hashed unless its sha256 is known.

        Raises ProcessingError.
        """
        source, correction = task.source.path, task.correction
        spec, settings = self.spec, self._films if task.source.is_film else self._pictures
        if correction.model is not None:
            spec = self.plugins.find(correction.model.name).spec
        if correction.digest:
            settings = describe_correction(correction, is_film=task.source.is_film)
        try:
            digest = source_sha256 or (hash_file(source) if source.is_file() else "")
        except OSError as error:
            reason = f"the source cannot be read any more: {error.strerror}"
            raise ProcessingError("encode", reason) from error
        return Provenance(
            digital_source_type=spec.digital_source_type,
            model=spec.name,
            weights=task.weights_hash,
            source=source.name.encode("utf-8", "backslashreplace").decode(),
            source_sha256=digest,
            settings=settings,
        )


def describe_correction(correction: Correction, *, is_film: bool) -> dict[str, Any]:
    """Returns the options that hold for one source, with the number of a person's colour hints."""
    found = describe_settings(correction.settings, correction.model_options, is_film=is_film)
    if correction.decision.hints:
        found["hints"] = len(correction.decision.hints)
    if correction.painted is not None:
        found["painted_hints"] = {
            "file": correction.painted.name,
            "sha256": hash_file(correction.painted),
        }
    return found


def describe_settings(
    settings: RunSettings, model_options: Mapping[str, Any], *, is_film: bool
) -> dict[str, Any]:
    """Returns the options that change the result and differ from their defaults."""
    names = (*PICTURE_OPTIONS, *(FILM_OPTIONS if is_film else ()))
    found: dict[str, Any] = {
        name: getattr(settings, name)
        for name in names
        if getattr(settings, name) != RunSettings.model_fields[name].default
    }
    if "fps" in found:
        found["fps"] = str(found["fps"])
    if "preview" in found:
        found["preview"] = str(found["preview"])
    if settings.if_colored == "recolor" and not is_film:
        found["if_colored"] = settings.if_colored  # else the command would copy such a source
    if model_options:
        found["set"] = dict(model_options)
    for name in FILE_OPTIONS:
        path = getattr(settings, name)
        if path is not None:
            found[name] = {"file": path.name, "sha256": hash_path(path)}
    return found
