"""The exports of models in the user's cache folder.

An export is a folder that is named by its digest: the graph (`model.xml`, `model.bin`), the test
input with torch's results (`test.npz`), and `export.json`. It appears whole under its name or not
at all, so jobs may make the same export at the same time. A file that is damaged later is found by
its sha256, and the export is made again. Where no folder is writable, exports last as long as the
process.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from batchcolor.errors import BatchcolorError
from batchcolor.inference.backends.backend import Array
from batchcolor.inference.weights import hash_file
from batchcolor.storage.atomic import remove_stale_temporaries, sync_to_disk, temporary_folder
from batchcolor.storage.user_cache import NoCacheFolderError, find_cache_folder

MAX_EXPORTS = 24
"""Exports that are kept, each with the size of its model's weights; the oldest are removed."""
GRAPH, TEST, STATE = "model.xml", "test.npz", "export.json"
CANNOT_STORE = (BatchcolorError, NoCacheFolderError, OSError)
"""What `store_export` raises where no folder is writable, or the disk is full."""


@dataclass(frozen=True)
class Export:
    """One export. Where `obstacle` is not empty, it says why there is none."""

    precision: str = ""
    luma: Array = field(default_factory=lambda: np.zeros(0, np.float32), repr=False)
    """The test input `(N, 1, S, S)`."""
    chroma: Array = field(default_factory=lambda: np.zeros(0, np.float32), repr=False)
    """What torch computes from it, `(N, 2, s, s)`."""
    graph: Any = field(default=None, repr=False)
    """The graph in memory, or its file."""
    obstacle: str = ""


def find_export(digest: str) -> Export | None:
    """Returns the export of that digest, or None where there is none or it is damaged."""
    try:
        return _read_export(find_cache_folder("exports").path / digest)
    except (NoCacheFolderError, OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _read_export(folder: Path) -> Export:
    """Reads an export. Raises ValueError for a damaged one, other errors for a missing one."""
    state = json.loads((folder / STATE).read_text())
    for name, stated in state["sha256"].items():
        if hash_file(folder / name) != stated:
            raise ValueError(f"{folder / name} is damaged")
    with contextlib.suppress(OSError):
        os.utime(folder)  # the order in which exports are removed
    if state["obstacle"]:
        return Export(obstacle=str(state["obstacle"]))
    with np.load(folder / TEST, allow_pickle=False) as test:
        return Export(state["precision"], test["luma"], test["chroma"], folder / GRAPH)


def store_export(digest: str, export: Export, save_graph: Callable[..., None]) -> None:
    """Stores an export; `save_graph` writes a graph into a file. Raises `CANNOT_STORE`."""
    folder = find_cache_folder("exports").path
    target = folder / digest
    remove_stale_temporaries(folder)
    with temporary_folder(target) as temporary:
        if not export.obstacle:
            save_graph(export.graph, temporary / GRAPH, compress_to_fp16=False)
            np.savez(temporary / TEST, luma=export.luma, chroma=export.chroma)
        files = sorted(temporary.iterdir())
        state = {
            "precision": export.precision,
            "obstacle": export.obstacle,
            "sha256": {file.name: hash_file(file) for file in files},
        }
        (temporary / STATE).write_text(json.dumps(state))
        for file in (*files, temporary / STATE):
            sync_to_disk(file)
        _publish(temporary, target)
    _remove_oldest(folder, target)


def _publish(temporary: Path, target: Path) -> None:
    """Renames the folder, unless another job has stored a whole one meanwhile."""
    if target.exists() and find_export(target.name) is None:
        shutil.rmtree(target, ignore_errors=True)
    try:
        temporary.rename(target)
    except OSError:
        if find_export(target.name) is None:
            raise


def _remove_oldest(folder: Path, kept: Path) -> None:
    with contextlib.suppress(OSError):
        exports = sorted(
            (entry for entry in folder.iterdir() if (entry / STATE).exists() and entry != kept),
            key=lambda entry: entry.stat().st_mtime,
        )
        for entry in exports[: max(0, len(exports) + 1 - MAX_EXPORTS)]:
            shutil.rmtree(entry, ignore_errors=True)
