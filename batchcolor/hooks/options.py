"""A model's own options: `--set KEY=VALUE` into the dataclass that its spec names.

Values are parsed and checked by pydantic, field by field. A field's range is stated as
`Annotated[float, Field(ge=0, le=1)]` or as `field(metadata={"ge": 0, "le": 1})`.
"""

from __future__ import annotations

import dataclasses
import difflib
import enum
import types
import typing
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Union

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.fields import FieldInfo

from batchcolor.errors import UsageError
from batchcolor.hooks.types import ColorizerSpec

BOUNDS = ("ge", "gt", "le", "lt")
_CONFIG = ConfigDict(allow_inf_nan=False, arbitrary_types_allowed=True)


@dataclass(frozen=True)
class OptionInfo:
    """One option of a model, as `batchcolor models` shows it."""

    key: str
    type: str
    default: str
    help: str
    range: str = ""


TYPE_PHRASES = {"float": "a number", "int": "a whole number", "bool": "true or false"}
"""Names of Python types in messages."""


@dataclass(frozen=True)
class _Option:
    """A field of an options dataclass: its type without the range, and the range's bounds."""

    field: dataclasses.Field[Any]
    type: Any
    annotation: Any
    bounds: dict[str, float]

    @property
    def range(self) -> str:
        """The bounds as a phrase: `from 0 to 1`."""
        words = {"ge": "from", "gt": "above", "le": "to", "lt": "below"}
        if "ge" not in self.bounds and "le" in self.bounds:
            words["le"] = "up to"
        return " ".join(f"{words[name]} {value:g}" for name, value in self.bounds.items())

    @property
    def expected(self) -> str:
        """Type and range as a phrase."""
        name = _format_type(self.type)
        return f"{TYPE_PHRASES.get(name, name)} {self.range}".strip()


def describe_options(options: type[Any] | None) -> list[OptionInfo]:
    """Returns the `--set` keys of an options dataclass, in order."""
    return [
        OptionInfo(
            key=key,
            type=_format_type(option.type),
            default=_format_default(option.field),
            help=option.field.metadata.get("help", ""),
            range=option.range,
        )
        for key, option in _collect_options(options).items()
    ]


def parse_key_values(given: Iterable[str]) -> dict[str, str]:
    """Parses `KEY=VALUE` strings. Raises UsageError for one without `=`."""
    found = {}
    for text in given:
        key, equals, value = text.partition("=")
        if not equals or not key:
            raise UsageError(f"--set {text}: write it as KEY=VALUE")
        found[key.strip()] = value
    return found


def parse_options(spec: ColorizerSpec, given: Mapping[str, object]) -> Any:
    """Returns an instance of the spec's options dataclass, or None if it has none.

    Values are text, as `--set` takes them, or objects of the field's type. Raises UsageError
    for unknown keys (with near ones), wrong values and missing ones.
    """
    if spec.options is None:
        if given:
            raise UsageError(f"--set {next(iter(given))}: {spec.name} has no options")
        return None
    known = _collect_options(spec.options)
    values = {}
    for key, value in given.items():
        option = known.get(_make_key(key))
        if option is None:
            near = difflib.get_close_matches(_make_key(key), known, n=2) or sorted(known)
            raise UsageError(
                f"--set {key}: {spec.name} has no such option; it has {', '.join(near)}"
            )
        values[option.field.name] = _parse(key, value, option)
    try:
        return spec.options(**values)
    except (TypeError, ValueError) as error:
        raise UsageError(f"options of {spec.name}: {error}") from error


def _collect_options(options: type[Any] | None) -> dict[str, _Option]:
    """Returns the fields of an options dataclass that can be set, by key."""
    if options is None:
        return {}
    hints = typing.get_type_hints(options, include_extras=True)
    fields = [field for field in dataclasses.fields(options) if field.init]
    return {_make_key(field.name): _make_option(field, hints[field.name]) for field in fields}


def _make_option(field: dataclasses.Field[Any], hint: Any) -> _Option:
    stated = {name: field.metadata[name] for name in BOUNDS if name in field.metadata}
    annotation: Any = Annotated[hint, Field(**stated)] if stated else hint
    info = FieldInfo.from_annotation(annotation)
    bounds = {
        name: getattr(constraint, name)
        for name in BOUNDS
        for constraint in info.metadata
        if getattr(constraint, name, None) is not None
    }
    return _Option(field, info.annotation, annotation, bounds)


def _parse(key: str, value: object, option: _Option) -> Any:
    choices = (choice for kind in _list_alternatives(option.type) for choice in _list_choices(kind))
    value = next((choice for choice in choices if str(choice) == value), value)
    try:
        return TypeAdapter(option.annotation, config=_CONFIG).validate_python(value)
    except ValidationError as error:
        reason = error.errors()[0]
        # The plugin's own checks have their own messages.
        is_own = reason["type"] in ("value_error", "assertion_error")
        wanted = reason["msg"] if is_own else f"must be {option.expected}"
        raise UsageError(f"--set {key}={value}: {wanted}") from error


def _format_default(field: dataclasses.Field[Any]) -> str:
    default: Any = field.default
    if field.default_factory is not dataclasses.MISSING:
        default = field.default_factory()
    if default is dataclasses.MISSING:
        return "required"
    return str(default.value if isinstance(default, enum.Enum) else default)


def _make_key(name: str) -> str:
    return name.replace("_", "-")


def _list_alternatives(kind: Any) -> tuple[Any, ...]:
    """Returns the members of a union without None, or the type itself."""
    if typing.get_origin(kind) in (Union, types.UnionType):
        return tuple(part for part in typing.get_args(kind) if part is not type(None))
    return (kind,)


def _list_choices(kind: Any) -> tuple[Any, ...]:
    """Returns the values of a Literal: pydantic accepts 1 for `Literal[1]`, but not "1"."""
    return typing.get_args(kind) if typing.get_origin(kind) is Literal else ()


def _format_type(kind: Any) -> str:
    names = []
    for part in _list_alternatives(kind):
        if choices := _list_choices(part):
            names.append("|".join(map(str, choices)))
        elif isinstance(part, type) and issubclass(part, enum.Enum):
            names.append("|".join(str(member.value) for member in part))
        else:
            names.append(getattr(part, "__name__", str(part)))
    return "|".join(names)
