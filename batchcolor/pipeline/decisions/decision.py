"""Decision: what a person decided about one source, as it is stored in files.

The form of a line of `decisions.jsonl` and of a sidecar is described in docs/decisions.md.
"""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainValidator,
    ValidationError,
    field_validator,
)

from batchcolor.inference.hints.hint import Hint

VERSION = 1
"""Version of the form of a decision. Files of a later version are reported and not applied."""

State = Literal["none", "approved", "rejected"]
"""`rejected`: the result is the source as it is, in grey."""


class InvalidDecisionError(ValueError):
    """A text is not a decision; the message says what is wrong with it."""


def _read_text(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError("must be text")
    return value


def _read_option(value: object) -> object:
    """The text of an option of a model, as `--set` takes it."""
    if isinstance(value, bool):
        return str(value).lower()
    return str(value) if isinstance(value, int | float) else value


FileText = Annotated[str, PlainValidator(_read_text)]
"""A path; may hold the surrogates of a name that is not UTF-8, which pydantic's text may not."""
Strength = Annotated[float, Field(ge=0, le=2, allow_inf_nan=False)]


class ShotDecision(BaseModel):
    """What is decided about a shot of a film, from the frame `frame` to its end."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    frame: int = Field(ge=0)
    """The first frame of the shot, from 0; a later one: the rest of the shot."""
    state: State = "none"
    strength: Strength | None = None
    reference: FileText | None = None


def describe_json_error(error: json.JSONDecodeError) -> str:
    """Returns what is wrong with JSON of one line."""
    return f"it is not JSON: {error.msg[:1].lower()}{error.msg[1:]} at character {error.pos + 1}"


class Decision(BaseModel):
    """What is decided about one source. Values that are not set are those of the job.

    `source` is the path of the picture or film below the source folder, with `/` between its parts;
    in a job with several sources below the folder of results, as `FOLDER/NAME`. Raises pydantic's
    ValidationError.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: int = Field(default=VERSION, ge=1)
    source: FileText = ""
    """Empty in a sidecar, which belongs to the file beside it."""
    digest: FileText = ""
    """`storage.journal.head_tail_digest` of the source; finds the decision after a rename."""
    state: State = "none"
    model: FileText | None = None
    strength: Strength | None = None
    options: dict[str, Annotated[str, BeforeValidator(_read_option)]] = Field(default_factory=dict)
    """Options of the model, as `--set`."""
    reference: FileText | None = None
    """A colour picture whose colours are transferred, as `--like`; relative paths begin at the
    folder of the sidecar, or at the output folder."""
    hints: tuple[Hint, ...] = ()
    shots: tuple[ShotDecision, ...] = ()
    """Of a film."""
    time: FileText = ""
    """When it was decided, ISO 8601; for information."""

    @field_validator("version")
    @classmethod
    def _check_version(cls, version: int) -> int:
        if version > VERSION:
            raise ValueError(f"version {version} is of a later batchcolor; update to use it")
        return version

    @classmethod
    def parse(cls, text: str | bytes) -> Self:
        """The decision of a line or of a sidecar. Raises InvalidDecisionError."""
        try:
            return cls.from_values(json.loads(text))
        except json.JSONDecodeError as error:
            raise InvalidDecisionError(describe_json_error(error)) from error
        except UnicodeDecodeError as error:
            raise InvalidDecisionError("it is not UTF-8") from error
        except RecursionError as error:
            raise InvalidDecisionError("its JSON is nested too deeply") from error

    @classmethod
    def from_values(cls, values: object) -> Self:
        """The decision of a JSON object. Raises InvalidDecisionError."""
        if not isinstance(values, dict):
            raise InvalidDecisionError("it is not a JSON object")
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            raise InvalidDecisionError(describe_validation_error(error)) from error

    def as_values(self) -> dict[str, Any]:
        """The JSON object: `version`, and what differs from its default."""
        return {"version": self.version, **self.model_dump(exclude_defaults=True, mode="python")}

    def as_line(self) -> bytes:
        """A line of `decisions.jsonl`, with its end."""
        return json.dumps(self.as_values()).encode() + b"\n"

    @property
    def is_empty(self) -> bool:
        """Whether nothing is decided: the line resets earlier decisions."""
        return not self.model_dump(exclude_defaults=True, exclude=_IDENTITY)

    @property
    def changes_colors(self) -> bool:
        """Whether it asks for other colours than those of the job."""
        return bool(self.model_dump(exclude_defaults=True, exclude={*_IDENTITY, "state"}))

    def find_shot(self, first: int, last: int) -> ShotDecision | None:
        """What is decided about a shot that begins at frame `first`, at its frame `last`."""
        found = [shot for shot in self.shots if first <= shot.frame <= last]
        return max(found, key=lambda shot: shot.frame) if found else None

    def over(self, below: Decision) -> Decision:
        """This decision; what it leaves open is that of `below`. Hints are not mixed."""
        values = {
            name: getattr(below, name)
            for name in DECIDED
            if getattr(self, name)
            == type(self).model_fields[name].get_default(call_default_factory=True)
        }
        return self.model_copy(update=values)

    def without(self, below: Decision) -> Decision:
        """This decision without the values that `below` has as well: `over(below)` is the same."""
        values = {
            name: type(self).model_fields[name].get_default(call_default_factory=True)
            for name in DECIDED
            if getattr(self, name) == getattr(below, name)
        }
        return self.model_copy(update=values)


_IDENTITY = {"version", "source", "digest", "time"}
DECIDED = tuple(name for name in Decision.model_fields if name not in _IDENTITY)
"""The fields that say what is decided."""


def describe_validation_error(error: ValidationError) -> str:
    """One sentence about the first value that does not fit."""
    first = error.errors()[0]
    place = ".".join(map(str, first["loc"]))
    if first["type"] == "extra_forbidden":
        return f"{place}: there is no such key"
    message = first["msg"].removeprefix("Value error, ").removeprefix("Input should be ")
    value = first["input"]
    shown = f" = {value!r}" if isinstance(value, str | int | float | bool | None) else ""
    return f"{place}{shown}: {message}"[:300]
