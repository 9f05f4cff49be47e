"""StateCopy: the state folder of a remote output as a local one, for a command that reads it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from batchcolor.errors import UsageError
from batchcolor.storage.journal_files import STATE_FOLDER
from batchcolor.storage.locations import Url
from batchcolor.storage.mounts import Mount, add_mount
from batchcolor.storage.remote.errors import StorageError, is_missing_bucket
from batchcolor.storage.remote.journal_copy import JournalCopies
from batchcolor.storage.remote.open_store import OpenedUrl
from batchcolor.storage.remote.session import RemoteSession
from batchcolor.storage.remote.store import RemoteObject


class StateCopy:
    """A temporary folder with copies of the journals, decisions and records of one output."""

    def __init__(self, url: Url, opened: OpenedUrl, session: RemoteSession) -> None:
        self.folder = session.make_folder("state")
        """Stands for the output."""
        add_mount(Mount(self.folder, url.shown))
        self._url, self._opened = url, opened
        self._base = opened.path.rstrip("/")
        state = self.folder / STATE_FOLDER
        self._copies = JournalCopies(opened.store, self._base, state, session.retry)
        objects = list(self._list(f"{self._base}/{STATE_FOLDER}"))
        self.is_output = bool(objects)
        """Whether there is a state folder."""
        try:
            self._copies.fetch(objects)
        except StorageError as error:
            raise UsageError(f"{url.shown}: {error}") from error

    def has_objects(self) -> bool:
        """Whether there is anything below the URL. Raises UsageError."""
        return next(self._list(self._base), None) is not None

    def send(self, name: str) -> None:
        """Writes a file of lines to the storage, with those that others have written there.

        Raises OutputError.
        """
        self._copies.copy(self.folder / STATE_FOLDER / name)

    def _list(self, path: str) -> Iterator[RemoteObject]:
        try:
            yield from self._opened.store.list(path)
        except StorageError as error:
            if error.kind != "missing" or is_missing_bucket(error):
                raise UsageError(f"{self._url.shown}: {error}") from error


@contextmanager
def open_state(url: Url) -> Iterator[StateCopy]:
    """Copies the state folder of an output. Raises UsageError for a URL that cannot be read."""
    session = RemoteSession()
    try:
        yield StateCopy(url, session.open(url), session)
    finally:
        session.close()
