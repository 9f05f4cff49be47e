"""The merged report of an output on remote storage, where its journals and records are read."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from batchcolor.cluster.shard_report import MergedReport, ShardProgress, merge_reports
from batchcolor.errors import UsageError
from batchcolor.images.scan import is_expected_name
from batchcolor.storage.journal import STATE_FOLDER, Journal
from batchcolor.storage.locations import Url
from batchcolor.storage.remote.errors import StorageError
from batchcolor.storage.remote.journal_copy import JournalCopies, is_journal, is_other_state
from batchcolor.storage.remote.open_store import OpenedUrl
from batchcolor.storage.remote.remote_lock import RemoteLock
from batchcolor.storage.remote.remote_output import find_output_folder
from batchcolor.storage.remote.session import RemoteSession
from batchcolor.storage.shard import Shard

ENDED = "complete"


def merge_remote_reports(url: Url) -> MergedReport:
    """Returns the report of the last job on a remote output.

    It is made from the copies of its state there, from the state of a job of this computer, and,
    unless all shards are complete, from the objects that were put since the last copy.

    Raises UsageError for a URL that cannot be read or has no results of batchcolor.
    """
    session = RemoteSession()
    try:
        opened = session.open(url)
        with tempfile.TemporaryDirectory() as name:
            return _merge(url, opened, session, Path(name))
    except StorageError as error:
        raise UsageError(f"{url.shown}: cannot be read: {error}") from error
    finally:
        session.close()


def _merge(url: Url, opened: OpenedUrl, session: RemoteSession, folder: Path) -> MergedReport:
    base, state = opened.path.rstrip("/"), folder / STATE_FOLDER
    with contextlib.suppress(UsageError):  # no cache folder
        _copy_own_state(find_output_folder(url) / STATE_FOLDER, state)
    copies = JournalCopies(opened.store, base, state, session.retry)
    try:
        copies.fetch(list(opened.store.list(f"{base}/{STATE_FOLDER}")))
    except StorageError as error:
        if error.kind != "missing" or not state.is_dir():
            raise
    lock = RemoteLock(opened.store, base, url.shown, session.retry)

    def is_running(shard: Shard | None) -> bool:
        return not opened.store.has_conditions or lock.is_held(shard)

    merged = merge_reports(folder, url.shown, is_running)
    if merged.total.state == ENDED:
        return merged
    keys = (found.key for found in opened.store.list(base))
    return _add_unrecorded(merged, _count_unrecorded(keys, folder))


def _copy_own_state(own: Path, state: Path) -> None:
    """Copies what a job on this computer has recorded; other computers see it with a delay."""
    if not own.is_dir():
        return
    state.mkdir()
    for path in own.iterdir():
        if is_journal(path.name) or is_other_state(path.name):
            shutil.copy(path, state)


def _count_unrecorded(keys: Iterable[str], folder: Path) -> int:
    """How many pictures and films of an output are in no journal."""
    known = {entry.target for entry in Journal(folder, lock=False).results()}
    return sum(
        is_expected_name(key.rpartition("/")[2], ())
        for key in keys
        if key not in known and not key.startswith(f"{STATE_FOLDER}/")
    )


def _add_unrecorded(merged: MergedReport, count: int) -> MergedReport:
    """Counts results without a line in a journal as done: in the sum, as their shard is not known,
    and of a job without shards."""

    def add(progress: ShardProgress) -> ShardProgress:
        missing = count if progress.missing is None else min(count, progress.missing)
        return replace(progress, done=progress.done + missing)

    shards = merged.shards
    if len(shards) == 1:
        shards = (add(shards[0]),)
    return replace(merged, shards=shards, total=add(merged.total))
