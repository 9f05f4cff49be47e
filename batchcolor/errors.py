"""Every error that a user can meet, with its exit code.

A message says what happened and what to do next. `cli/app.py` prints the message on one line and
exits with the code; any other exception is an internal error and exits with 1.
"""

from __future__ import annotations

import errno
import os
from enum import IntEnum
from pathlib import Path

LIMITS = "limits"
"""The step of failures caused by an option: --max-pixels, --max-memory, --strict."""


WORKER = "worker"
"""The step of a failure that ended the process of a worker."""


class ExitCode(IntEnum):
    """Exit codes of the process; docs/scripting.md has the table."""

    DONE = 0
    INTERNAL_ERROR = 1
    USAGE = 2
    SOME_FAILED = 3
    EXTERNAL_FAILURE = 4
    MODEL_ERROR = 5
    SIGINT = 130
    SIGTERM = 143


class BatchcolorError(Exception):
    """An error with a message for the user and an exit code for the shell."""

    exit_code = ExitCode.INTERNAL_ERROR


class UsageError(BatchcolorError):
    """The request cannot be fulfilled: usage, no such source, output inside input, no memory."""

    exit_code = ExitCode.USAGE


class OutputLockedError(UsageError):
    """Another job is writing to the output folder."""


class TrainingDataError(UsageError):
    """There is no training data: an empty folder, one picture, only grey ones."""


class EvaluationDataError(UsageError):
    """There are no references to measure against: an empty folder, only grey pictures."""


class TrainingDivergedError(UsageError):
    """The loss is no longer a number; the last good checkpoint is kept."""


class ProcessingError(BatchcolorError):
    """One picture or film fails; the others continue.

    `step` is the step of the pipeline that failed: scan, plan, decode, chroma, join, encode,
    commit; or `LIMITS`, `WORKER`.
    """

    exit_code = ExitCode.SOME_FAILED

    def __init__(self, step: str, reason: str) -> None:
        super().__init__(reason)
        self.step = step
        self.reason = reason


class OutputError(BatchcolorError):
    """External failure: disk full, output folder read-only or gone. Run again to resume."""

    exit_code = ExitCode.EXTERNAL_FAILURE


class ClusterError(OutputError):
    """The cluster cannot be reached, or no node of it is left. Run again to resume."""


class StandardOutputError(OutputError):
    """Standard output cannot be written; everything else of the command was done."""


class ModelError(BatchcolorError):
    """A model, its weights or a plugin cannot be loaded."""

    exit_code = ExitCode.MODEL_ERROR


class UnknownModelError(ModelError):
    """No installed colorizer has that name."""


class WeightsError(ModelError):
    """Weights are missing, truncated, altered or of another network."""

    def __init__(self, path: Path | str, reason: str) -> None:
        super().__init__(f"{path}: {reason}")
        self.path = Path(path)


class PluginError(ModelError):
    """A plugin fails; the message has its package and version.

    `location` is `FILE:LINE` of the plugin's code, where known.
    """

    def __init__(self, message: str, location: str = "") -> None:
        super().__init__(message)
        self.location = location


class NodeMismatchError(ModelError):
    """No node of the cluster has what the job needs: this version, its plugins, its weights."""


class InterruptedJobError(BatchcolorError):
    """A signal ended the job. `exit_code` is 130 for SIGINT, 143 for SIGTERM and SIGHUP."""

    def __init__(self, message: str, exit_code: ExitCode) -> None:
        super().__init__(message)
        self.exit_code = exit_code


DENIED = frozenset({errno.EACCES, errno.EPERM, errno.ENAMETOOLONG, errno.ELOOP})
"""Errors of a path that a user can correct."""
DEVICE_FAILED = frozenset(
    {errno.EIO, errno.EROFS, errno.ENODEV, errno.ENXIO, errno.ENOTCONN, errno.ESTALE}
    | {errno.ETIMEDOUT, errno.EHOSTDOWN}
)
"""Errors of a disk, or of the connection to one."""


def translate_os_error(error: OSError) -> BatchcolorError | None:
    """Returns the error for the user where a path, its disk or its permissions are the cause."""
    if error.filename is None or error.errno not in DENIED | DEVICE_FAILED:
        return None
    message = f"{os.fsdecode(error.filename)}: {error.strerror}; correct the cause"
    if error.errno in DENIED:
        return UsageError(f"{message}, or name another file or folder")
    return OutputError(f"{message} and run the same command again")


def make_printable(name: object) -> str:
    """A name or sentence as it is shown: no control characters, odd bytes as `\\xNN`."""
    text = os.fsencode(name) if isinstance(name, str | os.PathLike) else str(name).encode()
    shown = text.decode("utf-8", "backslashreplace")
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in shown)
