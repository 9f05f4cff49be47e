"""Faults of remote storage, brought about by a proxy before an S3 server."""

import io
import json

import pytest
from fsspec.config import conf
from PIL import Image

import batchcolor
from batchcolor.cluster import run_on_cluster
from batchcolor.cluster.remote_report import merge_remote_reports
from batchcolor.errors import ExitCode, NodeMismatchError, UsageError
from batchcolor.storage.locations import Url
from batchcolor.storage.remote import s3_store
from tests.cluster.thread_cluster import ThreadCluster

from .fault_proxy import Fault


@pytest.fixture
def source(bucket, album) -> str:
    """Four pictures in the bucket."""
    bucket.put(f"{album(4)}/", "album/in/", recursive=True)
    return "s3://album/in"


def results(bucket) -> dict[str, bytes]:
    found = bucket.find("album/out")
    return {
        path.removeprefix("album/out/"): bucket.cat_file(path)
        for path in found
        if "/.batchcolor/" not in path
    }


def failures(report) -> list[tuple[str, str]]:
    return [(one["source"], one["reason"]) for one in report.as_json()["failures"]]


def test_throttling_torn_connections_and_time_outs_are_repeated(
    proxy, bucket, source, flat, tmp_path, monkeypatch
):
    monkeypatch.setitem(conf, "s3", {"config_kwargs": {"read_timeout": 1}})
    local = batchcolor.run(source, output=tmp_path / "local", model=flat)
    assert local.done == 4
    proxy.faults += [
        Fault(500, "GET", "list-type=2", times=1),
        Fault(503, "GET", "in/001.jpg", times=2),
        Fault("torn", "GET", "in/003.jpg", times=2),
        Fault("silent", "GET", "000.jpg", times=1),
        Fault(429, "PUT", "out/001.jpg", times=2),
        Fault("silent", "PUT", "out/003.jpg", times=1),
        Fault(503, "PUT", "journal.jsonl", times=1),
    ]
    report = batchcolor.run(source, output="s3://album/out", model=flat, retries=4)
    assert (report.done, report.failed, report.exit_code) == (4, 0, 0), report.as_json()
    assert all(fault.times == 0 for fault in proxy.faults)
    assert results(bucket) == {
        path.relative_to(tmp_path / "local").as_posix(): path.read_bytes()
        for path in (tmp_path / "local").rglob("*.jpg")
    }


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        (503, "the server answers SlowDown: SlowDown of the test"),
        (429, "the server answers TooManyRequests: TooManyRequests of the test"),
        ("torn", "the connection broke off before the answer was complete"),
    ],
)
def test_an_object_that_cannot_be_read_fails_alone_and_is_tried_by_the_next_run(
    kind, reason, proxy, source, flat
):
    proxy.faults.append(Fault(kind, "GET", "in/001.jpg"))
    report = batchcolor.run(source, output="s3://album/out", model=flat, retries=1)
    assert (report.done, report.failed, report.exit_code) == (3, 1, ExitCode.SOME_FAILED)
    assert failures(report) == [("s3://album/in/001.jpg", f"{reason} (2 attempts)")]
    proxy.faults.clear()
    again = batchcolor.run(source, output="s3://album/out", model=flat, retries=1)
    assert (again.done, again.skipped, again.failed) == (1, 3, 0)


def test_an_output_that_cannot_be_written_ends_the_job_and_the_same_command_completes_it(
    proxy, bucket, source, flat
):
    proxy.faults.append(Fault(503, "PUT", "out/003.jpg"))
    report = batchcolor.run(source, output="s3://album/out", model=flat, retries=1)
    assert report.exit_code == ExitCode.EXTERNAL_FAILURE
    assert "s3://album/out cannot be written: the server answers SlowDown" in report.message
    assert "run the same command again" in report.message
    proxy.faults.clear()
    again = batchcolor.run(source, output="s3://album/out", model=flat)
    assert (again.failed, again.exit_code, len(results(bucket))) == (0, 0, 4), again.as_json()


def test_an_object_that_changes_after_the_listing_fails_and_is_coloured_by_the_next_run(
    proxy, bucket, source, flat
):
    def change() -> None:
        content = bucket.cat_file("album/in/003.jpg")
        bucket.pipe_file("album/in/001.jpg", content)

    proxy.faults.append(Fault("none", "GET", "in/001.jpg", times=1, before=change))
    report = batchcolor.run(source, output="s3://album/out", model=flat)
    assert failures(report) == [("s3://album/in/001.jpg", "the source changed while the job ran")]
    again = batchcolor.run(source, output="s3://album/out", model=flat)
    assert (again.done, again.skipped) == (1, 3)
    one, other = (Image.open(io.BytesIO(results(bucket)[n])) for n in ("001.jpg", "003.jpg"))
    assert one.tobytes() == other.tobytes()


def test_an_object_that_vanishes_after_the_listing_fails_alone(proxy, bucket, source, flat):
    gone = Fault("none", "GET", "in/001.jpg", 1, before=lambda: bucket.rm_file("album/in/001.jpg"))
    proxy.faults.append(gone)
    report = batchcolor.run(source, output="s3://album/out", model=flat)
    assert failures(report) == [("s3://album/in/001.jpg", "it does not exist")]
    assert report.done == 3


