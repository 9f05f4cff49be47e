"""Signals of a running job: the first one asks it to stop, a second Ctrl-C ends the process."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from batchcolor.errors import ExitCode
from batchcolor.storage.atomic import remove_own_temporaries

SHOW_CURSOR = b"\x1b[?25h\n"
"""The progress display hides the cursor."""


@contextmanager
def handle_signals(interrupt: Callable[[ExitCode], None]) -> Iterator[None]:
    """Calls `interrupt` with the exit code at each SIGINT, SIGTERM or SIGHUP.

    A second SIGINT removes temporary files and ends the process at once. Signals that are ignored
    at the start stay ignored, as under `nohup`. Outside the main thread nothing is changed.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    received: list[int] = []

    def receive(number: int, frame: FrameType | None) -> None:
        if number == signal.SIGINT and signal.SIGINT in received:
            remove_own_temporaries()
            if sys.stderr.isatty():
                os.write(2, SHOW_CURSOR)
            os._exit(ExitCode.SIGINT)
        received.append(number)
        interrupt(ExitCode.SIGINT if number == signal.SIGINT else ExitCode.SIGTERM)

    previous = {number: signal.signal(number, receive) for number in _active_signals()}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def _active_signals() -> list[int]:
    """SIGINT, SIGTERM and SIGHUP, without those that are ignored or that the system lacks."""
    names = ("SIGINT", "SIGTERM", "SIGHUP")
    numbers = [getattr(signal, name) for name in names if hasattr(signal, name)]
    return [number for number in numbers if signal.getsignal(number) != signal.SIG_IGN]
