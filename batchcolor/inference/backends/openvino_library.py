"""Imports OpenVINO without its usage statistics.

`import openvino` reports itself to Intel through the package openvino-telemetry, which also writes
into the home folder. Where that package is missing, OpenVINO uses a stub of its own.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator

__all__ = ["openvino"]


@contextlib.contextmanager
def hide_module(name: str) -> Iterator[None]:
    """Makes `import name` fail within a `with` block, unless the module is imported already."""
    modules: dict[str, object] = sys.modules  # type: ignore[assignment]
    is_hidden = name not in modules
    if is_hidden:
        modules[name] = None
    try:
        yield
    finally:
        if is_hidden:
            del modules[name]


with hide_module("openvino_telemetry"):
    import openvino
