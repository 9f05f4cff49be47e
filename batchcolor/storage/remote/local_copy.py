"""Local copies of files and folders that are read as they are: references, weights, photographs for
training.

They lie in the user's cache, by their URL. A copy is used again as long as the size and time of its
object are the same.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from batchcolor.errors import UsageError
from batchcolor.storage.atomic import publish, temporary_path
from batchcolor.storage.locations import Url, url_name
from batchcolor.storage.mounts import Mount, add_mount
from batchcolor.storage.remote.errors import StorageError
from batchcolor.storage.remote.open_store import OpenedUrl
from batchcolor.storage.remote.prefetch import map_in_order
from batchcolor.storage.remote.session import RemoteSession
from batchcolor.storage.remote.store import RemoteObject
from batchcolor.storage.remote.url_folder import find_url_folder
from batchcolor.storage.user_cache import NoCacheFolderError

CARD_SUFFIX = ".json"
AHEAD = 64


def make_local_copy(url: Url) -> Path:
    """A local file or folder with what a URL names.

    Beside a file lies its card, `NAME.json`, if there is one. Raises UsageError.
    """
    session = RemoteSession()
    try:
        opened = session.open(url)
        found = session.ask(opened, lambda: opened.store.stat(opened.path))
        folder = _find_folder(url)
        if found is None:
            _copy_folder(session, opened, folder)
            return folder
        target = folder.parent / url_name(url)
        _copy_file(session, opened, found, target)
        _copy_card(session, opened, target)
        return target
    finally:
        session.close()


def _find_folder(url: Url) -> Path:
    try:
        folder = find_url_folder("inputs", url, url_name(url) or "folder")
    except NoCacheFolderError as error:
        raise UsageError(f"{url.shown} needs a local cache folder: {error}") from error
    add_mount(Mount(folder.parent, url.shown.rstrip("/").rpartition("/")[0]))
    return folder


def _copy_folder(session: RemoteSession, opened: OpenedUrl, folder: Path) -> None:
    """Makes a local folder equal to a remote one; files that are equal already are kept."""
    kept: set[Path] = set()
    size = 0

    def list_objects() -> Iterator[tuple[RemoteObject, Path]]:
        nonlocal size
        for found in opened.store.list(opened.path):
            parts = PurePosixPath(found.key).parts
            if ".." in parts or found.key.startswith("/") or not parts:
                continue
            size += found.size or 0
            session.check_space(opened.shown, size)
            kept.add(folder.joinpath(*parts))
            yield found, folder.joinpath(*parts)

    try:
        for _ in map_in_order(
            session.pool, lambda one: _copy_file(session, opened, *one), list_objects(), AHEAD
        ):
            pass
    except StorageError as error:
        raise UsageError(f"{opened.shown}: {error}") from error
    for path in list(folder.rglob("*")):
        if path.is_file() and path not in kept:
            path.unlink()


def _copy_file(
    session: RemoteSession, opened: OpenedUrl, found: RemoteObject, target: Path
) -> None:
    """Fetches an object unless the local file has its size and time."""
    with contextlib.suppress(OSError):
        status = target.stat()
        is_same = (status.st_size, status.st_mtime_ns) == (found.size, found.mtime_ns)
        if is_same and found.mtime_ns:
            return
    if target.is_dir():
        shutil.rmtree(target)
    with temporary_path(target, found.size) as temporary:
        session.ask(opened, lambda: opened.store.fetch(found, temporary))
        publish(temporary, target, replace=True, mtime_ns=found.mtime_ns)


def _copy_card(session: RemoteSession, opened: OpenedUrl, target: Path) -> None:
    """Fetches the card of a weights file, if there is one."""
    if CARD_SUFFIX in target.suffixes:
        return
    path = os.path.splitext(opened.path)[0] + CARD_SUFFIX  # noqa: PTH122  (of the store)
    card = target.with_suffix(CARD_SUFFIX)
    try:
        found = session.retry.call(lambda: opened.store.stat(path))
    except StorageError:
        found = None
    if found is None:
        card.unlink(missing_ok=True)
    else:
        _copy_file(session, opened, found, card)
