"""The folder in which packed training pictures are cached."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from batchcolor.errors import UsageError
from batchcolor.storage.user_cache import CACHE_VARIABLE, NoCacheFolderError, find_cache_folder


def cache_folder(on_note: Callable[[str], None]) -> Path:
    """Returns a writable folder for packed pictures, and creates it.

    It is in the user's cache folder. Where that is not writable, it is in the system's folder for
    temporary files, which is noted. Raises UsageError where no folder is writable.
    """
    try:
        folder = find_cache_folder("stores")
    except NoCacheFolderError as error:
        text = str(error)
        if not text.startswith(CACHE_VARIABLE):
            text = f"no folder for the packed pictures: {text}"
        raise UsageError(text) from error
    if folder.reason:
        on_note(
            f"{folder.reason}: packed pictures are kept in {folder.path.parent} "
            f"(set {CACHE_VARIABLE} to change this)"
        )
    return folder.path
