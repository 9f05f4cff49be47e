"""Values of options: text that is parsed, and the values that shell completion offers.

PyAV takes half a second to import, so the codecs are imported when a value needs them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TypeVar

from batchcolor.errors import UsageError
from batchcolor.hooks.options import parse_key_values
from batchcolor.images.formats import (
    ANIMATION_FORMATS,
    FORMATS,
    MODERN_FORMATS,
    VIDEO_FORMATS,
)
from batchcolor.storage.remote.input_location import read_local_copy
from batchcolor.storage.shard import Shard, parse_shard
from batchcolor.video.time_range import TimeRange, parse_time_range

MIB = 1024 * 1024

T = TypeVar("T")


def parse_memory(text: str, option: str = "--max-memory") -> int:
    """Bytes of `512M`, `2G`, `800 MiB` or a plain number of MiB. Raises UsageError."""
    number = text.strip().lower().removesuffix("ib").removesuffix("b").strip()
    factor = {"k": 1024, "m": MIB, "g": 1024 * MIB}.get(number[-1:], 0)
    try:
        value = float(number[:-1] if factor else number) * (factor or MIB)
        return int(value)
    except (ValueError, OverflowError) as error:
        raise UsageError(f"{option} {text}: write it as 512M or 2G") from error


def read_memory(value: object) -> object:
    """Bytes of a text; other values as they are."""
    return parse_memory(value) if isinstance(value, str) else value


def read_temporary_space(value: object) -> object:
    """Bytes of a text; other values as they are."""
    return parse_memory(value, "--temporary-space") if isinstance(value, str) else value


def read_time_range(value: object) -> object:
    """The time range of a text, a length, or a start and a length; other values as they are."""
    if isinstance(value, str):
        return parse_time_range(value)
    if isinstance(value, int | float) and not isinstance(value, bool):
        return TimeRange(0.0, value)
    if isinstance(value, tuple) and len(value) == 2:
        return TimeRange(*value)
    return value


def read_shard(value: object) -> object:
    """The shard of a text, or of an index and a count; other values as they are."""
    if isinstance(value, str):
        return parse_shard(value)
    if isinstance(value, tuple) and len(value) == 2 and all(type(one) is int for one in value):
        return Shard(*value)
    return value


def read_frame_rate(value: object) -> object:
    """The frame rate of a text or a number; None as it is."""
    from batchcolor.video.output.codecs import parse_frame_rate

    return None if value is None else parse_frame_rate(str(value))


def read_key_values(value: object) -> object:
    """Key and value pairs of a mapping or of `KEY=VALUE` strings; pairs as they are."""
    if isinstance(value, Mapping):
        return tuple((str(key), _as_text(item)) for key, item in value.items())
    if isinstance(value, list):
        return tuple(parse_key_values(value).items())
    return value


def read_paths_by_name(value: object) -> object:
    """Path and picture pairs of a mapping or of `PATH=PICTURE` strings; pairs as they are."""
    if isinstance(value, Mapping):
        return tuple((str(key), str(read_local_copy(item))) for key, item in value.items())
    if not isinstance(value, list):
        return value
    pairs = []
    for text in value:
        name, equals, picture = str(text).rpartition("=")
        if not (name and equals and picture):
            raise UsageError(f"--like-for {text}: write it as PATH=PICTURE")
        pairs.append((name, picture))
    return tuple((name, str(read_local_copy(picture))) for name, picture in pairs)


def read_numbers(value: object) -> object:
    """The numbers of a text such as `0.5,1,1.5`, each once; other values as they are."""
    return drop_repeated(map(float, value.split(","))) if isinstance(value, str) else value


def drop_repeated(values: Iterable[T]) -> tuple[T, ...]:
    """The values in order, each once."""
    return tuple(dict.fromkeys(values))


def _as_text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def model_names() -> list[str]:
    """The installed models."""
    from batchcolor.hooks.manager import load_plugins

    return sorted(load_plugins().colorizers())


def codec_names() -> list[str]:
    """The codecs that films are written with."""
    from batchcolor.video.output.codecs import AUTO, CODECS

    return [AUTO, *(codec.name for codec in CODECS)]


def format_names() -> list[str]:
    """The formats that are written."""
    every = (*FORMATS, *MODERN_FORMATS, *VIDEO_FORMATS, *ANIMATION_FORMATS)
    return [known.name for known in every if known.is_writable]


def model_option_keys() -> list[str]:
    """The keys of `--set`, of every installed model, as `KEY=`."""
    import dataclasses

    from batchcolor.hooks.manager import load_plugins

    kinds = [owned.spec.options for owned in load_plugins().colorizers().values()]
    keys = {field.name for kind in kinds if kind is not None for field in dataclasses.fields(kind)}
    return [f"{key}=" for key in sorted(keys)]
