"""Jobs of one process that run at the same time, and what a job leaves in the process."""

from __future__ import annotations

import pickle
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import batchcolor
from batchcolor.pipeline.report import Report
from batchcolor.storage.atomic import temporary_path
from batchcolor.storage.in_flight import InFlightRecord, take_interrupted


def names_of_threads() -> set[str]:
    return {thread.name for thread in threading.enumerate()}


def test_a_job_that_ends_leaves_the_temporaries_of_another_job(tmp_path, flat, album):
    with temporary_path(tmp_path / "other.png") as temporary:
        report = batchcolor.run(album(2), output=tmp_path / "out", model=flat)
        assert report.done == 2
        assert temporary.exists()
    assert not temporary.exists()


@pytest.mark.parametrize("kind", [RuntimeError, KeyboardInterrupt])
def test_an_exception_in_the_progress_callback_ends_the_job(tmp_path, flat, album, kind):
    before, folder, output = names_of_threads(), album(40), tmp_path / "out"

    def stop(report: Report) -> None:
        raise kind("stopped by the caller")

    with pytest.raises(kind, match="stopped by the caller"):
        batchcolor.run(folder, output=output, model=flat, progress=stop)
    assert names_of_threads() <= before
    assert list(output.rglob("*.batchcolor-tmp")) == []
    assert list(output.rglob("in-flight-*")) == []
    again = batchcolor.run(folder, output=output, model=flat)
    assert (again.done + again.skipped, again.failed) == (40, 0)


class SlowReport(Report):
    """A report whose counters are slow to read: another thread runs in between."""

    def __getattribute__(self, name: str) -> object:
        value = super().__getattribute__(name)
        if name in ("frames", "colored_skipped", "frames_expected", "done"):
            time.sleep(0.001)
        return value


def test_counters_of_a_report_are_exact_when_several_threads_count():
    report = SlowReport("flat", "out")

    def count(number: int) -> None:
        report.count_frame()
        report.count_colored_skipped()
        report.expect(1)
        report.note(f"note {number % 2}")

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(count, range(40)))
    assert (report.frames, report.colored_skipped, report.frames_expected) == (40, 40, 40)
    assert sorted(report.notes) == ["note 0", "note 1"]
    copied = pickle.loads(pickle.dumps(Report("flat", "out")))
    assert (copied.model, copied.output) == ("flat", "out")


class SlowList(list[int]):
    """A list whose test for elements is slow: another thread runs in between."""

    def __bool__(self) -> bool:
        has_elements = len(self) > 0
        time.sleep(0.005)
        return has_elements


def test_sources_held_by_several_threads_have_different_slots(tmp_path):
    record = InFlightRecord(tmp_path)
    record._free = SlowList()
    record.open({})
    barrier = threading.Barrier(4, timeout=10)

    def hold(number: int) -> None:
        barrier.wait()
        with record.hold(Path(f"/in/{number}.png"), "decode"):
            barrier.wait()

    try:
        with record.hold(Path("/in/a.png"), "decode"):
            pass
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(hold, range(4)))
        assert sorted(record._free) == [0, 1, 2, 3]
    finally:
        record.close()
    assert take_interrupted(tmp_path, is_exclusive=True) == []
