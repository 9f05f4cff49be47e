"""Compares the objects of a remote output with the checksums in its journals."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from batchcolor.errors import UsageError
from batchcolor.storage.fixity import CheckedResult, compare_fixity, measure
from batchcolor.storage.journal import STATE_FOLDER, Journal, JournalEntry, has_journal
from batchcolor.storage.locations import Url
from batchcolor.storage.remote.errors import StorageError
from batchcolor.storage.remote.journal_copy import JournalCopies
from batchcolor.storage.remote.prefetch import map_in_order
from batchcolor.storage.remote.session import RemoteSession
from batchcolor.storage.remote.store import RemoteObject

AHEAD = 32


def check_objects(url: Url) -> tuple[list[CheckedResult], list[Path]]:
    """Reads every result in the journals of a remote output; returns their states, and the objects
    that are in no journal.

    Raises UsageError for an output that cannot be read or has no journal.
    """
    session = RemoteSession()
    try:
        return _check_all(url, session)
    finally:
        session.close()


def _check_all(url: Url, session: RemoteSession) -> tuple[list[CheckedResult], list[Path]]:
    opened = session.open(url)
    folder = session.make_folder("state")
    try:
        listed = list(opened.store.list(opened.path))
        copies = JournalCopies(opened.store, opened.path, folder / STATE_FOLDER, session.retry)
        copies.fetch([found for found in listed if found.key.startswith(f"{STATE_FOLDER}/")])
    except StorageError as error:
        raise UsageError(f"{url.shown}: {error}") from error
    if not has_journal(folder):
        raise UsageError(
            f"{url.shown}: not an output of batchcolor: it has no {STATE_FOLDER}/journal.jsonl"
        )
    objects = {found.key: found for found in listed if not found.key.startswith(STATE_FOLDER)}

    def check(entry: JournalEntry) -> CheckedResult:
        path = Path(entry.target)
        found = objects.get(path.as_posix())
        return _check(session, url, entry, found, folder)

    entries: Iterator[JournalEntry] = iter(Journal(folder, lock=False).results())
    results = list(map_in_order(session.pool, check, entries, AHEAD))
    known = {result.path.as_posix() for result in results}
    return results, [Path(key) for key in objects if key not in known]


def _check(
    session: RemoteSession, url: Url, entry: JournalEntry, found: RemoteObject | None, folder: Path
) -> CheckedResult:
    path, store = Path(entry.target), session.open(url).store
    if found is None:
        return CheckedResult(path, "missing")
    local = folder / "objects" / path
    try:
        local.parent.mkdir(parents=True, exist_ok=True)
        session.retry.call(lambda: store.fetch(found, local))
        return compare_fixity(entry, measure(local))
    except StorageError as error:
        return CheckedResult(path, "unreadable", str(error))
    except OSError as error:
        return CheckedResult(path, "unreadable", error.strerror or str(error))
    finally:
        local.unlink(missing_ok=True)
