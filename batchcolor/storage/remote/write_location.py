"""Writes a single file to a path or a URL: a report."""

from __future__ import annotations

from pathlib import Path

from batchcolor.errors import OutputError, UsageError
from batchcolor.storage.atomic import write_atomic
from batchcolor.storage.locations import Url


def write_location(location: Path | Url, content: bytes, retries: int) -> None:
    """Writes a file whole or not at all; an existing one is replaced. Raises OutputError."""
    if isinstance(location, Path):
        write_atomic(location, content)
        return
    from batchcolor.storage.remote.errors import StorageError
    from batchcolor.storage.remote.session import RemoteSession

    session = RemoteSession(retries=retries)
    try:
        opened = session.open(location)
        session.retry.call(lambda: opened.store.write(content, opened.path))
    except StorageError as error:
        raise OutputError(f"{location.shown} cannot be written: {error}") from error
    finally:
        session.close()


def check_writable_url(url: Url, option: str) -> None:
    """Raises UsageError for a URL that nothing can be written to."""
    from batchcolor.storage.remote.session import RemoteSession

    session = RemoteSession()
    try:
        if not session.open(url).store.is_writable:
            raise UsageError(f"{option} {url.shown}: cannot be written; name another place")
    finally:
        session.close()
