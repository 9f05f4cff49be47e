"""The fingerprint of the settings that a result depends on: equal ones give equal results.

It is a hash of a canonical form, in which a value counts if it differs from its default, after it
is resolved as the job resolves it. So another spelling, an explicit default, or a settings
field that is added later does not change it.
"""

from __future__ import annotations

import dataclasses
import enum
import hashlib
import json
from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

from batchcolor.hooks.options import parse_options
from batchcolor.hooks.types import ColorizerSpec
from batchcolor.images.encode import DEFAULT_QUALITY
from batchcolor.images.formats import JPEG, MOV, TIFF, Format
from batchcolor.pipeline.options.settings import RunSettings
from batchcolor.video.output.codec_choice import resolve_codec
from batchcolor.video.output.codecs import AUTO, USUAL_CODEC
from batchcolor.video.time_range import TimeRange

VERSION = 1
"""Changed when the canonical form changes; results of another version count as made with other
settings."""


def fingerprint(
    settings: RunSettings,
    model_options: Mapping[str, Any],
    target: Format,
    *,
    is_film: bool,
    decision: str = "",
) -> str:
    """Return the fingerprint of a result in the format `target`, 16 hexadecimal digits.

    `model_options` are those of `canonical_options`. Weights are not part of it. `decision` is a
    digest of what is decided about the source beside the settings.
    """
    values: dict[str, Any] = {
        "version": VERSION,
        "model": settings.model,
        "strength": float(settings.strength),
        "format": target.name,
        "options": dict(model_options),
        "like": hash_path(settings.like) if settings.like else "",
        "film": _film_values(settings, target) if is_film else {},
    }
    still = target.still or target
    is_still_encoder = not is_film or settings.to_frames or target.still is not None
    if is_still_encoder and still.name in DEFAULT_QUALITY:
        values["quality"] = settings.quality or DEFAULT_QUALITY[still.name]
    if settings.no_mark:
        values["mark"] = False
    if not is_film and settings.profile != RunSettings.model_fields["profile"].default:
        values["profile"] = settings.profile
    if not is_film and target == JPEG and settings.luma != RunSettings.model_fields["luma"].default:
        values["luma"] = settings.luma
    if settings.c2pa:
        values["c2pa"] = hash_path(settings.c2pa[0])
    if not is_film and target == TIFF and settings.pages != "all":
        values["pages"] = settings.pages
    if settings.references is not None:
        values["references"] = hash_path(settings.references)
    if decision:
        values["decision"] = decision
    content = json.dumps(values, sort_keys=True)
    return hashlib.sha256(content.encode()).hexdigest()[:16]


def canonical_options(spec: ColorizerSpec, given: Mapping[str, object]) -> dict[str, Any]:
    """Return the model's options that differ from their defaults, parsed.

    A file counts by its content. Raises UsageError for values that do not fit.
    """
    options = parse_options(spec, given)
    if options is None:
        return {}
    return {
        field.name: _canonical_value(getattr(options, field.name))
        for field in dataclasses.fields(options)
        if getattr(options, field.name) != _default_of(field)
    }


def _film_values(settings: RunSettings, target: Format) -> dict[str, Any]:
    """The film options that differ from their defaults, with the codec's own values filled in."""
    films = resolve_codec(settings.films, target)
    values = {
        field.name: _canonical_value(getattr(films, field.name))
        for field in dataclasses.fields(films)
        if field.name not in ("codec", "crf", "preset")
        and getattr(films, field.name) != field.default
    }
    is_explicit = settings.codec != AUTO and target == MOV
    if films.codec not in (AUTO, USUAL_CODEC) or is_explicit:
        values["codec"] = films.codec  # `auto` may be another one than h264 in MOV only
    if not films.to_frames:
        values["encoder"] = films.encoder_options
    for name in ("stabilize", "palette_lock", "every"):
        if getattr(settings, name) != RunSettings.model_fields[name].default:
            values[name] = getattr(settings, name)
    return values


def _canonical_value(value: Any) -> Any:
    if isinstance(value, Path):
        return hash_path(value)
    if isinstance(value, enum.Enum):
        return value.value
    if isinstance(value, Fraction):
        return str(value)
    if isinstance(value, TimeRange):
        return str(value) if value.starts_later else value.length
    return value if isinstance(value, bool | int | float | str | None) else repr(value)


def _default_of(field: dataclasses.Field[Any]) -> Any:
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory()
    return field.default


def hash_path(path: Path) -> str:
    """Return the sha256 of a file's content, or of those in a folder; the path of an unreadable."""
    try:
        if path.is_dir():
            names = sorted(entry for entry in path.iterdir() if entry.is_file())
            listed = "".join(f"{entry.name}\0{hash_path(entry)}\n" for entry in names)
            return hashlib.sha256(listed.encode("utf-8", "surrogateescape")).hexdigest()
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return str(path)
