"""Jobs on a Ray cluster of real processes on this machine: results, lost nodes, deaths, signals."""

from __future__ import annotations

import importlib.util
import json
import logging
import os
import shutil
import signal
import socket
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from PIL import Image

import batchcolor
from batchcolor.cluster import chunk
from batchcolor.cluster.ray_cluster import describe_ray_error
from batchcolor.errors import (
    ClusterError,
    ExitCode,
    OutputLockedError,
    UsageError,
)
from batchcolor.hooks.manager import clear_plugin_cache
from batchcolor.storage.journal import JOURNAL_NAME, STATE_FOLDER, Journal
from batchcolor.storage.locations import Url
from batchcolor.storage.remote.remote_output import find_output_folder

ray = pytest.importorskip("ray", reason="needs Ray: pip install 'batchcolor[ray]'")

STORE = 100 * 2**20
HEALTH = {"health_check_period_ms": 500, "health_check_failure_threshold": 4}
"""A killed node is noticed in seconds."""

CONTROLLED = """
    import os, time
    import batchcolor

    calls = 0

    class Controlled:
        # Waits while the file GATE exists, at a black picture while HOLD exists. Blocks for ever
        # after a picture where BLOCK names a file, which it makes then. Ends its process for a
        # white picture.
        def __call__(self, luma):
            global calls
            import torch
            calls += 1
            while os.path.exists(os.environ["GATE"]):
                time.sleep(0.02)
            while float(luma.mean()) < 0.05 and os.path.exists(os.environ["HOLD"]):
                time.sleep(0.02)
            block = os.environ.get("BLOCK")
            while block and calls > 1:
                open(block, "w").close()
                time.sleep(0.05)
            if float(luma.mean()) > 0.95:
                os.abort()
            chroma = torch.full((len(luma), 2, 4, 4), 0.1, dtype=luma.dtype)
            chroma[:, 1] = -0.05 - 0.1 * luma.mean(dim=(1, 2, 3))[:, None, None]
            return chroma

    @batchcolor.hookimpl
    def batchcolor_colorizers():
        return [batchcolor.ColorizerSpec("controlled", "one colour", 16, lambda o: Controlled())]
"""


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the plugin, which is on the module path of all nodes."""
    folder = tmp_path_factory.mktemp("packages")
    (folder / "controlledpack.py").write_text(textwrap.dedent(CONTROLLED))
    info = folder / "controlledpack-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: controlledpack\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[batchcolor]\ncontrolledpack = controlledpack\n")
    return folder


@pytest.fixture(scope="module")
def storage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """Variables for an S3 server on loopback; none where its packages are not installed."""
    if any(importlib.util.find_spec(name) is None for name in ("s3fs", "moto", "flask")):
        yield {}
        return
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield {
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing-secret",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "BATCHCOLOR_CACHE": str(tmp_path_factory.mktemp("cache")),
    }
    server.stop()


@pytest.fixture(scope="module")
def client_port() -> int:
    """A port that is free, for drivers that reach the cluster as `ray://`."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
    return port


@pytest.fixture(scope="module")
def cluster(packages: Path, storage: dict[str, str], client_port: int) -> Iterator[Any]:
    """A cluster with one node of one core. Tests that need another node add it."""
    from ray.cluster_utils import Cluster

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        path = os.pathsep.join([str(packages), *filter(None, [os.environ.get("PYTHONPATH")])])
        patch.setenv("PYTHONPATH", path)
        patch.setenv("GATE", str(packages / "gate"))
        patch.setenv("HOLD", str(packages / "hold"))
        for name, value in storage.items():
            patch.setenv(name, value)
        made = Cluster(
            initialize_head=True,
            head_node_args={
                "num_cpus": 1,
                "object_store_memory": STORE,
                "include_dashboard": False,
                "ray_client_server_port": client_port,
                "_system_config": HEALTH,
            },
        )
        yield made
        made.shutdown()


@pytest.fixture
def add_node(cluster: Any) -> Iterator[Callable[..., Any]]:
    """Adds a node of one core with these environment variables, until the end of the test."""
    added = []

    def add(**variables: str) -> Any:
        added.append(
            cluster.add_node(num_cpus=1, object_store_memory=STORE, env_vars=variables or None)
        )
        return added[-1]

    yield add
    for node in added:
        cluster.remove_node(node, allow_graceful=False)


