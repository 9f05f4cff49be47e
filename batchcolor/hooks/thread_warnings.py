"""Python warnings by thread: each thread decides what receives those that occur in it.

Python has one handler of warnings for the whole process, and `warnings.catch_warnings` replaces it
for every thread. So the handler is replaced when the first thread asks for its warnings and
restored after the last one. Warnings of other threads are shown as they would be otherwise.
"""

from __future__ import annotations

import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, TextIO, TypeAlias

Receiver: TypeAlias = Callable[[str, type[Warning]], None]
"""Gets the text of a warning and its category."""


class _Current(threading.local):
    """What receives the warnings of the current thread."""

    receive: Receiver | None = None


class _Handler:
    """The handler of warnings while a thread receives its own."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._users = 0
        self._previous = ExitStack()

    def begin(self) -> None:
        """Replaces the handler of the process for the first user.

        Also for a later one, if something else has restored the former handler meanwhile, as the
        end of a `catch_warnings` does.
        """
        with self._lock:
            self._users += 1
            if self._users > 1 and warnings.showwarning == self._receive:
                return
            self._previous = ExitStack()
            self._filters: Sequence[tuple[Any, ...]] = list(warnings.filters)
            self._show: Callable[..., object] = warnings.showwarning
            self._previous.enter_context(warnings.catch_warnings())
            warnings.simplefilter("always")  # "default" hides from a job what another one has had
            warnings.showwarning = self._receive

    def end(self) -> None:
        """Restores the handler of the process after the last user."""
        with self._lock:
            self._users -= 1
            if not self._users:
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
        if _current.receive is not None:
            _current.receive(str(message), category)
        elif _is_shown(message, category, self._filters):
            self._show(message, category, filename, lineno, file, line)


_current = _Current()
_handler = _Handler()


@contextmanager
def receive_warnings(receive: Receiver) -> Iterator[None]:
    """Passes the warnings of the current thread to `receive`, until the end of the block."""
    previous, _current.receive = _current.receive, receive
    _handler.begin()
    try:
        yield
    finally:
        _handler.end()
        _current.receive = previous


@contextmanager
def silence_warnings() -> Iterator[None]:
    """Drops the warnings of the current thread, until the end of the block."""
    with receive_warnings(lambda text, category: None):
        yield


def _is_shown(
    message: Warning | str, category: type[Warning], filters: Sequence[tuple[Any, ...]]
) -> bool:
    """Whether filters show a warning. Those for single modules and lines are not considered."""
    for action, text, kind, module, line in filters:
        is_general = module is None and not line and issubclass(category, kind)
        if is_general and (text is None or text.match(str(message))):
            return bool(action != "ignore")
    return True
