"""Warnings are received by the thread in which they occur, whatever other threads do."""

from __future__ import annotations

import threading
import warnings

import pytest

from batchcolor.hooks.thread_warnings import receive_warnings, silence_warnings


def test_silence_in_overlapping_threads_leaves_the_handler_of_the_process(
    recwarn: pytest.WarningsRecorder,
) -> None:
    warnings.simplefilter("default")
    shown, filters = warnings.showwarning, list(warnings.filters)
    is_inside, is_other_inside, is_left = (threading.Event() for _ in range(3))

    def enter_first() -> None:
        with silence_warnings():
            is_inside.set()
            assert is_other_inside.wait(60)
            warnings.warn("silent", stacklevel=1)
        is_left.set()

    thread = threading.Thread(target=enter_first)
    thread.start()
    assert is_inside.wait(60)
    with silence_warnings():  # begins before the other one ends, and ends after it
        is_other_inside.set()
        assert is_left.wait(60)
        warnings.warn("silent as well", stacklevel=1)
    thread.join()
    assert warnings.showwarning is shown
    assert list(warnings.filters) == filters
    warnings.warn("shown", stacklevel=1)
    assert [str(one.message) for one in recwarn] == ["shown"]


def test_the_innermost_receiver_gets_a_warning() -> None:
    outer: list[str] = []
    inner: list[str] = []
    with receive_warnings(lambda text, category: outer.append(text)):
        with receive_warnings(lambda text, category: inner.append(text)):
            warnings.warn("one", stacklevel=1)
        with silence_warnings():
            warnings.warn("none", stacklevel=1)
        warnings.warn("two", stacklevel=1)
    assert (outer, inner) == (["two"], ["one"])


def test_a_handler_that_something_else_restored_is_set_again() -> None:
    """As after a job in a thread that has not ended, and the end of a `catch_warnings`."""
    received: list[str] = []
    around = warnings.catch_warnings()
    around.__enter__()
    unfinished = silence_warnings()
    unfinished.__enter__()
    around.__exit__(None, None, None)
    with receive_warnings(lambda text, category: received.append(text)):
        warnings.warn("seen", stacklevel=1)
    unfinished.__exit__(None, None, None)
    assert received == ["seen"]
