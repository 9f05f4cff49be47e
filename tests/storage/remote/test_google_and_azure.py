"""Google Cloud Storage and Azure Blob Storage: sources, results, resume, archives, weights."""

import io
import json
import shutil
import tarfile
from pathlib import Path

import pytest
from PIL import Image

import batchcolor
from batchcolor.errors import ExitCode
from batchcolor.storage.locations import Url
from batchcolor.storage.remote.local_copy import make_local_copy
from batchcolor.storage.remote.session import RemoteSession
from batchcolor.storage.remote.write_location import write_location

from .fault_proxy import Fault

WEIGHTS = Path(__file__).parents[3] / "weights"


@pytest.fixture
def source(cloud, album) -> str:
    """Four pictures in the bucket."""
    cloud.put(album(4), "in")
    return f"{cloud.url}/in"


def local_results(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*.jpg")
    }


def test_objects_are_those_of_a_local_job_and_are_skipped_afterwards(
    cloud, source, album, flat, tmp_path
):
    assert batchcolor.run(album(4), output=tmp_path / "local", model=flat).done == 4
    report = batchcolor.run(source, output=f"{cloud.url}/out", model=flat)
    assert (report.done, report.output) == (4, f"{cloud.url}/out"), report.as_json()
    assert cloud.objects("out") == local_results(tmp_path / "local")
    entries = map(json.loads, cloud.read("out/.batchcolor/journal.jsonl").splitlines())
    assert all(entry["result_tag"] for entry in entries)
    cloud.proxy.requests.clear()
    again = batchcolor.run(source, output=f"{cloud.url}/out", model=flat)
    assert (again.done, again.skipped) == (0, 4), again.as_json()
    assert not any("001.jpg" in path for _, path in cloud.proxy.requests)


def test_another_computer_resumes_and_changed_and_missing_objects_are_recognized(
    cloud, source, flat, tmp_path
):
    out = f"{cloud.url}/out"
    assert batchcolor.run(source, output=out, model=flat).done == 4
    shutil.rmtree(tmp_path / "cache")
    cloud.delete("out/001.jpg")
    cloud.write("out/003.jpg", b"edited by another program")
    again = batchcolor.run(source, output=out, model=flat)
    assert (again.done, again.skipped, again.existed) == (1, 3, 1), again.as_json()
    assert cloud.read("out/003.jpg") == b"edited by another program"


def test_throttling_and_torn_connections_are_repeated(cloud, source, flat):
    posts = "PUT" if cloud.url.startswith("az") else "POST"
    faults = [
        Fault(503, "GET", "001.jpg", times=1),
        Fault("torn", "GET", "003.jpg", times=1),
        Fault(429, posts, "", times=2),
        Fault(500, "GET", "prefix=", times=1),
    ]
    cloud.proxy.faults += faults
    report = batchcolor.run(source, output=f"{cloud.url}/out", model=flat, retries=4)
    assert (report.done, report.failed) == (4, 0), report.as_json()
    assert all(fault.times == 0 for fault in faults)
    assert len(cloud.objects("out")) == 4


def test_an_object_that_changes_after_the_listing_fails_alone(cloud, source, flat, tmp_path):
    def change() -> None:
        cloud.proxy.faults.clear()
        cloud.write("in/001.jpg", cloud.read("in/003.jpg"))

    media = "001.jpg" if cloud.url.startswith("az") else "001.jpg?alt=media"
    cloud.proxy.faults.append(Fault("none", "GET", media, times=1, before=change))
    report = batchcolor.run(source, output=tmp_path / "out", model=flat)
    (failure,) = report.as_json()["failures"]
    assert failure["source"] == f"{source}/001.jpg"
    assert failure["reason"] == "the source changed while the job ran"
    assert report.done == 3


def test_denied_access_and_a_missing_bucket_end_the_job_without_credentials_in_the_message(
    cloud, source, flat, command
):
    scheme = source.partition("://")[0]
    missing = command("run", f"{scheme}://no-such-bucket/in", "-o", "out", "-m", flat)
    assert missing.returncode == ExitCode.USAGE
    assert f"{scheme}://no-such-bucket/in: there is no such" in missing.stderr
    unwritable = command("run", source, "-o", f"{scheme}://no-such-bucket/out", "-m", flat)
    assert unwritable.returncode == ExitCode.EXTERNAL_FAILURE
    assert "there is no such" in unwritable.stderr
    cloud.proxy.faults += [Fault(403, method, "") for method in ("GET", "HEAD", "PUT", "POST")]
    denied = command("run", source, "-o", "out", "-m", flat, "--retries", "1")
    assert denied.returncode == ExitCode.USAGE
    assert "access is denied: check the credentials and the permissions" in denied.stderr
    assert "AccountKey" not in denied.stderr + missing.stderr + unwritable.stderr


def test_reports_weights_and_tar_shards(cloud, flat, grey_picture):
    for name in ("alpha.safetensors", "alpha.json"):
        cloud.write(f"weights/{name}", (WEIGHTS / name).read_bytes())
    copy = make_local_copy(Url(f"{cloud.url}/weights/alpha.safetensors"))
    for path in (copy, copy.with_suffix(".json")):
        assert path.read_bytes() == (WEIGHTS / path.name).read_bytes()
    write_location(Url(f"{cloud.url}/report.json"), b"{}", retries=0)
    assert cloud.read("report.json") == b"{}"
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as shard:
        buffer = io.BytesIO()
        grey_picture(96, 64, 1).save(buffer, "JPEG")
        for name, content in (("0.cls", b"7"), ("0.jpg", buffer.getvalue())):
            info = tarfile.TarInfo(name)
            info.size = len(content)
            shard.addfile(info, io.BytesIO(content))
    cloud.write("shards/0.tar", archive.getvalue())
    made = f"{cloud.url}/coloured/0.tar"
    assert batchcolor.run(f"{cloud.url}/shards/0.tar", output=made, model=flat).done == 1
    with tarfile.open(fileobj=io.BytesIO(cloud.read("coloured/0.tar"))) as packed:
        assert packed.getnames() == ["0.cls", "0.jpg"]
        assert Image.open(packed.extractfile("0.jpg")).mode == "RGB"
    assert batchcolor.run(f"{cloud.url}/shards/0.tar", output=made, model=flat).skipped == 1


def test_an_object_that_is_written_while_it_is_read_for_a_condition_is_read_again(cloud):
    cloud.write("state", b"first")
    opened = RemoteSession(retries=1).open(f"{cloud.url}/state")
    change = Fault("none", "GET", "alt=media", 1, before=lambda: cloud.write("state", b"second"))
    cloud.proxy.faults.append(change)
    found = opened.store.read_guarded(opened.path)
    current = opened.store.stat(opened.path)
    assert (found.content, found.tag) == (cloud.read("state"), current.tag)
    if cloud.url.startswith("gs"):  # Azure answers with content and tag at once
        assert (found.content, change.times) == (b"second", 0)
