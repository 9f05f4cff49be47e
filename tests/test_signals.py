"""Signal handling that `run` and `train` share."""

from __future__ import annotations

import os
import signal
import threading

import pytest

from batchcolor.errors import ExitCode
from batchcolor.signals import handle_signals

pytestmark = pytest.mark.usefixtures("default_signals")
NUMBERS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@pytest.mark.parametrize(
    ("number", "code"),
    [
        (signal.SIGINT, ExitCode.SIGINT),
        (signal.SIGTERM, ExitCode.SIGTERM),
        (signal.SIGHUP, ExitCode.SIGTERM),
    ],
)
def test_a_signal_is_passed_on_as_an_exit_code_and_the_former_handler_is_restored(number, code):
    former = signal.getsignal(number)
    received: list[ExitCode] = []
    with handle_signals(received.append):
        os.kill(os.getpid(), number)
    assert received == [code]
    assert signal.getsignal(number) is former


@pytest.mark.parametrize("number", NUMBERS)
def test_a_signal_that_is_ignored_at_the_start_stays_ignored(number):
    former = signal.signal(number, signal.SIG_IGN)
    received: list[ExitCode] = []
    try:
        with handle_signals(received.append):
            os.kill(os.getpid(), number)
            os.kill(os.getpid(), number)
        assert received == []
        assert signal.getsignal(number) is signal.SIG_IGN
    finally:
        signal.signal(number, former)


def test_outside_the_main_thread_no_handler_changes():
    seen = []

    def work() -> None:
        with handle_signals(lambda code: None):
            seen.extend(signal.getsignal(number) for number in NUMBERS)

    former = [signal.getsignal(number) for number in NUMBERS]
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == former
