"""Python warnings of decoders and of the file system become notes of the job that caused them.

The thread in which a warning occurs says which job, and which picture, it belongs to.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from batchcolor.hooks.thread_warnings import receive_warnings
from batchcolor.pipeline.report import Report
from batchcolor.storage.atomic import FileSystemWarning


class _Current(threading.local):
    """The notes of the picture that the current thread has in work."""

    notes: list[str] | None = None


_current = _Current()


@contextmanager
def note_warnings(report: Report) -> Iterator[None]:
    """Adds the warnings of the current thread to the report of its job, until the end of the
    block."""

    def receive(message: str, category: type[Warning]) -> None:
        if issubclass(category, FileSystemWarning):
            report.note(message)
            return
        text = f"a decoder warned: {message}".strip()
        if _current.notes is None:
            report.note(text)
        elif text not in _current.notes:
            _current.notes.append(text)

    with receive_warnings(receive):
        yield


@contextmanager
def collect_warnings() -> Iterator[list[str]]:
    """Yields a list to which the warnings of the current thread are added, until the end of the
    block: they concern one picture, and not the job."""
    previous, _current.notes = _current.notes, []
    try:
        yield _current.notes
    finally:
        _current.notes = previous
