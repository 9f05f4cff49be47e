"""batchcolor: colours folders of black-and-white photographs in batches.

The public names; each is imported when it is first used, so that `import batchcolor` is quick.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from batchcolor.api import colorize, load_colorizer
    from batchcolor.hooks.hookspecs import hookimpl
    from batchcolor.hooks.types import Colorizer, ColorizerSpec, Recipe

__version__ = "0.1.0"

__all__ = [
    "Colorizer",
    "ColorizerSpec",
    "Recipe",
    "__version__",
    "colorize",
    "hookimpl",
    "load_colorizer",
]

_HOMES = {
    "colorize": "batchcolor.api",
    "load_colorizer": "batchcolor.api",
    "hookimpl": "batchcolor.hooks.hookspecs",
    "Colorizer": "batchcolor.hooks.types",
    "ColorizerSpec": "batchcolor.hooks.types",
    "Recipe": "batchcolor.hooks.types",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'batchcolor' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)
