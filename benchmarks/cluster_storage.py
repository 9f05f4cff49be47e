"""The command of the documentation from bucket to bucket, with a node that is killed.

Two nodes of a Ray cluster and an S3 server (moto) run on this machine. Objects, journal, report and
merged report are compared with those of a job without a cluster.
"""

from __future__ import annotations

import argparse
import io
import json
import logging
import os
import random
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from benchmarks.cluster import STORE, kill_node, running_cluster

ENDED = ("done", "skipped", "failed", "existed", "copied", "exit_code", "failures", "passed_over")
"""Of the reports, what has to be equal."""
TIMES = ("seconds", "images_per_second", "host")
"""Of the merged reports, what differs."""


def measure(folder: Path, options: argparse.Namespace) -> None:
    """Prints what was compared. Raises AssertionError where something differs."""
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    os.environ.update(
        AWS_ACCESS_KEY_ID="testing",
        AWS_SECRET_ACCESS_KEY="testing",
        AWS_DEFAULT_REGION="us-east-1",
        AWS_ENDPOINT_URL=f"http://{host}:{port}",
        BATCHCOLOR_CACHE=str(folder / "cache"),
    )
    import s3fs

    system = s3fs.S3FileSystem(use_listings_cache=False)
    for bucket in ("scans", "colour", "alone"):
        system.mkdir(bucket)
    _put_pictures(system, options.pictures)
    try:
        report = _color_on_cluster(system, options.model, options.pictures)
        alone = _wait(_start("alone", options.model))
        _compare(system, report, alone)
    finally:
        server.stop()


def _put_pictures(system: Any, count: int) -> None:
    generator = np.random.default_rng(0)
    for index in range(count):
        shapes = Image.fromarray(generator.integers(0, 256, (6, 6), np.uint8))
        data = io.BytesIO()
        shapes.resize((160, 120), Image.Resampling.BICUBIC).save(data, "JPEG")
        system.pipe_file(f"scans/album/{index // 100}/{index:05d}.jpg", data.getvalue())
    system.pipe_file("scans/album/damaged.jpg", b"\xff\xd8\xff\xe0 no picture")


def _start(bucket: str, model: str, *more: str) -> subprocess.Popen[str]:
    words = ("run", "s3://scans/album", "-o", f"s3://{bucket}/album", "-m", model, "--json", *more)
    return subprocess.Popen(
        [sys.executable, "-m", "batchcolor", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def _wait(process: subprocess.Popen[str]) -> dict[str, Any]:
    out, err = process.communicate()
    assert process.returncode == 3, err  # the damaged object
    print(err, end="")
    report: dict[str, Any] = json.loads(out)
    return report


def _color_on_cluster(system: Any, model: str, pictures: int) -> dict[str, Any]:
    """Runs the job on two nodes; one is killed at a random moment."""
    moment = random.randrange(1, max(2, 2 * pictures // 3))
    with running_cluster(1) as cluster:
        node = cluster.add_node(num_cpus=1, object_store_memory=STORE)
        process, begun = _start("colour", model, "--cluster", "auto"), time.monotonic()
        while len(_names(system, "colour")) < moment and process.poll() is None:
            time.sleep(0.2)
        kill_node(node)
        print(f"cluster-storage: a node is killed after {time.monotonic() - begun:.1f} s")
        report = _wait(process)
        print(f"cluster-storage: done after {time.monotonic() - begun:.1f} s")
        cluster.remove_node(node, allow_graceful=False)
    return report


def _names(system: Any, bucket: str) -> list[str]:
    found = system.find(f"{bucket}/album")
    return [name.partition("/")[2] for name in found if "/.batchcolor/" not in name]


def _compare(system: Any, report: dict[str, Any], alone: dict[str, Any]) -> None:
    names = _names(system, "alone")
    assert _names(system, "colour") == names
    for name in names:
        assert system.cat_file(f"colour/{name}") == system.cat_file(f"alone/{name}"), name
    journals = [
        sorted(system.cat_file(f"{bucket}/album/.batchcolor/journal.jsonl").splitlines())
        for bucket in ("colour", "alone")
    ]
    assert journals[0] == journals[1]
    for key in ENDED:
        assert report[key] == alone[key], (key, report[key], alone[key])
    merged = [_read_merged_report(bucket) for bucket in ("colour", "alone")]
    assert merged[0] == merged[1], merged
    states = [f"{node['name']} {node['state']} {node['finished']}" for node in report["nodes"]]
    print(
        f"cluster-storage: {len(names)} objects, {len(journals[0])} lines of the journal, the "
        f"reports and the merged reports are equal; nodes: {', '.join(states)}"
    )


def _read_merged_report(bucket: str) -> dict[str, Any]:
    """The document of `batchcolor report`, without what names the bucket and without times."""
    words = ("report", f"s3://{bucket}/album", "--json")
    found = subprocess.run(
        [sys.executable, "-m", "batchcolor", *words], capture_output=True, text=True, check=False
    )
    assert found.returncode == 3, found.stderr  # the damaged object
    merged: dict[str, Any] = json.loads(found.stdout)
    del merged["output"]
    for part in (merged["total"], *merged["shards"]):
        for name in TIMES:
            part.pop(name, None)
    return merged
