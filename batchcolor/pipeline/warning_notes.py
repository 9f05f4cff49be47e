"""Python warnings of decoders and of the file system become notes of the job that caused them.

Python has one handler of warnings for the whole process. So it is replaced when the first of
several jobs begins and restored when the last one ends; the thread in which a warning occurs says
which job it belongs to. Warnings of other threads are shown as they would be without jobs.
"""

from __future__ import annotations

import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, TextIO

from batchcolor.pipeline.report import Report
from batchcolor.storage.atomic import FileSystemWarning


class _Current(threading.local):
    """The report of the job that the current thread works for, and the notes of its picture."""

    report: Report | None = None
    notes: list[str] | None = None


class _Handler:
    """The handler of warnings while jobs are running."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._jobs = 0
        self._previous = ExitStack()

    def begin(self) -> None:
        """Replaces the handler of the process when the first job begins."""
        with self._lock:
            self._jobs += 1
            if self._jobs > 1:
                return
            self._filters: Sequence[tuple[Any, ...]] = list(warnings.filters)
            self._show: Callable[..., object] = warnings.showwarning
            self._previous.enter_context(warnings.catch_warnings())
            warnings.simplefilter("always")  # "default" hides from a job what another one has had
            warnings.showwarning = self._receive

    def end(self) -> None:
        """Restores the handler of the process when the last job ends."""
        with self._lock:
            self._jobs -= 1
            if not self._jobs:
                self._previous.close()

    def _receive(
        self,
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,
        line: str | None = None,
    ) -> None:
        report = _current.report
        if report is None:
            if _is_shown(message, category, self._filters):
                self._show(message, category, filename, lineno, file, line)
        elif issubclass(category, FileSystemWarning):
            report.note(str(message))
        else:
            text = f"a decoder warned: {message}".strip()
            if _current.notes is None:
                report.note(text)
            elif text not in _current.notes:
                _current.notes.append(text)


_current = _Current()
_handler = _Handler()


@contextmanager
def note_warnings(report: Report) -> Iterator[None]:
    """Adds the warnings of a job to its report, until the end of the block, in which it runs."""
    _handler.begin()
    try:
        with assign_warnings(report):
            yield
    finally:
        _handler.end()


@contextmanager
def assign_warnings(report: Report) -> Iterator[None]:
    """Says that the current thread works for the job with this report, until the end of the
    block."""
    previous, _current.report = _current.report, report
    try:
        yield
    finally:
        _current.report = previous


@contextmanager
def collect_warnings() -> Iterator[list[str]]:
    """Yields a list to which the warnings of the current thread are added, until the end of the
    block: they concern one picture, and not the job."""
    previous, _current.notes = _current.notes, []
    try:
        yield _current.notes
    finally:
        _current.notes = previous


def _is_shown(
    message: Warning | str, category: type[Warning], filters: Sequence[tuple[Any, ...]]
) -> bool:
    """Whether filters show a warning. Those for single modules and lines are not considered."""
    for action, text, kind, module, line in filters:
        is_general = module is None and not line and issubclass(category, kind)
        if is_general and (text is None or text.match(str(message))):
            return bool(action != "ignore")
    return True
