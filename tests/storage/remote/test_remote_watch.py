"""`--watch` on remote storage: what is new or changed in a listing."""

import io

import pytest
from PIL import Image

import batchcolor
from batchcolor.errors import OutputError, UsageError
from batchcolor.pipeline.watch import watch_job

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
