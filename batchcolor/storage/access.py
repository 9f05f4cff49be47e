"""Errors of access to files that the system reports without a cause."""

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
