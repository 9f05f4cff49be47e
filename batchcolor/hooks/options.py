"""A model's own options: `--set KEY=VALUE` into the dataclass that its spec names."""

from __future__ import annotations

import dataclasses
import difflib
import enum
import types
import typing
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Union

from batchcolor.errors import UsageError
from batchcolor.hooks.types import ColorizerSpec


@dataclass(frozen=True)
class OptionInfo:
    """One option of a model, for people."""

    key: str
    type: str
    default: str
    help: str


def describe_options(options: type[Any] | None) -> list[OptionInfo]:
    """The `--set` keys of an options dataclass, in order."""
    if options is None:
        return []
    hints = typing.get_type_hints(options)
    rows = []
    for item in dataclasses.fields(options):
        default: Any = item.default
        if item.default_factory is not dataclasses.MISSING:
            default = item.default_factory()
        shown = "required" if default is dataclasses.MISSING else str(default)
        rows.append(
            OptionInfo(
                _key(item.name), _type_name(hints[item.name]), shown, item.metadata.get("help", "")
            )
        )
    return rows


def parse_key_values(given: Iterable[str]) -> dict[str, str]:
    """`KEY=VALUE` strings as a dictionary. Raises UsageError for one without `=`."""
    found = {}
    for text in given:
        key, equals, value = text.partition("=")
        if not equals or not key:
            raise UsageError(f"--set {text}: write it as KEY=VALUE")
        found[key.strip()] = value
    return found


def parse_options(spec: ColorizerSpec, given: Mapping[str, str]) -> Any:
    """An instance of the spec's options dataclass, or None where it has none.

    Raises UsageError for unknown keys (naming near ones), wrong values and missing ones.
    """
    if spec.options is None:
        if given:
            raise UsageError(f"--set {next(iter(given))}: {spec.name} has no options")
        return None
    hints = typing.get_type_hints(spec.options)
    names = {_key(item.name): item.name for item in dataclasses.fields(spec.options)}
    values = {}
    for key, text in given.items():
        name = names.get(_key(key))
        if name is None:
            near = difflib.get_close_matches(key, names, n=2) or sorted(names)
            raise UsageError(
                f"--set {key}: {spec.name} has no such option; it has {', '.join(near)}"
            )
        values[name] = _converted(key, text, hints[name])
    try:
        return spec.options(**values)
    except (TypeError, ValueError) as error:
        raise UsageError(f"options of {spec.name}: {error}") from error


def _key(name: str) -> str:
    return name.replace("_", "-")


def _alternatives(kind: Any) -> tuple[Any, ...]:
    if typing.get_origin(kind) in (Union, types.UnionType):
        return tuple(part for part in typing.get_args(kind) if part is not type(None))
    return (kind,)


def _type_name(kind: Any) -> str:
    names = []
    for part in _alternatives(kind):
        if typing.get_origin(part) is Literal:
            names.append("|".join(map(str, typing.get_args(part))))
        elif isinstance(part, type) and issubclass(part, enum.Enum):
            names.append("|".join(str(member.value) for member in part))
        else:
            names.append(getattr(part, "__name__", str(part)))
    return "|".join(names)


def _converted(key: str, text: str, kind: Any) -> Any:
    for part in _alternatives(kind):
        try:
            return _as(part, text)
        except ValueError:
            continue
    raise UsageError(f"--set {key}={text}: must be {_type_name(kind)}")


def _as(kind: Any, text: str) -> Any:
    if kind is bool:
        return {"true": True, "yes": True, "1": True, "on": True}.get(text.lower()) or _false(text)
    if typing.get_origin(kind) is Literal:
        for choice in typing.get_args(kind):
            if str(choice) == text:
                return choice
        raise ValueError(text)
    if isinstance(kind, type) and issubclass(kind, enum.Enum):
        return kind(text)
    if kind in (int, float, str, Path):
        value = kind(text)
        if isinstance(value, float) and value != value:
            raise ValueError("not a number")
        return value
    raise ValueError(f"an option of type {kind} cannot be set")


def _false(text: str) -> bool:
    if text.lower() not in ("false", "no", "0", "off"):
        raise ValueError(text)
    return False
