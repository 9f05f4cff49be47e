"""A job on a Ray cluster of processes on this machine: more nodes, cost of the driver, kills.

Network model: none. Nodes are processes of one machine that share its disk, so messages take what
the loopback interface takes, and reading and writing what the disk takes. A model that sleeps
stands for a GPU, so that nodes do not compete for the cores of this machine.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import random
import sys
import textwrap
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
from PIL import Image

from batchcolor.cluster.chunk_worker import ChunkResult, ChunkWorker
from batchcolor.cluster.run_on_cluster import run_on_cluster
from batchcolor.hooks.manager import clear_plugin_cache, load_plugins
from batchcolor.pipeline.job import run
from batchcolor.pipeline.options.settings import RunSettings
from batchcolor.pipeline.planning.task import Task
from batchcolor.pipeline.report import Report
from batchcolor.storage.atomic import SUFFIX
from batchcolor.storage.journal import JOURNAL_NAME, STATE_FOLDER, JournalEntry, absolute_source

STORE = 100 * 2**20
HEALTH = {"health_check_period_ms": 500, "health_check_failure_threshold": 4}
"""A killed node is noticed in seconds, not in a quarter of a minute."""
NODES = 4
SLEEP = 0.05
"""Seconds that the model takes for a picture."""
DRIVER_WORKERS, DRIVER_PICTURES = 64, 100
"""Workers, and pictures for each one of `--pictures`, to measure the driver."""
KILLS, KILL_PICTURES = 20, 60
SLEEPER = """
    import os, time
    import batchcolor

    class Sleeper:
        # Waits for the file START, then sleeps for each picture and adds a line to CALLS.
        def __call__(self, luma):
            import torch
            while not os.path.exists(os.environ["START"]):
                time.sleep(0.01)
            time.sleep(float(os.environ["SLEEP"]) * len(luma))
            with open(os.environ["CALLS"], "a") as file:
                file.write("x" * len(luma))
            return torch.full((len(luma), 2, 4, 4), 0.1, dtype=luma.dtype)

    @batchcolor.hookimpl
    def batchcolor_colorizers():
        return [batchcolor.ColorizerSpec("sleeper", "sleeps", 16, lambda options: Sleeper())]
"""


class InstantWorker(ChunkWorker):
    """Returns the entries of a chunk at once, without any work: what is left is the driver."""

    def prepare(self) -> str:
        return ""

    def color(self, tasks: tuple[Task, ...]) -> ChunkResult:
        entries = [
            JournalEntry(
                source=absolute_source(task.source.path),
                size=task.source.size,
                mtime_ns=task.source.mtime_ns,
                edges="0" * 64,
                settings=task.fingerprint,
                weights=task.weights_hash,
                target=str(task.target.relative_to(self.spec.output)),
                outcome="done",
                result_sha256="0" * 64,
                result_size=1000,
                doubt=1.0,
            )
            for task in tasks
        ]
        return ChunkResult(tuple(entries), 0.001 * len(tasks))


def measure(folder: Path, options: argparse.Namespace) -> None:
    """Prints the three measurements; `--pictures` 2000 is the size of the goals."""
    with _plugin(folder):
        _measure_scaling(folder, options.pictures)
        _measure_kills(folder)
    _measure_driver(folder, options.pictures * DRIVER_PICTURES)


@contextlib.contextmanager
def _plugin(folder: Path) -> Iterator[None]:
    """The sleeping model on the module path of this process and of all nodes."""
    site = folder / "site"
    info = site / "sleeperpack-1.0.dist-info"
    info.mkdir(parents=True)
    (site / "sleeperpack.py").write_text(textwrap.dedent(SLEEPER))
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: sleeperpack\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[batchcolor]\nsleeperpack = sleeperpack\n")
    path = os.pathsep.join([str(site), *filter(None, [os.environ.get("PYTHONPATH")])])
    os.environ["PYTHONPATH"] = path
    os.environ.update(START=str(folder / "start"), CALLS=str(folder / "calls"), SLEEP=str(SLEEP))
    sys.path.insert(0, str(site))
    clear_plugin_cache()
    yield
    sys.path.remove(str(site))
    clear_plugin_cache()


@contextlib.contextmanager
def running_cluster(cores: int) -> Iterator[Any]:
    """A cluster with one node of so many cores."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    path = [os.environ.get("PYTHONPATH", ""), str(Path(__file__).parent.parent)]
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, path))
    from ray.cluster_utils import Cluster

    made = Cluster(
        initialize_head=True,
        head_node_args={
            "num_cpus": cores,
            "object_store_memory": STORE,
            "include_dashboard": False,
            "_system_config": HEALTH,
        },
    )
    os.environ["RAY_ADDRESS"] = made.address
    try:
        yield made
    finally:
        made.shutdown()  # type: ignore[no-untyped-call]


def _make_pictures(folder: Path, count: int, side: int = 32) -> Path:
    for index in range(count):
        place = folder / f"{index // 1000:03d}"
        if index % 1000 == 0:
            place.mkdir(parents=True)
        data = io.BytesIO()
        Image.new("L", (side, side), 40 + index % 160).save(data, "JPEG")
        (place / f"{index:06d}.jpg").write_bytes(data.getvalue())
    return folder


