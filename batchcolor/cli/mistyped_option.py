"""The message for an option that does not exist: near options, and model options for `--set`."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from typing import Any

from batchcolor.pipeline.options.option_values import model_option_keys

CUTOFF = 0.8
"""Similarity of difflib, 0 to 1, from which an option is suggested."""


def describe_mistyped_option(error: Exception, given: Sequence[str]) -> str | None:
    """The message for an unknown option with a suggestion; None for any other error."""
    if type(error).__name__ != "NoSuchOption":  # typer has a copy of click's own class
        return None
    option = str(getattr(error, "option_name", ""))
    context: Any = getattr(error, "ctx", None)
    parameters = context.command.params if context is not None else []
    flags = [flag for parameter in parameters for flag in parameter.opts if flag[:2] == "--"]
    key = option.lstrip("-").replace("-", "_")
    if "--set" in flags and f"{key}=" in model_option_keys():
        return f"no such option: {option}; write --set {key}={_value_after(option, given)}"
    near = difflib.get_close_matches(option, flags, n=1, cutoff=CUTOFF)
    return f"no such option: {option}" + (f"; did you mean {near[0]}?" if near else "")


def _value_after(option: str, given: Sequence[str]) -> str:
    """The value that was given with the option, else VALUE."""
    for index, word in enumerate(given):
        name, equals, value = word.partition("=")
        if name == option:
            following = given[index + 1 : index + 2]
            return value if equals else (following[0] if following else "VALUE")
    return "VALUE"
