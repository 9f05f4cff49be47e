"""Option: what the command line, the configuration file and the docs show of a settings field."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args, get_origin

from annotated_types import Ge, Le
from pydantic import BaseModel
from pydantic.fields import FieldInfo

Panel = Literal[
    "Data", "Colour", "Where", "Sheet", "Films", "Recipe", "Augmentation", "Machine", "Output"
]
"""The sections of a command's help; they are shown in the order of its fields."""


@dataclass(frozen=True)
class Option:
    """Metadata of a settings field, given in its `Annotated` type."""

    panel: Panel
    help: str
    flags: tuple[str, ...] = ()
    """Empty: the field's name with dashes."""
    metavar: str | None = None
    is_text: bool = False
    """Whether the command line and the configuration file give text that the field parses."""
    is_argument: bool = False
    is_list: bool = False
    """Whether one text holds all values of a tuple, as in `--strengths 0.5,1`."""
    has_path_values: bool = False
    """Whether the values of a table are paths, as `--like-for PATH=PICTURE`."""
    is_pair: bool = False
    """Whether the option takes two values, as `--c2pa CERT KEY`."""
    takes_url: bool = False
    """Whether the value is a path or a URL of remote storage."""
    expected: str = ""
    """What a valid value is, for messages; empty: derived from the field's type and range."""
    values: Callable[[], Sequence[str]] | None = None
    """The values that shell completion offers."""


@dataclass(frozen=True)
class DeclaredOption:
    """A field of a settings model with its metadata."""

    name: str
    option: Option
    field: FieldInfo

    @property
    def flags(self) -> tuple[str, ...]:
        """The names on the command line, the long one first."""
        return self.option.flags or (f"--{self.name.replace('_', '-')}",)

    @property
    def key(self) -> str:
        """The name in the configuration file: the long flag without its dashes."""
        return self.flags[0].removeprefix("--")

    @property
    def default(self) -> Any:
        """The field's default."""
        return self.field.get_default(call_default_factory=True)

    @property
    def type(self) -> Any:
        """The field's type without None."""
        annotation: Any = self.field.annotation
        members = [member for member in get_args(annotation) if member is not type(None)]
        if get_origin(annotation) in (Literal, tuple) or not members:
            return annotation
        return members[0]

    @property
    def is_repeated(self) -> bool:
        """Whether the option is given once for each value."""
        return get_origin(self.type) is tuple and not (self.option.is_list or self.option.is_pair)

    @property
    def expected(self) -> str:
        """What a valid value is, for messages."""
        if self.option.expected:
            return self.option.expected
        if get_origin(self.type) is Literal:
            return ", ".join(map(str, get_args(self.type)))
        lowest = [item.ge for item in self.field.metadata if isinstance(item, Ge)]
        highest = [item.le for item in self.field.metadata if isinstance(item, Le)]
        if lowest and highest:
            return f"a number from {lowest[0]} to {highest[0]}"
        if lowest:
            return f"at least {lowest[0]}"
        names = {int: "a whole number", float: "a number", bool: "true or false"}
        return names.get(self.type, "a path" if self.option.metavar else "text")


def declared_options(model: type[BaseModel]) -> dict[str, DeclaredOption]:
    """The fields of a settings model that are options, by name."""
    declared = {}
    for name, field in model.model_fields.items():
        for item in field.metadata:
            if isinstance(item, Option):
                declared[name] = DeclaredOption(name, item, field)
    return declared
