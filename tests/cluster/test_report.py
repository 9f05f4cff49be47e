"""`batchcolor report`: what it says of shards that end, fail, are killed or were never started."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from batchcolor.pipeline.records.run_record import record_path
from batchcolor.storage.shard import Shard, ShardSet

Command = Callable[..., subprocess.CompletedProcess[str]]

SKEWED = """
    import os, time

    import batchcolor

    if hours := float(os.environ.get("SKEW_HOURS", 0)):  # the clock of another computer
        real, real_ns = time.time, time.time_ns
        time.time = lambda: real() + 3600 * hours
        time.time_ns = lambda: real_ns() + int(3600e9 * hours)

    class Skewed:
        calls = 0

        def __call__(self, luma):
            import torch
            Skewed.calls += 1
            if Skewed.calls == 4 and (gate := os.environ.get("GATE")):
                open(gate, "w").close()
                time.sleep(600)
            return torch.full((len(luma), 2, 4, 4), 0.1)

    @batchcolor.hookimpl
    def batchcolor_colorizers():
        return [batchcolor.ColorizerSpec("skewed", "waits", 16, lambda options: Skewed())]
"""


@pytest.fixture
def report(command: Command, tmp_path: Path) -> Callable[..., Any]:
    def read(out: str = "out") -> Any:
        done = command("report", out, "--json")
        document = json.loads(done.stdout)
        assert done.returncode == document["exit_code"], done.stderr
        return document

    return read


def test_shards_are_added_up_and_those_not_started_are_known(
    command: Command, report, flat, album, tmp_path
):
    folder = album(30)
    (folder / "bad.jpg").write_bytes(b"\xff\xd8\xff no picture")
    (folder / "text.txt").write_text("text")
    for index in (1, 2, 4):
        command("run", folder, "-m", flat, "-o", "out", "--shard", f"{index}/4")
    found = report()
    assert [one["shard"] for one in found["shards"]] == ["1/4", "2/4", "3/4", "4/4"]
    assert [one["state"] for one in found["shards"]].index("not started") == 2
    assert found["shards"][2]["missing"] is None
    own = sum(Shard(3, 4).has(p.relative_to(folder).as_posix()) for p in folder.rglob("*.jpg"))
    assert own > 0
    assert (found["total"]["planned"], found["total"]["missing"]) == (31, own)
    assert (found["total"]["state"], found["exit_code"]) == ("incomplete", 3)

    command("run", folder, "-m", flat, "-o", "out", "--shard", "3/4")
    found = report()
    total = found["total"]
    assert (total["planned"], total["done"], total["failed"], total["missing"]) == (31, 30, 1, 0)
    assert (total["state"], found["exit_code"]) == ("complete", 3)
    assert found["failures_by_step"] == {"decode": 1}
    (failure,) = found["failures"]
    assert failure["source"] == str(folder / "bad.jpg")
    assert Shard(*map(int, failure["shard"].split("/"))).has("bad.jpg")

    (folder / "bad.jpg").unlink()
    for index in range(1, 5):
        command("run", folder, "-m", flat, "-o", "out", "--shard", f"{index}/4")
    found = report()
    assert (found["total"]["done"], found["total"]["failed"], found["exit_code"]) == (30, 0, 0)
    assert found["total"]["runs"] == 8
    assert found["total"]["images_per_second"] > 0  # of the runs that coloured


@pytest.mark.parametrize("width", [40, 80])
def test_the_table_fits_the_terminal(command: Command, flat, album, tmp_path, width):
    folder = album(12)
    (folder / "bad [b].jpg").write_bytes(b"\xff\xd8\xff no picture")
    for index in (1, 2):
        command("run", folder, "-m", flat, "-o", "out", "--shard", f"{index}/3")
    shown = command("report", "out", COLUMNS=str(width)).stdout
    table = [line for line in shown.splitlines() if line.startswith((" 1/3", " 3/3", " total"))]
    assert len(table) == 3
    assert max(len(line.rstrip()) for line in table) <= width
    assert "\N{HORIZONTAL ELLIPSIS}" not in shown
    assert "Next: start shard 3/3" in shown


def test_a_job_without_shards_and_one_of_an_earlier_version_are_shown(
    command: Command, report, flat, album, tmp_path
):
    folder = album(6)
    command("run", folder, "-m", flat, "-o", "out")
    found = report()
    assert found["total"]["done"] == found["total"]["planned"] == 6
    record_path(tmp_path / "out", None).unlink()
    found = report()
    assert (found["total"]["done"], found["exit_code"]) == (6, 0)
    for index in (1, 2):  # what was done before counts as done
        command("run", folder, "-m", flat, "-o", "out", "--shard", f"{index}/2")
    found = report()
    assert [one["shard"] for one in found["shards"]] == ["1/2", "2/2"]
    assert (found["total"]["done"], found["total"]["runs"], found["exit_code"]) == (6, 2, 0)
    assert command("report", folder).returncode == 2


def test_a_killed_shard_is_counted_to_its_last_picture_and_clocks_do_not_matter(
    command: Command, report, plugin, environment, album, tmp_path, started
):
    plugin("skewedpack", SKEWED)
    folder, gate = album(20), tmp_path / "gate"
    words = ["run", str(folder), "-m", "skewed", "-o", "out", "--batch-size", "1", "--workers", "1"]
    process = subprocess.Popen(
        [sys.executable, "-m", "batchcolor", *words, "--shard", "1/2"],
        env={**environment, "GATE": str(gate), "SKEW_HOURS": "-30"},
        cwd=tmp_path,
        text=True,
    )
    started.append(process)
    end = time.monotonic() + 300
    journal = tmp_path / "out" / ".batchcolor" / "journal-1-of-2.jsonl"
    while not (gate.exists() and journal.read_bytes().count(b"\n") == 3):
        assert process.poll() is None
        assert time.monotonic() < end
        time.sleep(0.01)
    first = report()["shards"][0]
    assert (first["state"], first["done"]) == ("running", 3)
    process.send_signal(signal.SIGKILL)
    process.wait(300)
    first = report()["shards"][0]
    assert (first["state"], first["done"], first["failed"]) == ("interrupted", 3, 0)
    assert "run shard 1/2 again to resume" in command("report", "out").stdout

    shard = [sys.executable, "-m", "batchcolor", *words, "--shard", "2/2"]
    skewed = {**environment, "SKEW_HOURS": "30"}
    subprocess.run(shard, env=skewed, cwd=tmp_path, check=True, capture_output=True)
    assert command(*words, "--shard", "1/2").returncode == 0
    for path in (tmp_path / "out" / ".batchcolor").iterdir():
        os.utime(path, (0, 0))
    found = report()
    assert [one["state"] for one in found["shards"]] == ["complete", "complete"]
    assert (found["total"]["done"], found["total"]["missing"], found["exit_code"]) == (20, 0, 0)
    assert found["shards"][0]["runs"] == 2
    assert all(0 < one["seconds"] < 600 for one in found["shards"])
    assert all(0 < one["images_per_second"] < 1000 for one in found["shards"])


def test_a_damaged_record_costs_only_the_record(command: Command, report, flat, album, tmp_path):
    folder = album(8)
    for index in (1, 2):
        command("run", folder, "-m", flat, "-o", "out", "--shard", f"{index}/2")
    record_path(tmp_path / "out", Shard(1, 2)).write_bytes(b'{"run": ')
    assert [one["state"] for one in report()["shards"]] == ["not started", "complete"]
    command("run", folder, "-m", flat, "-o", "out", "--shard", "1/2")
    assert report()["exit_code"] == 0


def test_a_shard_that_was_divided_counts_once(command: Command, report, flat, album, tmp_path):
    folder = album(24)
    for shard in ("1/2", "2/2", "2/4", "4/4"):
        command("run", folder, "-m", flat, "-o", "out", "--shard", shard)
    found = report()
    assert [one["shard"] for one in found["shards"]] == ["1/2", "2/4", "4/4"]
    assert (found["total"]["done"], found["exit_code"]) == (24, 0)


def test_a_set_of_shards_finds_those_with_a_source_in_common():
    parts = [Shard(2, 4), Shard(3, 12), Shard(8, 12)]
    found = ShardSet(parts[:1])
    for part in parts[1:]:
        found.add(part)
    for count in (1, 2, 3, 4, 6, 12, 24):
        for shard in (Shard(index, count) for index in range(1, count + 1)):
            assert found.overlaps(shard) == any(shard.overlaps(part) for part in parts)
