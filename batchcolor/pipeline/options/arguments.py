"""Keyword arguments of the Python API: their types, and the settings they become."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from fractions import Fraction
from typing import Any, Literal, TypeAlias, TypeVar

from pydantic import ConfigDict, InstanceOf, TypeAdapter, ValidationError, with_config
from typing_extensions import TypedDict  # pydantic needs it before Python 3.12

from batchcolor.errors import UsageError
from batchcolor.inference.load_options import LoadOptions
from batchcolor.pipeline.options.settings import RunSettings
from batchcolor.storage.remote.input_location import read_local_copy

StrPath: TypeAlias = str | os.PathLike[str]
ModelOptions: TypeAlias = Mapping[str, bool | int | float | str | os.PathLike[str]]
T = TypeVar("T")

_STRICT = ConfigDict(extra="forbid", strict=True, arbitrary_types_allowed=True)


@with_config(_STRICT)
class ModelArguments(TypedDict, total=False):
    """How a model is loaded: keyword arguments of `load_colorizer`, `colorize_many` and `run`."""

    device: str
    """`auto`, `cpu`, `cuda`, `cuda:1`, ..."""
    precision: str
    """`auto`, `float32`, `bfloat16` or `float16`."""
    backend: str
    """`auto`, `torch` or `openvino`."""
    weights: StrPath | None
    """A weights file to use instead of the model's own."""
    options: ModelOptions | None
    """The model's own options, as `--set` takes them: `{"vividness": 0.8}`."""
    like: StrPath | None
    """A colour picture whose colours are transferred to the results."""
    batch_size: int | None
    """Pictures that run at once; None: the default of the device."""


@with_config(_STRICT)
class RunArguments(ModelArguments, total=False):
    """Keyword arguments of `run`: the options of `batchcolor run`, as values of their type."""

    output: StrPath | None
    """None: `SOURCE-colorized` beside the source."""
    model: str
    like_for: Mapping[str, StrPath]
    """The reference of a folder or picture below the source, by its path."""
    references: StrPath | None
    """A folder of references, of which the nearest by luma is used."""
    strength: float
    format: str | None
    if_colored: Literal["recolor", "copy", "skip"]
    no_mark: bool
    c2pa: tuple[StrPath, StrPath] | None
    """Certificate chain and private key, PEM files, with which results are signed."""
    sidecar: bool
    premis: bool
    metrics: StrPath | None
    """A file for metrics of Prometheus, or `:PORT`."""
    gallery: bool
    """Write a page that shows each picture before and after, in `OUTPUT-gallery`."""
    profile: Literal["keep", "srgb", "display-p3", "adobe-rgb"]
    luma: Literal["auto", "exact"]
    pages: Literal["all", "first"]
    quality: int | None
    cluster: str | None
    """`auto`, `local` or `ray://HOST:PORT`: the job runs on the nodes of a Ray cluster."""
    workers: int | None
    max_memory: int | None
    """Bytes."""
    max_pixels: int
    temporary_space: int | None
    """Bytes of disk space for files of remote sources and results in work."""
    retries: int
    """Repetitions of a request to remote storage that fails for the moment."""
    if_exists: Literal["skip", "overwrite", "error"]
    retry_failed: bool
    shard: str | tuple[int, int] | None
    """Only part I of N of the files, as `"1/4"` or `(1, 4)`."""
    watch: bool
    """Stay until `progress` raises or a signal arrives, and colour what arrives."""
    settle: int | float
    """Seconds without a change after which a file is complete, for `watch`."""
    salvage: bool
    include_results: bool
    no_lock: bool
    codec: str
    crf: int | None
    preset: str | None
    bit_depth: int | None
    strict: bool
    preview: float | tuple[float, float] | Literal["shots"] | None
    """Seconds of each film from its beginning, second of its start and length in seconds, or one
    frame of each shot."""
    compare: bool
    recode_sound: bool
    fps: int | float | InstanceOf[Fraction] | None
    """Not None: the sources are folders of numbered frames, shown at this rate."""
    to_frames: bool
    stabilize: Literal["off", "fast", "best"]
    palette_lock: bool
    every: int
    strip: bool


def make_run_settings(sources: StrPath | Iterable[StrPath], arguments: RunArguments) -> RunSettings:
    """The settings of a job. Raises UsageError that names the argument which is wrong."""
    values: dict[str, Any] = dict(_validate(RunArguments, arguments))
    options = values.pop("options", None) or {}
    references = values.pop("like_for", {})
    pairs = tuple(
        (name, os.fspath(str(read_local_copy(path)))) for name, path in references.items()
    )
    return RunSettings(
        like_for=pairs,
        sources=_paths(sources),
        options=tuple((key, _text(options[key])) for key in options),
        frames=values.get("fps") is not None,
        **values,
    )


def make_load_options(arguments: ModelArguments) -> LoadOptions:
    """How a model is loaded. Raises UsageError that names the argument which is wrong."""
    values: dict[str, Any] = dict(_validate(ModelArguments, arguments))
    options = values.pop("options", None) or {}
    return LoadOptions(options=tuple((key, _text(options[key])) for key in options), **values)


def _text(value: bool | int | float | str | os.PathLike[str]) -> str:
    """An option's value as `--set` takes it."""
    if isinstance(value, bool):
        return str(value).lower()
    return os.fspath(value) if isinstance(value, os.PathLike) else str(value)


def _paths(sources: StrPath | Iterable[StrPath]) -> tuple[str, ...]:
    named = [sources] if isinstance(sources, str | os.PathLike) else sources
    if not isinstance(named, Iterable):
        raise UsageError(f"sources={named!r}: a path, or several paths")
    paths: list[str] = []
    for path in named:
        if not isinstance(path, str | os.PathLike):
            raise UsageError(f"sources: {path!r} is not a path")
        paths.append(os.fspath(path))
    return tuple(paths)


def _validate(kind: type[T], arguments: T) -> T:
    """Checks names and types. Raises UsageError."""
    try:
        return TypeAdapter(kind).validate_python(arguments)
    except ValidationError as error:
        first = error.errors()[0]
        name = str(first["loc"][0])
        if first["type"] == "extra_forbidden":
            raise UsageError(f"{name}: there is no such argument") from error
        prefix = "Input should be "
        expected = " or ".join(  # one error for each member of a union
            item["msg"].removeprefix(prefix) for item in error.errors() if item["loc"][0] == name
        )
        if name == "options" and len(first["loc"]) > 1:
            name = f"option {first['loc'][1]}"
        raise UsageError(f"{name}={first['input']!r}: must be {expected}") from error
