"""Signs results that are too large for the memory: films, documents and animations."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from batchcolor.pipeline.planning.task import Task
from batchcolor.storage.atomic import temporary_path

if TYPE_CHECKING:
    from batchcolor.images.provenance_marks.content_credentials import ContentCredentials
    from batchcolor.images.provenance_marks.provenance import Provenance


def describe_unsigned(task: Task, *, is_folder: bool) -> str:
    """Returns why the result of a task cannot be signed, or an empty string.

    `is_folder` states that source or result is a folder of frames.
    """
    from batchcolor.images.provenance_marks.content_credentials import can_sign

    if is_folder:
        return "not signed: Content Credentials are written to single files, not to folders"
    if not can_sign(task.format):
        return f"not signed: {task.format.name} cannot hold Content Credentials (--format mp4 can)"
    return ""


def sign_in_place(
    credentials: ContentCredentials, task: Task, temporary: Path, provenance: Provenance
) -> None:
    """Replaces the complete result of a task, a temporary file, by a signed one.

    Raises ProcessingError, OutputError.
    """
    with temporary_path(task.target) as signed:
        credentials.sign_file(temporary, signed, task.format, task.source.path, provenance)
        signed.replace(temporary)