def test_a_listing_that_is_late_makes_nothing_again(proxy, bucket, source, flat):
    assert batchcolor.run(source, output="s3://album/out", model=flat).done == 4
    proxy.faults.append(Fault("hidden", "GET", "prefix=out/", hide="out/001.jpg"))
    before = results(bucket)
    report = batchcolor.run(source, output="s3://album/out", model=flat)
    assert (report.done, report.skipped) == (0, 4), report.as_json()
    assert proxy.count("HEAD", "out/001.jpg") == 1
    assert results(bucket) == before


@pytest.mark.parametrize(("place", "code"), [("in", 2), ("out", 4)])
def test_wrong_credentials_end_the_job_before_work_and_are_not_printed(
    place, code, proxy, source, flat, command
):
    proxy.faults += [Fault(403, method, place) for method in ("GET", "HEAD", "PUT")]
    result = command("run", source, "-o", "s3://album/out", "-m", flat, "--retries", "1")
    assert result.returncode == code, result.stderr
    assert f"s3://album/{place}" in result.stderr
    assert "access is denied: check the credentials and the permissions" in result.stderr
    assert "testing-secret" not in result.stderr + result.stdout
    assert proxy.count("PUT") == 0


@pytest.mark.parametrize(
    ("minutes", "expected"), [(60, "60 minutes behind"), (-60, "60 minutes ahead of")]
)
def test_a_wrong_clock_is_named_where_the_storage_refuses_its_requests(
    minutes, expected, proxy, source, flat, command
):
    proxy.clock = 60 * minutes
    proxy.faults += [Fault(403, method, "in") for method in ("GET", "HEAD")]
    result = command("run", source, "-o", "s3://album/out", "-m", flat, "--retries", "0")
    assert result.returncode == ExitCode.USAGE
    assert f"is {expected} that of the storage; set it" in " ".join(result.stderr.split())


@pytest.mark.parametrize(
    ("denied", "reason"),
    [
        (Fault(403, "GET", "out/.batchcolor"), "s3://album/out: access is"),
        (Fault(403, "PUT", "write-check"), "s3://album/out cannot be written: access is"),
    ],
)
def test_a_node_that_the_output_refuses_is_not_used_before_it_colours_anything(
    denied, reason, proxy, album, flat, bucket, monkeypatch
):
    nodes = ThreadCluster("a")
    nodes.before_prepare = lambda node: proxy.faults.append(denied)
    monkeypatch.setattr(run_on_cluster, "RayCluster", nodes.connect)
    with pytest.raises(NodeMismatchError, match=f"a: it cannot begin: {reason}"):
        batchcolor.run(album(2), output="s3://album/out", model=flat, cluster="auto")
    assert not results(bucket)


def test_shards_without_objects_end_with_a_sentence_and_put_nothing(bucket, source, flat):
    shards = [f"{index}/6" for index in range(1, 7)]  # more than there are objects
    reports = [
        batchcolor.run(source, output="s3://album/out", model=flat, shard=shard) for shard in shards
    ]
    empty = [report for report in reports if not report.done]
    assert len(empty) >= 2
    for report in empty:
        assert (report.exit_code, report.output) == (0, "s3://album/out")
        assert report.notes == [f"shard {report.shard} has no pictures: nothing to do"]
    assert sum(report.done for report in reports) == len(results(bucket)) == 4
    merged = merge_remote_reports(Url("s3://album/out"))
    assert (merged.exit_code, merged.total.done, merged.total.missing) == (0, 4, 0)


def test_a_source_without_pictures_is_an_error_also_for_a_shard(bucket, flat):
    bucket.pipe_file("album/in/notes.txt", b"no picture")
    with pytest.raises(UsageError, match="no pictures found in s3://album/in"):
        batchcolor.run("s3://album/in", output="s3://album/out", model=flat, shard="1/3")


def test_a_listing_that_breaks_off_is_one_failure_and_what_was_listed_is_coloured(
    proxy, source, flat, monkeypatch
):
    proxy.faults.append(Fault(500, "GET", "continuation-token"))
    original = s3_store.S3Store.list_page

    def list_small_page(self, bucket, prefix, token, size=2):
        return original(self, bucket, prefix, token, size)

    monkeypatch.setattr(s3_store.S3Store, "list_page", list_small_page)
    report = batchcolor.run(source, output="s3://album/out", model=flat, retries=0)
    assert (report.done, report.failed, report.exit_code) == (2, 1, ExitCode.SOME_FAILED)
    assert "the listing cannot be read to its end" in failures(report)[0][1]


def test_one_listing_and_no_request_for_each_object_where_all_is_done(proxy, source, flat):
    batchcolor.run(source, output="s3://album/out", model=flat)
    proxy.requests.clear()
    report = batchcolor.run(source, output="s3://album/out", model=flat)
    assert report.skipped == 4
    assert proxy.count("GET", "in/0") == proxy.count("HEAD", "out/0") == 0


def test_failures_of_an_http_server_are_repeated(serve, album, flat, tmp_path):
    faults = {"/001.jpg": [503, "torn"], "/003.jpg": [429]}
    report = batchcolor.run(serve(album(4), faults), output=tmp_path / "out", model=flat, retries=3)
    assert (report.done, report.failed) == (4, 0), json.dumps(report.as_json())
    assert faults == {"/001.jpg": [], "/003.jpg": []}
