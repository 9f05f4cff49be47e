"""Locks of output folders, and file systems that lack them."""

from __future__ import annotations

import tempfile
from pathlib import Path

from filelock import BaseFileLock, FileLock, Timeout


def make_lock(path: Path) -> BaseFileLock:
    """A lock that the system releases when its process ends: never a lock file that stays."""
    return FileLock(path, fallback_to_soft=False, thread_local=False)


def is_lockable(folder: Path) -> bool:
    """Whether the file system of a folder has locks: a new file in it can be locked."""
    try:
        with tempfile.TemporaryDirectory(prefix=".lock-", dir=folder) as trial:
            make_lock(Path(trial) / "lock").acquire(timeout=0).lock.release()
    except (Timeout, NotImplementedError, OSError):
        return False
    return True
