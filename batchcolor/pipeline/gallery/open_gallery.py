"""Opens the gallery of a job."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from batchcolor.errors import ProcessingError
from batchcolor.hooks.types import Reader
from batchcolor.pipeline.gallery.held_files import FOLDER_NAME
from batchcolor.pipeline.gallery.places import GalleryPlace, find_place
from batchcolor.pipeline.gallery.writer import GalleryWriter
from batchcolor.pipeline.planning.planner import Plan
from batchcolor.storage.journal import STATE_FOLDER
from batchcolor.storage.remote.store import RemoteObject


def check_gallery(plan: Plan) -> GalleryPlace:
    """The place of the gallery of a job. Raises UsageError, OutputError."""
    place = find_place(plan.output, plan.remote_output)
    place.check()
    return place


def open_gallery(plan: Plan, model: str, readers: Sequence[Reader]) -> GalleryWriter:
    """The gallery of a job that has the lock of its output. Raises UsageError, OutputError."""
    if plan.shard is None:  # of a job that was killed
        shutil.rmtree(plan.output / STATE_FOLDER / FOLDER_NAME, ignore_errors=True)
    place = check_gallery(plan)

    def fetch_source(path: Path, found: RemoteObject | None, folder: Path) -> Path:
        return path if found is None else _fetch_source(plan, path, found, folder)

    pool = None if plan.session is None else plan.session.pool
    return GalleryWriter(place, model, readers, plan.shard, fetch_source, pool)


def _fetch_source(plan: Plan, path: Path, found: RemoteObject, folder: Path) -> Path:
    """Fetches a source of an earlier job. Raises ProcessingError."""
    from batchcolor.storage.remote.errors import StorageError

    root = next(root for root in plan.roots if root.path in path.parents)
    assert root.remote is not None
    local, store = folder / path.name, root.remote.store
    try:
        root.remote.session.retry.call(lambda: store.fetch(found, local))
    except StorageError as error:
        raise ProcessingError("scan", f"the source cannot be read: {error}") from error
    return local
