"""The state of a review without HTTP: folders that vanish, and writes that fail at their end."""

from __future__ import annotations

import shutil

import pytest

from batchcolor.hooks.manager import load_plugins
from batchcolor.review.session import ReviewSession
from batchcolor.review.write_job import WriteJob


@pytest.fixture(scope="module")
def plugins():
    return load_plugins(False)


def test_a_folder_that_was_removed_is_not_made_anew(results, plugins):
    session = ReviewSession(results, plugins)
    shutil.rmtree(results)
    session.check_changes()
    assert session.is_locked is False
    assert not results.exists()


def test_pages_learn_of_the_end_of_a_write_whatever_happens(plugins):
    events = []
    job = WriteJob(plugins, lambda kind, **values: events.append((kind, values)))

    def fail() -> None:
        raise OSError("the disk is gone")

    assert job.start([], fail)
    job.join()
    assert job.status["running"] is False
    assert "the disk is gone" in job.status["message"]
    assert events[-1] == ("reload", {})
