"""What happens to a picture that is in colour already: `--if-colored copy` and `skip`."""

from __future__ import annotations

from pathlib import Path

from batchcolor.errors import ProcessingError
from batchcolor.pipeline.planning.planner import Plan
from batchcolor.pipeline.planning.task import Task
from batchcolor.storage.atomic import commit


def recolors(task: Task) -> bool:
    """Whether a picture in colour is coloured again: as the job or a decision on it asks."""
    return task.settings.if_colored == "recolor" or task.correction.changes_colors


def choose_copy_target(task: Task) -> Path:
    """The path of a copy: that of the result, with the source's suffix where the format differs."""
    source, target = task.source, task.target
    if source.format == task.format:
        return target
    return target.with_name(target.stem + source.path.suffix)


def copy_source(plan: Plan, task: Task) -> tuple[Path, bytes]:
    """Copies a picture into the output folder byte for byte; returns path and content of the copy.

    Raises ProcessingError where the name belongs to another file, OutputError for a full disk.
    """
    target = choose_copy_target(task)
    if conflict := plan.find_conflict(target):
        raise ProcessingError("commit", conflict)
    data = _read(task.source.path)
    is_remote, replaces = plan.remote_output is not None, task.replaces
    if is_remote and target != task.target:
        replaces = True  # of what is in the local folder
        is_kept = plan.settings.if_exists != "overwrite" and plan.has_result(target)
        if is_kept:
            raise _make_conflict(target)
    try:
        commit(
            data,
            target,
            lambda path: _check_size(path, len(data)),
            replace=replaces,
            mtime_ns=task.source.mtime_ns,
        )
    except FileExistsError as error:
        if target.is_file() and _read(target) == data:
            return target, data
        raise _make_conflict(target) from error
    return target, data


def _make_conflict(target: Path) -> ProcessingError:
    return ProcessingError(
        "commit",
        f"is in colour and was not copied: {target.name} exists in the output folder "
        f"(--if-exists overwrite replaces it)",
    )


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ProcessingError("commit", f"cannot be read: {error.strerror or error}") from error


def _check_size(path: Path, size: int) -> None:
    if path.stat().st_size != size:
        raise ProcessingError("commit", "the copy is not complete")
