"""RemoteAccess: what a review has open on remote storage; nothing before it is needed."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from batchcolor.storage.remote.fetched_files import FetchedFiles
    from batchcolor.storage.remote.session import RemoteSession

RETRIES = 2
"""Of each request: a person waits for it."""


class RemoteAccess:
    """A session and the copies of what was looked at last."""

    def __init__(self, temporary_space: int | None = None) -> None:
        self._temporary_space = temporary_space

    @cached_property
    def session(self) -> RemoteSession:
        """The session, which is made when it is needed first."""
        from batchcolor.storage.remote.session import RemoteSession

        return RemoteSession(self._temporary_space, RETRIES)

    @cached_property
    def files(self) -> FetchedFiles:
        """The copies of objects."""
        from batchcolor.storage.remote.fetched_files import FetchedFiles

        return FetchedFiles(self.session)

    def close(self) -> None:
        """Ends requests and removes the copies."""
        if "session" in vars(self):
            self.session.close()