def _settings(source: Path, output: Path, **changes: Any) -> RunSettings:
    values = {"model": "sleeper", "cluster": "auto", "batch_size": 1, **changes}
    return RunSettings(sources=(str(source),), output=output, **values)


def _run_when_ready(
    source: Path, output: Path, nodes: int, watch: Callable[[Report], None] = lambda report: None
) -> tuple[Report, float]:
    """Runs a job whose model waits until all nodes have loaded it. Returns the time from then to
    the last result."""
    start = Path(os.environ["START"])
    start.unlink(missing_ok=True)
    started, ended = [0.0], [0.0]

    def observe(report: Report) -> None:
        ready = [node for node in report.nodes if node.state == "working"]
        if len(ready) == nodes and not started[0]:
            started[0] = time.monotonic()
            start.touch()
        ended[0] = time.monotonic()
        watch(report)

    report = run_on_cluster(_settings(source, output), load_plugins(), observe)
    return report, ended[0] - started[0]


def _measure_scaling(folder: Path, count: int) -> None:
    """One node against several, with a model that sleeps."""
    source = _make_pictures(folder / "scaling", count)
    seconds = []
    with running_cluster(1) as cluster:
        for nodes in (1, NODES):
            for _ in range(nodes - 1):
                cluster.add_node(num_cpus=1, object_store_memory=STORE)
            report, taken = _run_when_ready(source, folder / f"nodes-{nodes}", nodes)
            assert report.done == count, report.as_json()
            seconds.append(taken)
            print(f"cluster: {nodes} node(s), {count} pictures in {taken:.1f} s", flush=True)
    print(f"cluster: {NODES} nodes are {seconds[0] / seconds[1]:.2f} times as fast as 1")


def _measure_kills(folder: Path) -> None:
    """Kills one of two nodes at a random moment, again and again."""
    source = _make_pictures(folder / "kills", KILL_PICTURES)
    calls, start = Path(os.environ["CALLS"]), Path(os.environ["START"])
    start.touch()
    run(_settings(source, folder / "alone", cluster=None), load_plugins(), lambda report: None)
    expected, chooser, repeated, wrong = _read(folder / "alone"), random.Random(0), [], 0
    with running_cluster(1) as cluster:
        for kill in range(KILLS):
            calls.write_text("")
            node = cluster.add_node(num_cpus=1, object_store_memory=STORE)
            delay, begun = chooser.uniform(0, SLEEP * KILL_PICTURES / 2), [False]

            def kill_later(
                report: Report, node: Any = node, delay: float = delay, begun: list[bool] = begun
            ) -> None:
                if start.exists() and not begun[0]:
                    begun[0] = True
                    threading.Timer(delay, kill_node, [node]).start()

            output = folder / f"killed-{kill}"
            _run_when_ready(source, output, 2, kill_later)
            lines = (output / STATE_FOLDER / JOURNAL_NAME).read_text().splitlines()
            entries = Counter(json.loads(line)["source"] for line in lines)
            is_right = _read(output) == expected and set(entries.values()) == {1}
            wrong += not (is_right and len(entries) == KILL_PICTURES)
            repeated.append(len(calls.read_text()) - KILL_PICTURES)
            cluster.remove_node(node, allow_graceful=False)
            print(f"cluster: killed after {delay:.2f} s, {repeated[-1]} coloured twice", flush=True)
    print(
        f"cluster: {KILLS} kills of one of 2 nodes: {wrong} with a lost, repeated, half-written or "
        f"different result; pictures coloured twice: at most {max(repeated)}"
    )


def kill_node(node: Any) -> None:
    raylet = psutil.Process(node.all_processes["raylet"][0].process.pid)
    for process in (raylet, *raylet.children(recursive=True)):
        process.kill()


def _read(output: Path) -> dict[str, bytes]:
    files = [path for path in output.rglob("*") if path.is_file()]
    assert not [path for path in files if path.name.endswith(SUFFIX)]
    return {
        str(path.relative_to(output)): path.read_bytes()
        for path in files
        if STATE_FOLDER not in path.parts
    }


def _measure_driver(folder: Path, count: int) -> None:
    """CPU and memory of the driver, with workers that return at once."""
    source = _make_pictures(folder / "driver", count, side=8)
    process = psutil.Process()
    peaks: list[int] = []

    def watch(report: Report) -> None:
        if report.done > len(peaks) * count / 10:
            peaks.append(process.memory_info().rss // 2**20)

    with running_cluster(DRIVER_WORKERS):
        settings = _settings(source, folder / "driver-out", model="beta", workers=1)
        before, started = time.process_time(), time.monotonic()
        report = run_on_cluster(settings, load_plugins(), watch, kind=InstantWorker)
        used, taken = time.process_time() - before, time.monotonic() - started
    assert report.done == count, report.as_json()
    print(
        f"cluster: driver with {DRIVER_WORKERS} workers that return at once: {count} pictures in "
        f"{taken:.0f} s, {1000 * used / count:.3f} ms of CPU a picture"
    )
    print(f"cluster: memory of the driver at each tenth of the job, MiB: {peaks}")
