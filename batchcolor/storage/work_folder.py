"""Folders for the finished parts of a result, which lie beside each other in one parent folder."""

from __future__ import annotations

import contextlib
import shutil
from pathlib import Path

ATTEMPTS = 100
"""Attempts to create a folder whose parent another thread may remove at the same moment."""


def make_work_folder(folder: Path) -> None:
    """Creates a folder and its parents. Raises OSError."""
    for _ in range(ATTEMPTS):
        with contextlib.suppress(FileNotFoundError, FileExistsError):
            folder.mkdir(parents=True, exist_ok=True)
            return
    folder.mkdir(parents=True, exist_ok=True)  # raises the persistent error


def remove_work_folder(folder: Path) -> None:
    """Deletes a folder with its content, and its parent with the last folder in it."""
    shutil.rmtree(folder, ignore_errors=True)
    with contextlib.suppress(OSError):
        folder.parent.rmdir()
