"""Jobs of one process that run at the same time, and what a job leaves in the process."""

from __future__ import annotations

import faulthandler
import pickle
import subprocess
import sys
import threading
import time
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from PIL import Image

import batchcolor
from batchcolor.images.png.png_chunks import build_chunk
from batchcolor.pipeline.report import Report
from batchcolor.pipeline.warning_notes import note_warnings
from batchcolor.storage.atomic import temporary_path
from batchcolor.storage.in_flight import InFlightRecord, take_interrupted

WARNING = """
    import warnings
    import batchcolor

    class Doubtful:
        def __call__(self, luma):
            import torch
            warnings.warn("colours are doubtful")
            return torch.zeros((len(luma), 2, 4, 4), dtype=luma.dtype, device=luma.device)

    @batchcolor.hookimpl
    def batchcolor_colorizers():
        return [batchcolor.ColorizerSpec("warning", "w", 16, lambda options: Doubtful())]
"""


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


def test_a_crash_is_recorded_by_a_job_while_another_one_has_ended(tmp_path):
    folders = [tmp_path / name for name in ("first", "second", "third")]
    code = """
import ctypes, sys
from pathlib import Path
from batchcolor.storage.in_flight import InFlightRecord
first, second, third = (InFlightRecord(Path(folder)) for folder in sys.argv[1:])
for record in (first, second, third):
    record.open({})
third.close()
first.close()
with second.hold(Path("/in/a.png"), "decode"):
    ctypes.string_at(0)
"""
    for folder in folders:
        folder.mkdir()
    assert subprocess.run([sys.executable, "-c", code, *folders], check=False).returncode != 0
    crashes = [
        [one.crash for one in take_interrupted(folder, is_exclusive=True)] for folder in folders
    ]
    assert crashes == [[], ["Segmentation fault"], []]


def test_after_the_last_job_the_crash_handler_is_off_as_before(tmp_path):
    was_enabled = faulthandler.is_enabled()  # by pytest
    faulthandler.disable()
    try:
        records = [InFlightRecord(tmp_path / name) for name in "ab"]
        for record, name in zip(records, "ab", strict=True):
            (tmp_path / name).mkdir()
            record.open({})
        for record in records:
            assert faulthandler.is_enabled()
            record.close()
        assert not faulthandler.is_enabled()
        assert list(tmp_path.rglob("*-*")) == []
    finally:
        if was_enabled:
            faulthandler.enable(sys.__stderr__)


def test_warnings_go_to_the_report_of_the_job_that_causes_them(recwarn):
    warnings.simplefilter("default")
    warnings.simplefilter("ignore", DeprecationWarning)
    shown = warnings.showwarning
    first, second = Report("flat", "a"), Report("flat", "b")
    is_noted, is_ended = threading.Event(), threading.Event()

    def warn(text: str) -> None:
        warnings.warn(text, stacklevel=1)

    def run_first() -> None:
        with note_warnings(first):
            warn("of both")
            warn("of the first")
            is_noted.set()
            assert is_ended.wait(60)

    thread = threading.Thread(target=run_first)
    thread.start()
    assert is_noted.wait(60)
    warn("of no job")
    warnings.warn("ignored", DeprecationWarning, stacklevel=1)
    with note_warnings(second):
        warn("of both")
        is_ended.set()
        thread.join()
        warn("of the second")
    assert first.notes == ["a decoder warned: of both", "a decoder warned: of the first"]
    assert second.notes == ["a decoder warned: of both", "a decoder warned: of the second"]
    assert [str(one.message) for one in recwarn] == ["of no job"]
    assert warnings.showwarning is shown


def test_a_warning_in_a_thread_of_a_job_is_in_its_report(tmp_path, plugin, album):
    plugin("warnpack", WARNING)
    report = batchcolor.run(album(1), output=tmp_path / "out", model="warning")
    assert "a decoder warned: colours are doubtful" in report.notes


def test_a_warning_of_a_decoder_is_a_note_on_its_picture(tmp_path, plugin, album):
    folder = album(2)
    path = sorted(folder.iterdir())[0].with_suffix(".png")
    Image.new("L", (20, 20), 90).save(path)
    data = path.read_bytes()
    path.write_bytes(data[:33] + build_chunk("acTL", bytes(8)) + data[33:])
    report = batchcolor.run(folder, output=tmp_path / "out", model="beta")
    warned = [(Path(source).name, note) for source, note in report.picture_notes]
    assert [name for name, note in warned if "Invalid APNG" in note] == [path.name]
    assert not any("decoder warned" in note for note in report.notes)


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
    barrier = threading.Barrier(4, timeout=60)

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
