"""Checks that the file of `--metrics` can replace nothing else."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from batchcolor.errors import OutputError, UsageError
from batchcolor.pipeline.options.metrics_target import parse_metrics_target
from batchcolor.pipeline.planning.sources import Root
from batchcolor.storage.access import is_reachable_folder, resolve_links

START = (b"# HELP ", b"# TYPE ")
"""What a file of metrics begins with."""


def check_metrics(path: Path | None, roots: Sequence[Root]) -> None:
    """Raises UsageError where metrics would replace another file or lie inside a source.

    Raises OutputError where the file cannot be written.
    """
    target = None if path is None else parse_metrics_target(path)
    if not isinstance(target, Path):
        return
    if target.is_dir():
        raise UsageError(f"--metrics {target} is a folder; name a file, as batchcolor.prom")
    parent = next(folder for folder in target.absolute().parents if folder.exists())
    if not os.access(target if target.exists() else parent, os.W_OK):
        raise OutputError(f"--metrics {target} cannot be written; name a file in another folder")
    if target.is_file() and not _is_metrics(target):
        raise UsageError(
            f"--metrics {target} exists and is not a file of metrics; name another file"
        )
    for root in roots:
        if is_reachable_folder(root.path) and resolve_links(root.path) in target.resolve().parents:
            raise UsageError(
                f"--metrics {target} lies inside the source {root.path}; name a file outside"
            )


def _is_metrics(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            head = file.read(16)
    except OSError:
        return False
    return not head or head.startswith(START)
