"""Two drivers on one remote output: the second one is refused, and a lock ends with its holder."""

import signal
import subprocess
import sys
import textwrap
import threading
import time

import pytest

import batchcolor
from batchcolor.errors import OutputError, OutputLockedError
from batchcolor.storage.remote import remote_lock, retry
from batchcolor.storage.remote.remote_lock import RemoteLock
from batchcolor.storage.remote.retry import Retry
from batchcolor.storage.remote.session import RemoteSession
from batchcolor.storage.shard import Shard

from .fault_proxy import Fault
from .test_remote_output import GATED, objects


@pytest.fixture
def make_lock(bucket):
    """Makes locks of one output, each as a job on a computer of its own has it."""
    session = RemoteSession(retries=1)
    opened = session.open("s3://album/out")
    made = []

    def make() -> RemoteLock:
        made.append(RemoteLock(opened.store, opened.path, "s3://album/out", Retry(6)))
        return made[-1]

    yield make
    for lock in made:
        lock.release()
    session.close()


def test_a_second_driver_on_another_computer_is_refused_until_the_lock_has_ended(
    bucket, album, plugin, environment, gate_code, tmp_path, started, monkeypatch, command
):
    plugin("gatedpack", gate_code + GATED)
    source = album(4)
    words = ["run", str(source), "-o", "s3://album/out", "-m", "gated", "--batch-size", "1"]
    gate = {"GATE_AFTER": "2", "GATE_FILE": str(tmp_path / "gate")}
    job = subprocess.Popen(
        [sys.executable, "-m", "batchcolor", *words],
        env={**environment, **gate},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    started.append(job)
    while not objects(bucket, "album/out"):
        assert job.poll() is None, job.communicate()
        time.sleep(0.2)
    other = {"BATCHCOLOR_CACHE": str(tmp_path / "another computer")}
    refused = command(*words, **other)
    assert refused.returncode == 2
    text = " ".join(refused.stderr.split())
    assert "another job is writing to s3://album/out; wait for it, or choose another" in text
    assert f"as process {job.pid}, since" in text
    assert "if it has been killed or lost, its lock ends in" in text
    job.send_signal(signal.SIGKILL)
    job.wait()
    assert command(*words, **other).returncode == 2
    monkeypatch.setattr(remote_lock, "EXPIRY", 0.0)
    resumed = command(*words, **other)
    assert resumed.returncode == 0, resumed.stderr
    assert len(objects(bucket, "album/out")) == 4
    assert bucket.info("album/out/.batchcolor/lock.json")["size"] == 0


def test_a_lock_is_taken_over_once_and_its_former_holder_notices(make_lock, monkeypatch):
    monkeypatch.setattr(remote_lock, "RENEWAL", 0.5)
    first, second, third = make_lock(), make_lock(), make_lock()
    lost = threading.Event()
    first.on_lost = lambda error: lost.set()
    first.acquire(None, "")
    with pytest.raises(OutputLockedError, match="another job is writing"):
        second.acquire(None, "")
    assert not first.is_lost
    with monkeypatch.context() as patch:
        patch.setattr(remote_lock, "EXPIRY", -1.0)
        second.acquire(None, "")
    assert lost.wait(60)
    first.release()
    with pytest.raises(OutputLockedError):
        third.acquire(None, "")
    second.release()
    third.acquire(None, "")


SKEWED = """
    import os, sys, time

    from batchcolor.errors import OutputLockedError
    from batchcolor.storage.remote.remote_lock import RemoteLock
    from batchcolor.storage.remote.retry import Retry
    from batchcolor.storage.remote.session import RemoteSession

    real, real_ns = time.time, time.time_ns
    session = RemoteSession()
    opened = session.open("s3://album/out")
    for hours in (-1, 1):
        time.time = lambda: real() + 3600 * hours
        time.time_ns = lambda: real_ns() + int(3600e9 * hours)
        lock = RemoteLock(opened.store, opened.path, "s3://album/out", Retry(0))
        try:
            lock.acquire(None, "")
            print("taken")
        except OutputLockedError:
            print("refused")
        lock.release()
    session.close()
"""


def test_a_computer_with_a_wrong_clock_sees_a_lock_as_every_other_one(make_lock, environment):
    def acquire() -> list[str]:
        python = [sys.executable, "-c", textwrap.dedent(SKEWED)]
        done = subprocess.run(python, env=environment, capture_output=True, text=True, check=True)
        return done.stdout.split()

    lock = make_lock()
    lock.acquire(None, "")
    assert acquire() == ["refused", "refused"]
    lock.release()
    assert acquire() == ["taken", "taken"]


def test_the_lock_of_a_killed_job_on_the_same_computer_is_free(make_lock):
    make_lock().acquire(None, "place")
    make_lock().acquire(None, "place")
    with pytest.raises(OutputLockedError):
        make_lock().acquire(None, "another place")


def test_shards_share_an_output_and_a_job_without_shards_does_not(make_lock):
    make_lock().acquire(Shard(1, 2), "")
    make_lock().acquire(Shard(2, 2), "")
    with pytest.raises(OutputLockedError, match="shard 1/2 is running on s3://album/out already"):
        make_lock().acquire(Shard(1, 2), "")
    with pytest.raises(OutputLockedError, match="shard 1/2 of another job is writing"):
        make_lock().acquire(None, "")
    with pytest.raises(OutputLockedError, match="has sources in common with shard 3/4"):
        make_lock().acquire(Shard(3, 4), "")


def test_locks_of_google_and_azure(cloud):
    opened = RemoteSession(retries=1).open(cloud.url)
    first, second = (RemoteLock(opened.store, opened.path, cloud.url, Retry(1)) for _ in range(2))
    first.acquire(None, "")
    with pytest.raises(OutputLockedError, match=f"another job is writing to {cloud.url}; wait"):
        second.acquire(None, "")
    first.release()
    second.acquire(None, "")
    second.release()
    assert (first.note, second.note) == ("", "")


def test_storage_that_ignores_conditions_is_noted(make_lock, monkeypatch):
    lock = make_lock()
    monkeypatch.setattr(lock._store, "write_if", lambda *given: lock._store.write(*given[:2]))
    lock.acquire(None, "")
    assert "no conditional writes" in lock.note
    assert "run only one job on it at a time" in lock.note


def test_a_message_with_the_digits_of_a_status_is_not_that_status(proxy, make_lock, monkeypatch):
    monkeypatch.setattr(retry, "FIRST_WAIT", 0.0)
    proxy.faults.append(Fault(503, "PUT", "lock.json", message="request 405A501 was throttled"))
    with pytest.raises(OutputError, match=r"cannot be locked: .* request 405A501"):
        make_lock().acquire(None, "")


@pytest.mark.parametrize("status", [405, 501])
def test_storage_that_refuses_conditions_is_noted(status, proxy, make_lock):
    proxy.faults.append(Fault(status, "PUT", "lock.json", header="If-None-Match"))
    lock = make_lock()
    lock.acquire(None, "")
    assert "no conditional writes" in lock.note


def test_a_lock_that_is_renewed_at_each_reading_is_held(cloud, monkeypatch):
    monkeypatch.setattr(retry, "FIRST_WAIT", 0.0)
    opened = RemoteSession(retries=0).open(cloud.url)
    holder, other = (RemoteLock(opened.store, opened.path, cloud.url, Retry(1)) for _ in range(2))
    holder.acquire(None, "")
    path = f"{cloud.path}/.batchcolor/lock.json"
    renewals = iter(range(1000))

    def renew() -> None:
        cloud.store.write(holder._holder.encode(next(renewals)), path)

    renewal = Fault("none", "GET", "alt=media", times=7, before=renew)  # two parts: only of Google
    cloud.proxy.faults.append(renewal)
    assert other.is_held(None)
    with pytest.raises(OutputLockedError):
        other.acquire(None, "")
    renewal.times = 10**9
    if cloud.url.startswith("gs"):
        with pytest.raises(OutputError, match=r"cannot be locked: .*written again and again"):
            other.acquire(None, "")


def test_a_job_without_a_lock_is_not_refused(bucket, album, flat, make_lock):
    source = album(2)
    assert batchcolor.run(source, output="s3://album/out", model=flat).done == 2
    make_lock().acquire(None, "")
    with pytest.raises(OutputLockedError):
        batchcolor.run(source, output="s3://album/out", model=flat)
    assert batchcolor.run(source, output="s3://album/out", model=flat, no_lock=True).skipped == 2
