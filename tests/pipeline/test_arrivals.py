"""Which files of a watched folder are complete, by a clock that the tests set."""

from __future__ import annotations

import os
import time

import pytest

from batchcolor.pipeline.watch.arrivals import PATIENCE, Arrivals


def make(settle: float = 2.0, *, readable: bool = True) -> Arrivals:
    return Arrivals(settle, lambda path: readable)


@pytest.fixture
def watched(tmp_path):
    """Arrivals whose first listing found an empty folder, and that folder."""
    arrivals = make()
    arrivals.update([], 100)
    return arrivals, tmp_path / "scan.jpg"


def test_a_file_is_taken_once_after_the_settle_time(watched):
    arrivals, path = watched
    path.write_bytes(b"x")
    arrivals.update([path], 101)
    assert arrivals.take(102.9) == frozenset()
    assert arrivals.has_pending
    assert arrivals.take(103) == {path}
    assert arrivals.take(104) == frozenset()
    assert not arrivals.has_pending


def test_a_file_that_grows_starts_to_settle_again(watched):
    arrivals, path = watched
    path.write_bytes(b"x")
    arrivals.update([path], 101)
    path.write_bytes(b"xx")
    arrivals.update([path], 102.5)
    assert arrivals.take(104) == frozenset()
    assert arrivals.take(104.5) == {path}


def test_a_file_that_changes_after_it_was_taken_arrives_again(watched):
    arrivals, path = watched
    path.write_bytes(b"x")
    arrivals.update([path], 101)
    assert arrivals.take(110) == {path}
    os.utime(path, ns=(1, 1))
    arrivals.update([path], 111)
    assert arrivals.take(120) == {path}


def test_an_old_file_of_the_first_listing_needs_no_wait_and_a_new_one_does(tmp_path):
    old, new = tmp_path / "old.jpg", tmp_path / "new.jpg"
    for path in (old, new):
        path.write_bytes(b"x")
    os.utime(old, (time.time() - 60, time.time() - 60))
    os.utime(new, (time.time() + 3600, time.time() + 3600))
    arrivals = make()
    arrivals.update([old, new], 100)
    assert arrivals.take(100) == {old}
    assert arrivals.take(102) == {new}


def test_an_old_file_that_is_moved_in_later_has_to_settle(watched):
    arrivals, path = watched
    path.write_bytes(b"x")
    os.utime(path, (1, 1))
    arrivals.update([path], 101)
    assert arrivals.take(101) == frozenset()


@pytest.mark.parametrize("content", [b"", b"header that is not complete"])
def test_an_empty_file_or_an_unreadable_header_is_waited_for_but_not_for_ever(tmp_path, content):
    path = tmp_path / "scan.jpg"
    arrivals = make(readable=False)
    arrivals.update([], 100)
    path.write_bytes(content)
    arrivals.update([path], 101)
    assert arrivals.take(101 + PATIENCE - 1) == frozenset()
    assert arrivals.take(101 + PATIENCE) == {path}


def test_a_download_is_taken_only_under_its_own_name(watched):
    arrivals, path = watched
    partial = path.with_name("scan.jpg.part")
    partial.write_bytes(b"x")
    arrivals.update([partial], 101)
    assert arrivals.take(500) == frozenset()
    partial.rename(path)
    arrivals.update([path], 501)
    assert arrivals.take(503) == {path}


def test_files_that_are_put_back_are_taken_again_unless_they_vanished(watched):
    arrivals, path = watched
    path.write_bytes(b"x")
    arrivals.update([path], 101)
    arrivals.put_back(arrivals.take(110))
    assert arrivals.take(110) == {path}
    path.unlink()
    arrivals.update([path], 111)
    arrivals.put_back([path])
    assert arrivals.take(200) == frozenset()
