"""Reads a single file from a path or a URL: a result, or a table of decisions."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from batchcolor.errors import UsageError
from batchcolor.storage.locations import Url, url_name


@contextmanager
def open_location(location: Path | Url) -> Iterator[Path]:
    """Holds a local file with the content and the time of change of a file that may be remote.

    In messages it has the name of the object. Raises UsageError where a URL names no object.
    """
    if not isinstance(location, Url):
        yield location
        return
    from batchcolor.storage.remote.session import RemoteSession
    from batchcolor.storage.remote.store import set_time

    session = RemoteSession()
    try:
        opened = session.open(location)
        found = session.ask(opened, lambda: opened.store.stat(opened.path))
        if found is None:
            raise UsageError(f"{location.shown} is a folder: name a file in it")
        session.check_space(location.shown, found.size)
        path = session.make_folder("file") / url_name(location)
        session.ask(opened, lambda: opened.store.fetch(found, path))
        set_time(path, found.mtime_ns)
        yield path
    finally:
        session.close()
