"""Writes the contact strip of a film beside its result."""

from __future__ import annotations

from functools import partial

from batchcolor.errors import ProcessingError
from batchcolor.images.formats import JPEG
from batchcolor.images.verify import verify_image
from batchcolor.pipeline.options.settings import RunSettings
from batchcolor.pipeline.planning.task import Task
from batchcolor.storage.atomic import commit
from batchcolor.video.contact_strip import render_contact_strip


def write_contact_strip(task: Task, settings: RunSettings) -> list[str]:
    """Renders the finished film of `task` to `task.strip`, if one is requested.

    Returns notes about what failed: a strip never fails its film.
    """
    if task.strip is None:
        return []
    try:
        data = render_contact_strip(task.target, settings.max_pixels)
        commit(
            data,
            task.strip,
            partial(verify_image, expected=JPEG),
            replace=settings.if_exists == "overwrite",
            mtime_ns=task.source.mtime_ns,
        )
    except FileExistsError:
        return [f"{task.strip.name} exists and was kept"]
    except ProcessingError as error:
        return [f"no contact strip: {error.reason}"]
    return []
