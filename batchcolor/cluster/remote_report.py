"""The merged report of an output on remote storage, where its journals and records are read."""

from __future__ import annotations

import tempfile
from pathlib import Path

from batchcolor.cluster.shard_report import MergedReport, merge_reports
from batchcolor.errors import UsageError
from batchcolor.storage.journal import STATE_FOLDER
from batchcolor.storage.locations import Url
from batchcolor.storage.remote.errors import StorageError
from batchcolor.storage.remote.journal_copy import JournalCopies
from batchcolor.storage.remote.session import RemoteSession


def merge_remote_reports(url: Url) -> MergedReport:
    """Returns the report of the last job on a remote output, as of the last copies of its state.

    Raises UsageError for a URL that cannot be read or has no results of batchcolor.
    """
    session = RemoteSession()
    try:
        opened = session.open(url)
        base = opened.path.rstrip("/")
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            copies = JournalCopies(opened.store, base, folder / STATE_FOLDER, session.retry)
            try:
                copies.fetch(list(opened.store.list(f"{base}/{STATE_FOLDER}")))
            except StorageError as error:
                raise UsageError(f"{url.shown}: cannot be read: {error}") from error
            return merge_reports(folder, url.shown)
    finally:
        session.close()
