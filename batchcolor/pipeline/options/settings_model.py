"""SettingsModel: base of the settings of a command; values that do not fit raise UsageError."""

from __future__ import annotations

from typing import Any, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    ModelWrapValidatorHandler,
    ValidationError,
    model_validator,
)

from batchcolor.errors import UsageError
from batchcolor.pipeline.options.option import declared_options


class SettingsModel(BaseModel):
    """Frozen settings, each declared once as a field with an `Option`.

    The command line and docs/options.md are generated from the fields. Raises UsageError.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)

    @model_validator(mode="wrap")
    @classmethod
    def _validate(cls, values: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        try:
            settings = handler(values)
        except ValidationError as error:
            raise UsageError(cls._describe_error(error)) from error
        settings._check_combinations()
        return settings

    def _check_combinations(self) -> None:
        """Raises UsageError for values that exclude each other."""

    @classmethod
    def _describe_error(cls, error: ValidationError) -> str:
        """Returns one sentence about the first value that does not fit."""
        first = error.errors()[0]
        name = str(first["loc"][0]) if first["loc"] else ""
        declared = declared_options(cls).get(name)
        if declared is None:
            return f"{name}: there is no such option"
        return f"{declared.flags[0]} {first['input']}: {declared.expected}"
