"""The first results of remote sources do not wait for the names of all others."""

import time

import batchcolor
from batchcolor.pipeline import source_counter
from tests.grey_media import make_clip


def test_names_are_counted_after_the_first_picture(album, flat, serve, tmp_path, monkeypatch):
    monkeypatch.setattr(source_counter, "COUNT_DELAY", 60.0)
    requests = []
    url = serve(album(6), log=requests)
    report = batchcolor.run(url, output=tmp_path / "out", model=flat)
    assert (report.done, report.counted) == (6, 6)
    first = next(index for index, path in enumerate(requests) if path.endswith(".jpg"))
    assert requests[first:].count("/") == 1


def test_a_film_does_not_wait_for_the_count(flat, serve, tmp_path, monkeypatch):
    done = []

    def wait(counter):
        end = time.monotonic() + 300
        while not counter.report.done and time.monotonic() < end:
            time.sleep(0.02)
        done.append(counter.report.done)

    monkeypatch.setattr(source_counter.SourceCounter, "_wait_for_first", wait)
    make_clip(tmp_path / "films" / "first.mp4", frames=4)
    report = batchcolor.run(serve(tmp_path / "films"), output=tmp_path / "out", model=flat)
    assert (report.done, report.frames, done) == (1, 4, [1])
