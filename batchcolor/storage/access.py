"""Errors of access to files that the system reports without a cause, and checks that raise none."""

from __future__ import annotations

import errno
import os
from pathlib import Path


def denied_access_error(path: Path) -> OSError:
    """Returns the error of a write to a path that `os.access` denies.

    Its cause is a file system that is read-only, or else a missing permission.
    """
    number = errno.EACCES
    if hasattr(os, "statvfs") and os.statvfs(path).f_flag & os.ST_RDONLY:
        number = errno.EROFS
    return OSError(number, os.strerror(number))


def is_reachable_folder(path: Path) -> bool:
    """Whether a path is a folder that can be reached.

    `Path.is_dir` raises for links and folders without access.
    """
    return os.path.isdir(path)  # noqa: PTH112


def resolve_links(path: Path) -> Path:
    """Returns the absolute path without links; one that leads to itself stays.

    `Path.resolve` raises for such a link in Python 3.11 and 3.12.
    """
    return Path(os.path.realpath(path))
