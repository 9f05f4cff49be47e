"""The review of results on remote storage, without HTTP."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

import batchcolor
from batchcolor.errors import OutputError, ProcessingError, UsageError
from batchcolor.hooks.manager import load_plugins
from batchcolor.review import remote_review_files
from batchcolor.review.session import RefusedError, ReviewSession
from batchcolor.storage.locations import Url
from batchcolor.storage.remote.fetched_files import FetchedFiles
from batchcolor.storage.remote.remote_lock import RemoteLock
from batchcolor.storage.remote.retry import Retry
from batchcolor.storage.remote.session import RemoteSession

from .fault_proxy import Fault
from .test_remote_output import objects

OUT, DECISIONS = "s3://album/out", "album/out/.batchcolor/decisions.jsonl"
Start = Callable[..., ReviewSession]


@pytest.fixture
def start(bucket: Any) -> Iterator[Start]:
    """Starts reviews, which end with the test, and before the bucket is removed."""
    sessions: list[ReviewSession] = []

    def begin(output: Path | Url = Url(OUT)) -> ReviewSession:  # noqa: B008
        session = ReviewSession(output, load_plugins())
        session.files.listing.join()
        sessions.append(session)
        return session

    yield begin
    for session in sessions:
        session.close()


@pytest.fixture
def scans(bucket: Any, album: Callable[[int], Path], flat: str) -> dict[str, bytes]:
    """Three results in the bucket, of pictures that are there as well."""
    bucket.put(f"{album(3)}/", "album/in/", recursive=True)
    assert batchcolor.run("s3://album/in", output=OUT, model=flat).done == 3
    return objects(bucket, "album/out")


def find(session: ReviewSession, name: str) -> Any:
    (found,) = [item for item in session.items.all() if item.key == name]
    return found


def decide(session: ReviewSession, name: str, **decision: Any) -> dict[str, Any]:
    return session.save([{"id": find(session, name).id, "decision": decision}], "test")[0]


def read_lines(bucket: Any) -> dict[str, dict[str, Any]]:
    lines = map(json.loads, bucket.cat_file(DECISIONS).splitlines())
    return {line["source"]: line for line in lines}


def test_pictures_are_shown_decided_and_written_where_they_are(
    start: Start, scans: dict[str, bytes], bucket: Any
) -> None:
    other = b'{"version": 1, "source": "1931 summer/002.jpg", "state": "approved"}\n'
    session = start()
    shown = session.describe()
    assert (shown["title"], shown["output"], shown["faults"]) == ("out", OUT, [])
    assert {item["state"] for item in shown["items"]} == {"done"}
    first, second = find(session, "001.jpg"), find(session, "1931 summer/000.jpg")
    assert Image.open(io.BytesIO(session.thumbnails.get(first))).size == (96, 64)
    with session.files.open_source(first) as path:
        assert path.read_bytes() == bucket.cat_file("album/in/001.jpg")
    bucket.pipe_file(DECISIONS, other)  # another computer decides at the same time
    assert decide(session, "001.jpg", reference_id=second.id)["pending"]
    session.files.flush_decisions()
    lines = read_lines(bucket)
    assert lines["001.jpg"]["reference"] == "1931 summer/000.jpg"
    assert lines["1931 summer/002.jpg"]["state"] == "approved"
    assert session.items.store.refresh()
    assert session.items.decision(find(session, "1931 summer/002.jpg")).state == "approved"
    assert session.engine.render(first, session.find_job(first), session.items.decision(first), 64)
    assert session.write() == 1
    session.writing.join()
    assert (session.writing.status["done"], session.writing.status["failed"]) == (1, 0)
    found = objects(bucket, "album/out")
    assert [name for name in sorted(found) if found[name] != scans[name]] == ["001.jpg"]
    shown = session.describe()
    assert {item["state"] for item in shown["items"]} == {"done"}
    assert not shown["pending"]


def test_what_is_missing_changed_or_gone_is_marked(
    start: Start, scans: dict[str, bytes], bucket: Any
) -> None:
    bucket.pipe_file("album/in/001.batchcolor.json", b'{"strength": 0.5}')
    bucket.rm_file("album/in/1931 summer/002.jpg")
    bucket.rm_file("album/out/001.jpg")
    retouched = io.BytesIO()
    Image.new("RGB", (40, 30), "red").save(retouched, "JPEG")
    bucket.pipe_file("album/out/1931 summer/000.jpg", retouched.getvalue())
    session = start()
    states = {item["name"]: item for item in session.describe()["items"]}
    assert states["001.jpg"]["state"] == "missing"
    assert states["001.jpg"]["decision"]["strength"] == 0.5
    assert states["1931 summer/000.jpg"]["state"] == "changed"
    thumbnail = Image.open(io.BytesIO(session.thumbnails.get(find(session, "1931 summer/000.jpg"))))
    assert thumbnail.size == (40, 30)
    assert session.thumbnails.get(find(session, "001.jpg"))  # of the source
    gone = find(session, "1931 summer/002.jpg")
    with pytest.raises(ProcessingError, match="does not exist"), session.files.open_source(gone):
        pass
    assert not decide(session, "1931 summer/002.jpg", strength=0.2)["pending"]


def test_local_sources_go_with_results_on_the_storage_and_the_reverse(
    start: Start, bucket: Any, album: Callable[[int], Path], flat: str, tmp_path: Path
) -> None:
    source = album(2)
    bucket.put(f"{source}/", "album/in/", recursive=True)
    assert batchcolor.run(source, output=OUT, model=flat).done == 2
    assert batchcolor.run("s3://album/in", output=tmp_path / "here", model=flat).done == 2
    for output in (Url(OUT), tmp_path / "here"):
        session = start(output)
        assert decide(session, "001.jpg", state="rejected")["pending"]
        assert session.write() == 1
        session.writing.join()
        with (
            session.files.open_result(find(session, "001.jpg")) as result,
            session.files.open_source(find(session, "001.jpg")) as original,
        ):
            assert result.read_bytes() == original.read_bytes()
    (source / "1931 summer" / "000.jpg").unlink()
    session = start()
    gone = find(session, "1931 summer/000.jpg")
    assert session.thumbnails.get(gone)
    with (
        pytest.raises(ProcessingError, match=r"there is no .*000\.jpg on this computer"),
        session.files.open_source(gone),
    ):
        pass


def test_decisions_wait_on_this_computer_until_the_storage_takes_them(
    start: Start, scans: dict[str, bytes], bucket: Any, proxy: Any
) -> None:
    denied = Fault(403, "PUT", "decisions.jsonl")
    proxy.faults.append(denied)
    session = ReviewSession(Url(OUT), load_plugins())
    decide(session, "001.jpg", state="approved")
    with pytest.raises(OutputError, match="access is denied"):
        session.files.flush_decisions()
    with pytest.raises(RefusedError, match="access is denied"):
        session.write()
    with pytest.raises(OutputError, match="kept on this computer"):
        session.close()
    proxy.faults.clear()
    again = start()
    assert again.items.decision(find(again, "001.jpg")).state == "approved"
    again.files.flush_decisions()
    assert read_lines(bucket)["001.jpg"]["state"] == "approved"


def test_the_lock_of_a_job_on_another_computer_makes_the_page_read_only(
    start: Start, scans: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    session = start()
    other = RemoteSession()
    lock = RemoteLock(other.open(OUT).store, "album/out", OUT, Retry())
    lock.acquire(None, "")
    try:
        monkeypatch.setattr(remote_review_files, "REFRESH_SECONDS", 0.0)
        session.files.refresh_now()
        session.check_changes()
        assert session.describe()["locked"]
        with pytest.raises(RefusedError, match="a job is running"):
            decide(session, "001.jpg", state="approved")
    finally:
        lock.release()
        other.close()
    session.check_changes()
    assert decide(session, "001.jpg", state="approved")


def test_an_output_that_cannot_be_reviewed_is_refused_with_the_reason(
    bucket: Any, serve: Callable[..., str], tmp_path: Path
) -> None:
    bucket.pipe_file("album/other/a.jpg", b"picture")
    for url, reason in [
        ("s3://album/other", "it has no journal"),
        ("s3://album/nothing", "it does not exist"),
        ("s3://no-such-bucket/out", "there is no such bucket"),
        (serve(tmp_path), "copy them to a folder first"),
    ]:
        with pytest.raises(UsageError, match=reason):
            ReviewSession(Url(url), load_plugins())


def test_few_copies_are_kept_and_each_is_fetched_once(proxy: Any, bucket: Any) -> None:
    for name in "abc":
        bucket.pipe_file(f"album/{name}", os.urandom(1000))
    session = RemoteSession(space=2500)
    store, folder = session.open("s3://album").store, session.make_folder("copies")
    files = FetchedFiles(session, kept_bytes=2000)

    def read(name: str, version: str = "1") -> bytes:
        def locate(_: bool) -> Any:
            return store, store.stat(f"album/{name}")

        with files.open(folder / name, version, locate) as path:
            return path.read_bytes()

    for name in "abbac":
        assert read(name) == bucket.cat_file(f"album/{name}")
    assert proxy.count("GET", "album/a") == proxy.count("GET", "album/b") == 1
    assert sorted(path.name for path in folder.iterdir()) == ["a", "c"]
    assert session.space.used == 2000
    read("a", "2")
    assert proxy.count("GET", "album/a") == 2
    bucket.pipe_file("album/large", bytes(3000))
    with pytest.raises(ProcessingError, match="needs 1 MiB of temporary space"):
        read("large")
    session.close()
