"""batchcolor: colours black-and-white photographs and films in batches.

The public names. Each is imported when it is first used, so that `import batchcolor` is fast.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from batchcolor.version import __version__

if TYPE_CHECKING:
    from batchcolor import testing
    from batchcolor.api import LoadedColorizer, colorize, colorize_many, load_colorizer, run
    from batchcolor.errors import (
        BatchcolorError,
        ClusterError,
        EvaluationDataError,
        ExitCode,
        InterruptedJobError,
        ModelError,
        NodeMismatchError,
        OutputError,
        OutputLockedError,
        PluginError,
        ProcessingError,
        StandardOutputError,
        TrainingDataError,
        TrainingDivergedError,
        UnknownModelError,
        UsageError,
        WeightsError,
    )
    from batchcolor.hooks.hookspecs import hookimpl
    from batchcolor.hooks.types import (
        ALGORITHMICALLY_ENHANCED,
        COMPOSITE_WITH_AI,
        CONTRACT_VERSION,
        Colorizer,
        ColorizerSpec,
        DoubtfulColorizer,
        HintedColorizer,
        Outcome,
        PictureInfo,
        Reader,
        ReadImage,
        Recipe,
        TemporalColorizer,
    )

__all__ = [
    "ALGORITHMICALLY_ENHANCED",
    "COMPOSITE_WITH_AI",
    "CONTRACT_VERSION",
    "BatchcolorError",
    "ClusterError",
    "Colorizer",
    "ColorizerSpec",
    "DoubtfulColorizer",
    "EvaluationDataError",
    "ExitCode",
    "HintedColorizer",
    "InterruptedJobError",
    "LoadedColorizer",
    "ModelError",
    "NodeMismatchError",
    "Outcome",
    "OutputError",
    "OutputLockedError",
    "PictureInfo",
    "PluginError",
    "ProcessingError",
    "ReadImage",
    "Reader",
    "Recipe",
    "StandardOutputError",
    "TemporalColorizer",
    "TrainingDataError",
    "TrainingDivergedError",
    "UnknownModelError",
    "UsageError",
    "WeightsError",
    "__version__",
    "colorize",
    "colorize_many",
    "hookimpl",
    "load_colorizer",
    "run",
    "testing",
]

_MODULES = {
    "batchcolor.api": ("LoadedColorizer", "colorize", "colorize_many", "load_colorizer", "run"),
    "batchcolor.hooks.hookspecs": ("hookimpl",),
    "batchcolor.hooks.types": (
        "ALGORITHMICALLY_ENHANCED",
        "COMPOSITE_WITH_AI",
        "CONTRACT_VERSION",
        "Colorizer",
        "ColorizerSpec",
        "DoubtfulColorizer",
        "HintedColorizer",
        "Outcome",
        "PictureInfo",
        "ReadImage",
        "Reader",
        "Recipe",
        "TemporalColorizer",
    ),
}
"""The module of each public name; the names that are missing here are errors."""


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'batchcolor' has no attribute {name!r}")
    if name == "testing":
        return importlib.import_module("batchcolor.testing")
    modules = (module for module, names in _MODULES.items() if name in names)
    return getattr(importlib.import_module(next(modules, "batchcolor.errors")), name)


def __dir__() -> list[str]:
    return sorted(__all__)
