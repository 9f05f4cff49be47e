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
import time
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from batchcolor.errors import BatchcolorError
from batchcolor.inference.backends.backend import Array
from batchcolor.inference.weights import hash_file
from batchcolor.storage.atomic import remove_stale_temporaries, sync_to_disk, temporary_folder
from batchcolor.storage.user_cache import (
    NoCacheFolderError,
    find_cache_folder,
    list_cache_folders,
)

MAX_EXPORTS, MAX_BYTES, MAX_AGE = 24, 2**30, 180 * 24 * 3600
"""Limits of what is kept: number, bytes, and seconds since the last use. An export has the size of
its model's weights. Those that were used longest ago are removed first."""
GRAPH, TEST, STATE = "model.xml", "test.npz", "export.json"
CANNOT_STORE = (BatchcolorError, NoCacheFolderError, OSError, RuntimeError)
"""What `store_export` raises where no folder is writable, or the disk is full. OpenVINO raises
RuntimeError for every failure."""
DAMAGE = (OSError, ValueError, KeyError, TypeError, AttributeError, EOFError, zipfile.BadZipFile)
"""What reading a missing or damaged export raises."""


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
    for folder in list_cache_folders("exports"):
        with contextlib.suppress(*DAMAGE):
            return _read_export(folder / digest)
    return None


def discard_export(digest: str) -> None:
    """Removes the export of that digest where its folder is writable."""
    for folder in list_cache_folders("exports"):
        shutil.rmtree(folder / digest, ignore_errors=True)


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
    if target.exists() and not _is_whole(target):
        shutil.rmtree(target, ignore_errors=True)
    try:
        temporary.rename(target)
    except OSError:
        if not _is_whole(target):
            raise


def _is_whole(folder: Path) -> bool:
    with contextlib.suppress(*DAMAGE):
        _read_export(folder)
        return True
    return False


def _remove_oldest(folder: Path, kept: Path) -> None:
    """Removes exports beyond the limits, and what is left of exports that were removed in part."""
    used, count, now = _measure(kept), 1, time.time()
    for modified, entry in sorted(_list_entries(folder, kept), reverse=True):
        size = _measure(entry)
        is_within = count < MAX_EXPORTS and used + size <= MAX_BYTES and now - modified < MAX_AGE
        if is_within and (entry / STATE).exists():
            used, count = used + size, count + 1
        else:
            shutil.rmtree(entry, ignore_errors=True)


def _list_entries(folder: Path, kept: Path) -> list[tuple[float, Path]]:
    """Returns the exports other than `kept`, with the time of their last use."""
    entries = []
    with contextlib.suppress(OSError):
        for entry in folder.iterdir():
            if entry != kept and not entry.name.startswith("."):  # those of jobs that run
                with contextlib.suppress(OSError):  # another job has removed it
                    entries.append((entry.stat().st_mtime, entry))
    return entries


def _measure(folder: Path) -> int:
    """Returns the bytes of a folder's files; 0 where it no longer exists."""
    with contextlib.suppress(OSError):
        return sum(file.stat().st_size for file in folder.iterdir())
    return 0
