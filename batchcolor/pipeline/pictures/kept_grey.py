"""Sources that a person rejected: their result is the source itself, in grey."""

from __future__ import annotations

import shutil

from batchcolor.errors import ProcessingError
from batchcolor.pipeline.planning.task import Task
from batchcolor.storage.atomic import publish, sync_to_disk, temporary_path
from batchcolor.storage.fixity import Fixity, measure

COPY_MEMORY = 1 << 20
"""Bytes that a copy occupies, which is made in blocks."""


def is_byte_copy(task: Task) -> bool:
    """Whether the result of a rejected source is a copy of the file: where the format stays.

    Else it is decoded and written in grey.
    """
    if not task.correction.is_rejected or task.source.format != task.format:
        return False
    films = task.settings.films
    return not task.source.is_film or not (films.to_frames or films.name_suffix)


def copy_file(task: Task) -> Fixity:
    """Copies a source to its target byte for byte. Raises ProcessingError, OutputError."""
    source, target = task.source, task.target
    try:
        with temporary_path(target, source.size) as temporary:
            _copy(task, str(temporary))
            sync_to_disk(temporary)
            fixity = measure(temporary)
            if fixity.size != source.size:
                raise ProcessingError("commit", "changed while it was copied")
            publish(temporary, target, replace=task.replaces, mtime_ns=source.mtime_ns)
    except FileExistsError as error:
        raise ProcessingError("commit", "its name was taken while the job ran") from error
    return fixity


def _copy(task: Task, temporary: str) -> None:
    try:
        reader = task.source.path.open("rb")
    except OSError as error:
        raise ProcessingError("decode", f"cannot be read ({error.strerror})") from error
    with reader, open(temporary, "wb") as writer:  # noqa: PTH123
        shutil.copyfileobj(reader, writer, COPY_MEMORY)
