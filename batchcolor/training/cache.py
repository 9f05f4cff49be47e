"""The folder in which packed training pictures are cached."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path

from batchcolor.errors import UsageError

CACHE_VARIABLE = "BATCHCOLOR_CACHE"
"""Environment variable with the cache folder."""


def cache_folder(on_note: Callable[[str], None]) -> Path:
    """Returns a writable folder for packed pictures, and creates it.

    Uses BATCHCOLOR_CACHE, else XDG_CACHE_HOME/batchcolor, else ~/.cache/batchcolor. Where there is
    no home folder, or it is read-only, uses the system's folder for temporary files and notes it.
    Raises UsageError if BATCHCOLOR_CACHE is not writable, or no folder is.
    """
    chosen = os.environ.get(CACHE_VARIABLE)
    if chosen:
        folder = Path(chosen)
        if not _is_writable(folder):
            raise UsageError(f"{CACHE_VARIABLE}: {folder} is not a writable folder")
        return folder / "stores"
    default = _find_user_cache()
    if default is not None and _is_writable(default):
        return default / "stores"
    user = os.getuid() if hasattr(os, "getuid") else "user"
    fallback = Path(tempfile.gettempdir()) / f"batchcolor-{user}"
    if not _is_writable(fallback) or not _is_own(fallback):
        raise UsageError(
            f"no folder for the packed pictures: {default or 'the home folder'} and {fallback} "
            f"are not writable; set {CACHE_VARIABLE} to a folder that is"
        )
    reason = f"{default} is not writable" if default else "there is no home folder"
    on_note(
        f"{reason}: packed pictures are kept in {fallback} (set {CACHE_VARIABLE} to change this)"
    )
    return fallback / "stores"


def _find_user_cache() -> Path | None:
    base = os.environ.get("XDG_CACHE_HOME")
    try:
        return Path(base or Path.home() / ".cache") / "batchcolor"
    except RuntimeError:  # no HOME, and the user id has no entry in the password database
        return None


def _is_writable(folder: Path) -> bool:
    try:
        (folder / "stores").mkdir(parents=True, exist_ok=True, mode=0o700)
        with tempfile.TemporaryFile(dir=folder / "stores"):
            return True
    except OSError:
        return False


def _is_own(folder: Path) -> bool:
    """Whether the folder belongs to this user: another user could replace its content."""
    return not hasattr(os, "getuid") or folder.stat().st_uid == os.getuid()
