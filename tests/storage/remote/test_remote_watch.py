"""`--watch` on remote storage: what is new or changed in a listing."""

import io
from datetime import timedelta
from pathlib import Path

import fsspec
import pytest
from PIL import Image

import batchcolor
from batchcolor.errors import OutputError, UsageError
from batchcolor.pipeline.planning.remote_sources import open_remote_source
from batchcolor.pipeline.planning.sources import Root
from batchcolor.pipeline.watch import watch_job
from batchcolor.pipeline.watch.object_arrivals import ObjectArrivals
from batchcolor.storage.remote.session import RemoteSession

from .fault_proxy import Fault
from .test_remote_output import objects


class EndedError(Exception):
    """Ends a job that stays."""


@pytest.fixture(autouse=True)
def short_interval(monkeypatch):
    monkeypatch.setattr(watch_job, "REMOTE_SECONDS", 0.05)


def picture(level: int) -> bytes:
    buffer = io.BytesIO()
    Image.linear_gradient("L").point(lambda value: (value + level) % 256).save(buffer, "PNG")
    return buffer.getvalue()


def test_new_and_changed_objects_are_coloured_once(proxy, bucket, flat):
    def put_first() -> None:
        bucket.pipe_file("album/in/kept.png", picture(0))
        bucket.pipe_file("album/in/changed.png", picture(40))

    def change() -> None:
        proxy.faults.append(Fault(503, "GET", "prefix=in/", times=1))
        bucket.pipe_file("album/in/changed.png", picture(80))
        bucket.pipe_file("album/in/below/new.png", picture(120))
        bucket.pipe_file("album/in/torn.png", picture(160)[:100])

    def end() -> None:
        raise EndedError

    steps = [(0, 0, put_first), (2, 0, change), (4, 1, end)]

    def progress(report) -> None:
        done, failed, act = steps[0]
        if (report.done, report.failed) == (done, failed):
            steps.pop(0)
            act()

    with pytest.raises(EndedError):
        batchcolor.run(
            "s3://album/in",
            output="s3://album/out",
            model=flat,
            watch=True,
            if_exists="overwrite",
            retries=0,
            progress=progress,
        )
    assert not steps
    found = objects(bucket, "album/out")
    assert sorted(found) == ["below/new.png", "changed.png", "kept.png"]
    assert proxy.count("GET", "in/kept.png") == 1
    assert proxy.count("GET", "in/changed.png") == 2
    luma = [Image.open(io.BytesIO(one)).convert("L") for one in (found["changed.png"], picture(80))]
    assert luma[0].tobytes() == luma[1].tobytes()
    again = batchcolor.run("s3://album/in", output="s3://album/out", model=flat)
    assert (again.done, again.skipped, again.failed) == (0, 3, 1)


def test_a_source_that_cannot_be_listed_any_more_ends_the_job(proxy, bucket, flat):
    bucket.pipe_file("album/in/a.png", picture(0))

    def deny(report) -> None:
        if report.done and not proxy.faults:
            proxy.faults.append(Fault(403, "GET", "prefix=in/"))

    with pytest.raises(OutputError, match="s3://album/in cannot be listed: access is denied"):
        batchcolor.run(
            "s3://album/in", output="s3://album/out", model=flat, watch=True, progress=deny
        )
    assert list(objects(bucket, "album/out")) == ["a.png"]


def test_sources_in_which_nothing_can_arrive_are_refused(bucket, flat, serve, tmp_path):
    (tmp_path / "a.png").write_bytes(picture(0))
    bucket.pipe_file("album/a.png", picture(0))
    for source, reason in [
        ("s3://album/a.png", "has one file as source"),
        (serve(tmp_path), "neither sizes nor tags"),
        ("s3://no-such-bucket/in", "there is no such bucket"),
    ]:
        with pytest.raises(UsageError, match=reason):
            batchcolor.run(source, output=tmp_path / "out", model=flat, watch=True)


def test_a_file_that_is_still_written_is_ready_when_two_listings_agree(bucket):
    system = fsspec.filesystem("memory")
    system.store.clear()
    session = RemoteSession()

    def watch(url: str, settle: float = 2.0) -> tuple[ObjectArrivals, Root]:
        folder = open_remote_source(url, session, may_be_empty=True)
        return ObjectArrivals(settle), Root(folder.mount.folder, Path(), folder)

    def take(now: float) -> list[str]:
        arrivals.update([root], now)
        return sorted(path.name for path in arrivals.take())

    bucket.pipe_file("album/in/a.png", picture(0))
    arrivals, root = watch("s3://album/in")
    assert take(0.0) == ["a.png"]

    system.pipe_file("/in/a.png", b"be")
    system.store["/in/a.png"].created += timedelta(minutes=7)  # the clock of the storage is ahead
    arrivals, root = watch("memory://in")
    assert take(0.0) == []
    system.pipe_file("/in/a.png", b"begin")
    assert take(10.0) == []
    assert take(11.0) == []
    assert take(12.0) == ["a.png"]
    assert take(22.0) == []
    arrivals.put_back(root.path / name for name in ["a.png"])
    assert take(23.0) == []
    assert take(25.0) == ["a.png"]
    session.close()
    system.store.clear()
