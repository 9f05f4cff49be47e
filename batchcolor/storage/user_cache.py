"""The user's cache folder: what is in it can be made again, so no job depends on it."""

from __future__ import annotations

import contextlib
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

CACHE_VARIABLE = "BATCHCOLOR_CACHE"
"""Environment variable with the cache folder."""


class NoCacheFolderError(Exception):
    """No folder for the cache is writable; the message says which ones are not."""


@dataclass(frozen=True)
class CacheFolder:
    """A writable folder, and why it is not the user's default one ("" where it is)."""

    path: Path
    reason: str = ""


def find_cache_folder(kind: str) -> CacheFolder:
    """Returns a writable folder for one kind of files, and creates it.

    Uses BATCHCOLOR_CACHE, else XDG_CACHE_HOME/batchcolor, else ~/.cache/batchcolor, and where
    there is no home folder or it is read-only, the system's folder for temporary files. Raises
    NoCacheFolderError where BATCHCOLOR_CACHE is not writable, or no folder is.
    """
    chosen = os.environ.get(CACHE_VARIABLE)
    if chosen:
        folder = Path(chosen)
        if not _is_writable(folder / kind):
            raise NoCacheFolderError(f"{CACHE_VARIABLE}: {folder} is not a writable folder")
        return CacheFolder(folder / kind)
    default = _find_user_cache()
    if default is not None and _is_writable(default / kind):
        return CacheFolder(default / kind)
    fallback = _find_fallback()
    if not _is_writable(fallback / kind) or not _is_own(fallback):
        raise NoCacheFolderError(
            f"{default or 'the home folder'} and {fallback} are not writable; "
            f"set {CACHE_VARIABLE} to a folder that is"
        )
    reason = f"{default} is not writable" if default else "there is no home folder"
    return CacheFolder(fallback / kind, reason)


def list_cache_folders(kind: str) -> list[Path]:
    """Returns the existing folders that files of one kind are read from, also read-only ones.

    They are those that `find_cache_folder` would use, in the same order.
    """
    chosen = os.environ.get(CACHE_VARIABLE)
    default = Path(chosen) if chosen else _find_user_cache()
    folders = [] if default is None else [default]
    with contextlib.suppress(OSError):
        folders += [] if chosen or not _is_own(_find_fallback()) else [_find_fallback()]
    return [folder / kind for folder in folders if _is_folder(folder / kind)]


def _is_folder(path: Path) -> bool:
    with contextlib.suppress(OSError):
        return path.is_dir()
    return False


def _find_fallback() -> Path:
    user = os.getuid() if hasattr(os, "getuid") else "user"
    return Path(tempfile.gettempdir()) / f"batchcolor-{user}"


def _find_user_cache() -> Path | None:
    base = os.environ.get("XDG_CACHE_HOME")
    try:
        return Path(base or Path.home() / ".cache") / "batchcolor"
    except RuntimeError:  # no HOME, and the user id has no entry in the password database
        return None


def _is_writable(folder: Path) -> bool:
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False


def _is_own(folder: Path) -> bool:
    """Whether the folder belongs to this user: another user could replace its content."""
    return not hasattr(os, "getuid") or folder.stat().st_uid == os.getuid()
