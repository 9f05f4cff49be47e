"""Metrics for Prometheus, in a file and at a port, and the log of a job as JSON lines."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

import batchcolor

parser: Any = pytest.importorskip("prometheus_client.parser")
Command = Callable[..., subprocess.CompletedProcess[str]]

WAITING = """
    import os, time
    import batchcolor

    calls = 0

    class Waiting:
        def __call__(self, luma):
            import torch
            global calls
            calls += 1
            while calls == 3 and (gate := os.environ.get("GATE")) and not os.path.exists(gate):
                time.sleep(0.01)
            return torch.full((len(luma), 2, 4, 4), 0.1)

    @batchcolor.hookimpl
    def batchcolor_colorizers():
        return [batchcolor.ColorizerSpec("waiting", "waits", 16, lambda options: Waiting())]
"""


def parse(text: str) -> dict[tuple[str, ...], float]:
    """The value of each sample, by its name and the values of its labels."""
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in parser.text_string_to_metric_families(text)
        for sample in family.samples
        if family.documentation
    }


def test_a_file_has_the_metrics_of_a_job_and_of_each_shard(
    command: Command, flat, album, make_clip, tmp_path
):
    folder = album(6)
    (folder / "bad.jpg").write_bytes(b"\xff\xd8\xff no picture")
    make_clip(folder / "film.mp4", frames=5)
    words = ("run", folder, "-m", flat, "-o", "out", "--metrics", "job.prom", "--stabilize", "off")
    report = json.loads(command(*words, "--json").stdout)
    found = parse((tmp_path / "job.prom").read_text())
    assert found["batchcolor_pictures_total", "done"] == report["done"] == 7
    assert found["batchcolor_pictures_total", "failed"] == 1
    assert found["batchcolor_failures_total", "decode"] == 1
    assert found["batchcolor_frames_total",] == 5
    assert found["batchcolor_planned_pictures",] == 8
    results = [path for path in (tmp_path / "out").rglob("*.*") if path.suffix in (".jpg", ".mp4")]
    assert found["batchcolor_result_bytes_total",] == sum(p.stat().st_size for p in results)
    sources = [folder / path.relative_to(tmp_path / "out") for path in results]
    assert found["batchcolor_source_bytes_total",] == sum(p.stat().st_size for p in sources)
    assert found["batchcolor_device_seconds_total", "cpu"] > 0
    assert found["batchcolor_running",] == found["batchcolor_queue_items", "decode"] == 0

    for index in (1, 2, 3):
        assert command(*words, "--shard", f"{index}/3").returncode in (0, 3)
    parts = [parse((tmp_path / f"job-{index}-of-3.prom").read_text()) for index in (1, 2, 3)]
    assert sum(part["batchcolor_pictures_total", "skipped"] for part in parts) == 7
    assert all("1/3" in key for key in parts[0] if key[0] == "batchcolor_job_info")


def test_a_port_serves_the_metrics_while_the_job_runs(
    plugin, environment, album, tmp_path, started
):
    plugin("waitingpack", WAITING)
    gate = tmp_path / "gate"
    words = ["run", str(album(6)), "-m", "waiting", "-o", "out", "--batch-size", "1"]
    process = subprocess.Popen(
        [sys.executable, "-m", "batchcolor", *words, "--metrics", "127.0.0.1:0", "--log-json"],
        env={**environment, "GATE": str(gate)},
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        text=True,
    )
    started.append(process)
    assert process.stderr is not None
    url = next(event["url"] for event in map(json.loads, process.stderr) if "url" in event)
    end = time.monotonic() + 300
    while True:
        with urllib.request.urlopen(url, timeout=60) as answer:
            assert answer.headers["Content-Type"].startswith("text/plain")
            found = parse(answer.read().decode())
        waiting = sum(value for key, value in found.items() if key[0] == "batchcolor_queue_items")
        if found["batchcolor_pictures_total", "done"] == 2 and waiting:
            break
        assert time.monotonic() < end, found
        time.sleep(0.05)
    assert found["batchcolor_running",] == 1
    assert found["batchcolor_planned_pictures",] == 6
    assert 0 < found["batchcolor_reserved_memory_bytes",] < found["batchcolor_memory_limit_bytes",]
    gate.touch()
    lines = [json.loads(line) for line in process.stderr]
    assert process.wait(300) == 0
    assert lines[-1]["event"] == "ended"
    assert lines[-1]["done"] == 6


@pytest.mark.parametrize(
    "target", [":99999", "127.0.0.1:{taken}", "folder", "in/a.prom", "in/1.png"]
)
def test_metrics_that_cannot_be_written_are_refused_before_the_job(
    command: Command, flat, album, tmp_path, target
):
    album(2).rename(tmp_path / "in")
    (tmp_path / "folder").mkdir()
    picture = tmp_path / "in" / "1.png"
    picture.write_bytes(b"a photograph")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        where = target.format(taken=taken.getsockname()[1])
        done = command("run", "in", "-m", flat, "-o", "out", "--metrics", where)
    assert done.returncode == 2
    assert "--metrics" in done.stderr
    assert not (tmp_path / "out").exists()
    assert picture.read_bytes() == b"a photograph"


def test_the_metrics_of_two_jobs_in_one_process_are_not_added(album, tmp_path):
    folder, file = album(2), tmp_path / "api.prom"
    for _ in range(2):
        batchcolor.run(folder, output=tmp_path / "out", model="beta", metrics=file, backend="torch")
        found = parse(file.read_text())
        assert sum(v for k, v in found.items() if k[0] == "batchcolor_pictures_total") == 2


# ---- the log -----------------------------------------------------------------------------


def read_log(text: str) -> list[dict[str, Any]]:
    events: list[dict[str, Any]] = [json.loads(line) for line in text.splitlines()]
    for event in events:
        assert datetime.fromisoformat(event["time"]).utcoffset() is not None
        assert event["level"] in ("info", "warning", "error")
        assert event["elapsed"] >= 0
    return events


def test_the_log_has_a_line_for_each_picture_and_nothing_else(command: Command, flat, album):
    folder = album(4)
    (folder / "bad.jpg").write_bytes(b"\xff\xd8\xff no picture")
    (folder / "text.txt").write_text("text")
    (folder / "batchcolor.toml").write_text("strength = 0.5\n")
    done = command("run", folder, "-m", flat, "-o", "out", "--log-json", "--json", "--shard", "1/1")
    events = read_log(done.stderr)
    assert (events[0]["event"], events[-1]["event"]) == ("started", "ended")
    assert {event["shard"] for event in events} == {"1/1"}
    pictures = [event for event in events if event["event"] == "picture"]
    assert [one["outcome"] for one in pictures].count("done") == 4
    (failed,) = [one for one in pictures if one["outcome"] == "failed"]
    assert (failed["level"], failed["step"]) == ("error", "decode")
    assert failed["picture"] == str(folder / "bad.jpg")
    assert "truncated" in failed["reason"]
    skipped = [one["picture"] for one in events if one["event"] == "entry_skipped"]
    assert str(folder / "text.txt") in skipped
    end = events[-1]
    assert (end["done"], end["failed"], end["exit_code"]) == (4, 1, 3)
    assert json.loads(done.stdout)["done"] == 4


def test_an_error_is_an_event_of_the_log(command: Command, album):
    for words, code in [(["-m", "nope"], 5), (["--nope"], 2), (["--shard", "3/2"], 2)]:
        done = command("run", album(1), *words, "--log-json")
        assert done.returncode == code
        event = read_log(done.stderr)[-1]
        assert (event["event"], event["exit_code"]) == ("error", code)
        assert event["reason"]


def test_the_page_names_every_field_and_metric(command: Command, flat, album, tmp_path):
    page = (Path(__file__).parents[2] / "docs" / "scripting.md").read_text()
    done = command(
        *("run", album(2), "-m", flat, "-o", "out", "--log-json", "--metrics", "job.prom")
    )
    fields = {name for event in read_log(done.stderr) for name in event}
    assert {name for name in fields if f"`{name}`" not in page} == set()
    names = {key[0] for key in parse((tmp_path / "job.prom").read_text())}
    own = {name for name in names if name.startswith("batchcolor_")}
    assert len(own) > 10
    assert {name for name in own if f"`{name}`" not in page} == set()