@pytest.fixture
def color(
    cluster: Any, packages: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Iterator[Callable[..., batchcolor.Report]]:
    """Runs a job on the cluster, in this process, with the colorizer above."""
    monkeypatch.syspath_prepend(str(packages))
    monkeypatch.setenv("RAY_ADDRESS", cluster.address)
    monkeypatch.setenv("GATE", str(packages / "gate"))
    monkeypatch.setenv("HOLD", str(packages / "hold"))
    clear_plugin_cache()

    def run(source: Path | str, name: str = "out", **arguments: Any) -> batchcolor.Report:
        given = {"model": "controlled", "cluster": "auto", "batch_size": 1}
        return batchcolor.run(source, **{"output": tmp_path / name, **given, **arguments})

    yield run
    clear_plugin_cache()


@pytest.fixture
def system(storage: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Any:
    """The S3 server as a file system of fsspec."""
    if not storage:
        pytest.skip("the S3 server of the tests needs s3fs, moto and flask")
    import s3fs

    for name, value in storage.items():
        monkeypatch.setenv(name, value)
    s3fs.S3FileSystem.clear_instance_cache()
    return s3fs.S3FileSystem(use_listings_cache=False, skip_instance_cache=True)


def read_objects(system: Any, bucket: str) -> tuple[dict[str, bytes], list[bytes]]:
    """The results in a bucket, and the lines of its journal."""
    files = {path.partition("/")[2]: system.cat_file(path) for path in system.find(bucket)}
    lines = files[f"album/{STATE_FOLDER}/{JOURNAL_NAME}"].splitlines()
    results = {name: data for name, data in files.items() if STATE_FOLDER not in name}
    return results, sorted(lines)


def read_results(output: Path) -> dict[str, bytes]:
    files = (path for path in output.rglob("*") if path.is_file())
    return {
        str(path.relative_to(output)): path.read_bytes()
        for path in files
        if STATE_FOLDER not in path.parts
    }


def read_journal(output: Path) -> list[dict[str, Any]]:
    lines = (output / STATE_FOLDER / JOURNAL_NAME).read_text().splitlines()
    return sorted(map(json.loads, lines), key=lambda entry: entry["source"])


def list_state(output: Path) -> list[str]:
    return sorted(path.name for path in (output / STATE_FOLDER).iterdir())


def kill_node(node: Any) -> None:
    """Ends the processes of a node at once, as a power cut does."""
    raylet = psutil.Process(node.all_processes["raylet"][0].process.pid)
    processes = (raylet, *raylet.children(recursive=True))
    for process in processes:
        process.kill()
    while any(process.is_running() and process.status() != "zombie" for process in processes):
        time.sleep(0.01)


def test_a_killed_node_costs_nothing_and_results_equal_those_of_one_machine(
    color, add_node, album, packages, tmp_path, capfd
):
    source, block, gate = album(20), tmp_path / "blocked", packages / "gate"
    (source / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 no picture")
    node, killed = add_node(BLOCK=str(block)), []
    gate.touch()  # the first pictures wait until both nodes have some

    def kill_when_it_has_results(report: batchcolor.Report) -> None:
        states = [each.state for each in report.nodes]
        if states == ["working", "working"] and not killed:
            gate.unlink(missing_ok=True)
        if block.exists() and not killed:
            gate.touch()  # the last pictures wait until the loss is noticed
            kill_node(node)
            killed.append(report.done)
        if "lost" in states:
            gate.unlink(missing_ok=True)

    report = color(source, progress=kill_when_it_has_results)
    assert killed
    assert capfd.readouterr() == ("", "")
    alone = color(source, "alone", cluster=None)
    assert (report.done, report.failed, report.exit_code) == (20, 1, ExitCode.SOME_FAILED)
    assert read_results(tmp_path / "out") == read_results(tmp_path / "alone")
    assert read_journal(tmp_path / "out") == read_journal(tmp_path / "alone")
    assert report.failures == alone.failures
    assert {node.state for node in report.nodes} == {"working", "lost"}
    assert sum(node.finished for node in report.nodes) == 21
    assert [note for note in report.notes if "was lost" in note]
    assert list_state(tmp_path / "out") == list_state(tmp_path / "alone")
    again = color(source)
    assert (again.done, again.skipped, again.failed) == (0, 20, 1)


def test_objects_and_reports_of_a_cluster_are_those_of_one_machine(color, system, album):
    source = album(6)
    (source / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 no picture")
    Image.new("L", (40, 30), 90).save(source / "wrong.jpg", "PNG")
    (source / "notes").write_bytes(b"no picture, and without a suffix")
    for bucket in ("scans", "colour", "alone"):
        system.mkdir(bucket)
    system.put(str(source), "scans/album", recursive=True)
    report = color("s3://scans/album", output="s3://colour/album")
    alone = color("s3://scans/album", output="s3://alone/album", cluster=None)
    files, journal = read_objects(system, "colour")
    assert (files, journal) == read_objects(system, "alone")
    assert (report.done, alone.done) == (7, 7)
    assert "album/wrong.png" in files
    assert [reason for name, reason in report.skipped_entries if name.endswith("notes")]
    assert report.skipped_entry_count == alone.skipped_entry_count == 1
    assert report.output == "s3://colour/album"


def test_a_job_whose_driver_is_killed_is_resumed_at_once_by_the_same_command(
    color, system, started, packages, tmp_path
):
    source, hold = tmp_path / "album", packages / "hold"
    source.mkdir()
    for number in range(6):  # the last one is black
        Image.new("L", (96, 64), 0 if number == 5 else 60 + number).save(source / f"{number}.jpg")
    for bucket in ("killed-scans", "killed-colour", "killed-alone"):
        system.mkdir(bucket)
    system.put(str(source), "killed-scans/album", recursive=True)
    hold.touch()
    words = ["run", "s3://killed-scans/album", "-o", "s3://killed-colour/album", "--quiet"]
    words += ["-m", "controlled", "--batch-size", "1", "--cluster", "auto"]
    path = os.pathsep.join([str(packages), *filter(None, [os.environ.get("PYTHONPATH")])])
    driver = subprocess.Popen(
        [sys.executable, "-m", "batchcolor", *words], env={**os.environ, "PYTHONPATH": path}
    )
    started.append(driver)
    while sum(name.endswith(".jpg") for name in system.find("killed-colour")) < 5:
        assert driver.poll() is None
        time.sleep(0.05)
    driver.kill()
    driver.wait()
    state = find_output_folder(Url("s3://killed-colour/album")) / STATE_FOLDER
    assert list(state.glob("cluster/*/chunk-*.json"))
    hold.unlink()
    report = color("s3://killed-scans/album", output="s3://killed-colour/album")
    color("s3://killed-scans/album", output="s3://killed-alone/album", cluster=None)
    assert (report.done + report.skipped, report.existed, report.failed) == (6, 0, 0)
    assert report.done >= 1
    assert read_objects(system, "killed-colour") == read_objects(system, "killed-alone")
    assert not (state / "cluster").exists()
    assert system.cat_file(f"killed-colour/album/{STATE_FOLDER}/lock.json") == b""


def test_a_driver_that_is_killed_behind_a_ray_client_is_resumed_by_the_same_command(
    color, started, packages, tmp_path, client_port
):
    source, hold, address = tmp_path / "album", packages / "hold", f"ray://127.0.0.1:{client_port}"
    source.mkdir()
    for number in range(4):  # the last one is black
        Image.new("L", (96, 64), 0 if number == 3 else 60 + number).save(source / f"{number}.jpg")
    hold.touch()
    words = ["run", str(source), "-o", str(tmp_path / "out"), "-m", "controlled", "--quiet"]
    words += ["--batch-size", "1", "--cluster", address]
    path = os.pathsep.join([str(packages), *filter(None, [os.environ.get("PYTHONPATH")])])
    own = {"PYTHONPATH": path, "RAY_CLIENT_RECONNECT_GRACE_PERIOD": "1"}  # else 30 s
    driver = subprocess.Popen([sys.executable, "-m", "batchcolor", *words], env=os.environ | own)
    started.append(driver)
    while len(list((tmp_path / "out").glob("*.jpg"))) < 3:
        assert driver.poll() is None
        time.sleep(0.05)
    driver.kill()
    driver.wait()
    hold.unlink()
    report = color(source, cluster=address)
    color(source, "alone", cluster=None)
    assert (report.done + report.skipped, report.existed, report.failed) == (4, 0, 0)
    assert report.done >= 1
    assert read_results(tmp_path / "out") == read_results(tmp_path / "alone")
    assert read_journal(tmp_path / "out") == read_journal(tmp_path / "alone")


def test_a_picture_that_kills_its_worker_is_found_reported_and_skipped(
    color, album, tmp_path, monkeypatch
):
    monkeypatch.setattr(chunk, "MAX_DEATHS", 1)  # three are tried without processes
    source = album(3)
    Image.new("L", (40, 30), 255).save(source / "killer.jpg")
    report = color(source)
    assert (report.done, report.failed, report.exit_code) == (3, 1, ExitCode.SOME_FAILED)
    failure = report.failures[0]
    assert (failure.source, failure.step) == (source / "killer.jpg", "worker")
    assert "the process of its worker died" in failure.reason
    source_without = tmp_path / "without"
    shutil.copytree(source, source_without, ignore=lambda *_: ["killer.jpg"])
    color(source_without, "alone", cluster=None)
    assert read_results(tmp_path / "out") == read_results(tmp_path / "alone")
    again = color(source)
    assert (again.done, again.failed) == (0, 1)
    assert "--retry-failed" in again.failures[0].reason


def test_a_node_without_the_plugin_is_not_used_and_named(color, add_node, album, packages):
    add_node(BATCHCOLOR_DISABLE_PLUGINS="controlledpack")
    gate = packages / "gate"
    gate.touch()  # the other node waits until this one is refused

    def open_gate(report: batchcolor.Report) -> None:
        if any(node.state == "not used" for node in report.nodes):
            gate.unlink(missing_ok=True)

    report = color(album(4), progress=open_gate)
    assert (report.done, report.exit_code) == (4, ExitCode.DONE)
    reasons = [node.reason for node in report.nodes if node.state == "not used"]
    assert len(reasons) == 1
    assert "lacks the plugin controlledpack" in reasons[0]
    assert "pip install controlledpack==1.0" in reasons[0]
    assert any(reasons[0] in note for note in report.notes)


def test_a_signal_finishes_what_is_in_flight_and_the_same_job_resumes(
    color, album, tmp_path, default_signals
):
    source, sent = album(40), []

    def interrupt(report: batchcolor.Report) -> None:
        if report.done and not sent:
            sent.append(os.kill(os.getpid(), signal.SIGINT))

    first = color(source, progress=interrupt)
    assert first.exit_code == ExitCode.SIGINT
    assert 0 < first.done < 40
    assert len(read_results(tmp_path / "out")) == first.done
    second = color(source)
    assert (second.done, second.skipped) == (40 - first.done, first.done)
    color(source, "alone", cluster=None)
    assert read_results(tmp_path / "out") == read_results(tmp_path / "alone")
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_two_drivers_do_not_write_to_one_output(color, album, tmp_path):
    (tmp_path / "out").mkdir()
    with Journal(tmp_path / "out") as journal:
        journal.open()
        with pytest.raises(OutputLockedError, match="another job is writing"):
            color(album(1))


def test_a_cluster_that_is_not_there_is_reported_before_anything_is_written(
    color, album, tmp_path, monkeypatch
):
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:9")
    with pytest.raises(ClusterError, match="ray start --head"):
        color(album(1))
    assert not (tmp_path / "out").exists()


def test_another_version_of_ray_is_named_and_not_a_missing_cluster(color, album, monkeypatch):
    monkeypatch.setattr(ray, "__version__", "2.1.0")
    with pytest.raises(
        ClusterError, match=r"the cluster has Ray .*, and this computer Ray 2\.1\.0"
    ):
        color(album(1))


def test_a_node_without_batchcolor_is_named_with_what_to_install():
    error = RuntimeError(
        "The actor died because of an error raised in its creation task, \x1b[36mray::WorkerProcess"
        ".__init__()\x1b[39m (pid=28205, ip=192.0.2.2, actor_id=b208b591, repr=<unknown>)\n"
        "  At least one of the input arguments for this task could not be computed:\n"
        "traceback: Traceback (most recent call last):\n          ^^^^^^^^^^\n"
        "ModuleNotFoundError: No module named 'batchcolor'"
    )
    reason = describe_ray_error(error)
    assert "batchcolor is not installed there" in reason
    assert f"pip install batchcolor=={batchcolor.__version__}" in reason
    other = RuntimeError(f"{str(error).rpartition(chr(10))[0]}\nOSError: no space left")
    assert describe_ray_error(other) == "OSError: no space left"


def test_without_ray_the_message_names_the_package(color, album, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(UsageError, match=r"pip install 'batchcolor\[ray\]'"):
        color(album(1))
