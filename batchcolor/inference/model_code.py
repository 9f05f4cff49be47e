"""Runs the code of a model in isolation, and finds the line of it that failed."""

from __future__ import annotations

import contextlib
import inspect
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import nn

from batchcolor.errors import BatchcolorError, PluginError
from batchcolor.hooks.failures import find_definition, find_location, format_error
from batchcolor.hooks.guard import preserve_global_state
from batchcolor.hooks.manager import RegisteredColorizer
from batchcolor.hooks.types import Colorizer, ColorizerSpec, TemporalColorizer
from batchcolor.inference import weights

LIBRARIES = (
    Path(torch.__file__).parent,
    *(Path(__file__).parents[1] / n for n in ("inference", "training")),
)
"""Folders of code that calls a model, or that a model calls."""


def build_colorizer(spec: ColorizerSpec, options: Any, name: str) -> Colorizer:
    """Builds the colorizer of a spec. Raises PluginError with `name` and the line that failed."""
    try:
        with isolate_model():
            return spec.build(options)
    except BatchcolorError:
        raise
    except (Exception, SystemExit) as error:
        text = f"{name} cannot be built: {format_error(error)}"
        raise PluginError(text, find_location(error, LIBRARIES)) from error


def load_colorizer(
    registered: RegisteredColorizer, options: Any, weights_file: Path | None
) -> Colorizer:
    """Builds a colorizer and loads its verified weights. Raises WeightsError, PluginError."""
    spec, name = registered.spec, f"{registered.spec.name} of {registered.origin}"
    colorizer = build_colorizer(spec, options, name)
    if spec.temporal and not isinstance(colorizer, TemporalColorizer):
        raise PluginError(f"{name} is temporal but has no reset()")
    if weights_file is not None:
        if not isinstance(colorizer, nn.Module):
            raise PluginError(f"{name} has weights but is not a torch.nn.Module")
        weights.load(colorizer, weights_file)
    return colorizer


ISOLATED = threading.RLock()
"""Global state belongs to one model at a time, also where there are several devices."""


@contextlib.contextmanager
def isolate_model() -> Iterator[None]:
    """Restores global state, and keeps what a model prints out of standard output."""
    with ISOLATED, preserve_global_state(), contextlib.redirect_stdout(sys.stderr):
        yield


def find_model_location(error: BaseException | None, colorizer: Colorizer) -> str:
    """Returns `FILE:LINE` where a colorizer raised, or where it is defined if it did not raise.

    The result is empty for code that is not Python.
    """
    location = find_location(error, LIBRARIES) if error is not None else ""
    return location or find_definition(_find_function(colorizer))


def _find_function(colorizer: Colorizer) -> Any:
    if isinstance(colorizer, nn.Module):
        return type(colorizer).forward
    return colorizer if inspect.isroutine(colorizer) else type(colorizer).__call__
