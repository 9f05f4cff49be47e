"""Records of plugins and of what failed in them."""

from __future__ import annotations

import importlib
import inspect
import traceback
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pluggy

_OWN_FOLDERS = (Path(__file__).parent, Path(pluggy.__file__).parent)


@dataclass(frozen=True)
class Origin:
    """The package that a plugin comes from: entry-point name, package, version, folder."""

    name: str
    package: str
    version: str
    folder: Path | None = None

    @property
    def plugin_id(self) -> str:
        """A name that is unique in the process: two packages may use one entry-point name."""
        return f"{self.package}:{self.name}"

    def __str__(self) -> str:
        return f"{self.name} ({self.package} {self.version})"


@dataclass(frozen=True)
class PluginFailure:
    """A plugin, or a part of one, that is not used, and why.

    `location` is `FILE:LINE` of the plugin's code, where known; `hook` the hook that failed;
    `model` the model that is not registered because of it.
    """

    origin: Origin
    error: str
    location: str = ""
    hook: str = ""
    model: str = ""

    def describe(self, *, with_location: bool = False) -> str:
        """Formats the failure on one line; `with_location` adds the file and the line."""
        where = f" ({self.location})" if with_location and self.location else ""
        return f"plugin {self.origin}: {self.error}{where}"


def format_error(error: BaseException) -> str:
    """Formats an error on one line."""
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def find_location(error: BaseException, libraries: Iterable[Path] = ()) -> str:
    """Returns `FILE:LINE` where a plugin raised; frames of the hooks and of pluggy do not count.

    `libraries` are folders of which no frame counts either: a plugin calls torch, and an error that
    torch raises has its cause in the plugin. Returns "" where no frame of the plugin is left.
    """
    if isinstance(error, SyntaxError) and error.filename:
        return f"{error.filename}:{error.lineno}"
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if not frame.filename.startswith("<") and Path(frame.filename).parent not in _OWN_FOLDERS
    ]
    for folder in (Path(importlib.__file__).parent, *libraries):
        frames = [frame for frame in frames if not Path(frame.filename).is_relative_to(folder)]
    return f"{frames[-1].filename}:{frames[-1].lineno}" if frames else ""


def find_definition(function: Any) -> str:
    """Returns `FILE:LINE` where a function is defined, or "" for one without Python code."""
    code = getattr(inspect.unwrap(function), "__code__", None)
    return f"{code.co_filename}:{code.co_firstlineno}" if code is not None else ""
