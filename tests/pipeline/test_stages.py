"""Bounded stages: what holds back, what passes on, what stops."""

import threading
import time
import weakref

import pytest

from batchcolor.pipeline.items.frame_order import EndOfStream, one_stream_at_a_time
from batchcolor.pipeline.stages import (
    ByteBudget,
    Cancellation,
    CancelledError,
    Channel,
    start_thread,
)


def test_a_share_waits_until_bytes_are_given_back():
    budget = ByteBudget(100, 9, Cancellation())
    assert budget.acquire(80)
    waited = threading.Event()
    thread = threading.Thread(target=lambda: budget.acquire(50) and waited.set())
    thread.start()
    assert not waited.wait(0.1)
    budget.release(80)
    assert waited.wait(60)
    thread.join()
    assert budget.used == 50


def test_small_shares_are_bounded_in_number_too():
    stop = Cancellation()
    budget = ByteBudget(10**9, 3, stop)
    assert all(budget.acquire(1) for _ in range(3))
    passed = threading.Event()
    thread = threading.Thread(target=lambda: budget.acquire(1) and passed.set())
    thread.start()
    assert not passed.wait(0.1)
    budget.release(1)
    assert passed.wait(60)
    thread.join()


def test_a_gentle_stop_ends_the_wait_for_bytes():
    stop = Cancellation()
    budget = ByteBudget(10, 9, stop)
    budget.acquire(10)
    answers = []
    thread = threading.Thread(target=lambda: answers.append(budget.acquire(5)))
    thread.start()
    stop.draining.set()
    stop.wake()
    thread.join(60)
    assert answers == [False]


def test_a_batch_is_filled_across_producers_and_a_short_one_does_not_wait_for_ever():
    channel: Channel[int] = Channel(Cancellation(), 2)
    for number in range(5):
        channel.put(number)
    batches = channel.batches(4)
    assert next(batches) == [0, 1, 2, 3]
    assert next(batches) == [4]
    channel.end()
    channel.end()
    assert list(batches) == []


def test_a_worker_that_dies_ends_every_wait_and_its_error_is_reported():
    stop = Cancellation()
    channel: Channel[int] = Channel(stop, 1)
    ended = threading.Event()

    def wait() -> None:
        try:
            list(channel)
        except CancelledError:
            ended.set()
            raise

    def die() -> None:
        raise RuntimeError("struck")

    waiting = start_thread("waiting", wait, stop)
    start_thread("dying", die, stop).join(60)
    assert ended.wait(60)
    waiting.join(60)
    assert isinstance(stop.error, RuntimeError)
    with pytest.raises(CancelledError), stop.changed:
        stop.wait_for(lambda: False)


class Item:
    """An item of a channel, which a weak reference can observe."""

    stream = None


def wait_until_free(reference: weakref.ref[Item]) -> bool:
    end = time.monotonic() + 60
    while reference() is not None and time.monotonic() < end:
        time.sleep(0.01)
    return reference() is None


def consume_one_by_one(channel: Channel[Item]) -> None:
    channel.for_each(lambda item: None)


def consume_batches(channel: Channel[Item]) -> None:
    for batch in channel.batches(4, patience=0):
        del batch


def consume_in_stream_order(channel: Channel[Item | EndOfStream]) -> None:
    for item in one_stream_at_a_time(channel):
        del item


@pytest.mark.parametrize("consume", [consume_one_by_one, consume_batches, consume_in_stream_order])
def test_a_thread_that_waits_keeps_no_item_alive(consume):
    stop = Cancellation()
    channel = Channel(stop, 1)
    item = Item()
    reference = weakref.ref(item)
    thread = start_thread("consumer", lambda: consume(channel), stop)
    channel.put(item)
    del item
    assert wait_until_free(reference)
    channel.end()
    thread.join(60)
    assert stop.error is None
