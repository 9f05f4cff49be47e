"""Jobs from S3 to S3 against local jobs, and the listing of many objects.

The server runs on the same machine, so its CPU time is taken from the job; latency is a sleep
before each answer. Start is excluded: each child does one picture first.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.codec_baseline import _install_plugin, _make_folder

LATENCY = 0.02
"""Seconds for each request."""
SIZE = (1152, 896)
MANY = 1_000_000
BUCKET = "s3://bench"


def measure(folder: Path, options: argparse.Namespace) -> None:
    """Prints the ratio of pictures per second, and time and memory of a listing."""
    plugin = _install_plugin(folder / "site")
    source = _make_folder(folder / "pictures", SIZE, options.pictures, "L")
    ratios = []
    for index in range(options.rounds):
        local = _run_child(["job", source, folder / f"local{index}"], plugin, {})
        with _server(["--folder", source, "--latency", LATENCY]) as environment:
            cache = {**environment, "BATCHCOLOR_CACHE": str(folder / f"cache{index}")}
            remote = _run_child(["job", f"{BUCKET}/in", f"{BUCKET}/out"], plugin, cache)
        ratios.append(local["wall"] / remote["wall"])
        shown = ", ".join(
            f"{name} {options.pictures / one['wall']:.1f}/s, "
            f"{1000 * one['cpu'] / options.pictures:.1f} ms of CPU a picture"
            for name, one in (("local", local), ("S3", remote))
        )
        print(f"storage, 1 MP, {1000 * LATENCY:.0f} ms a request: {shown}", flush=True)
    print(f"storage, S3 of local: {statistics.median(ratios):.2f}", flush=True)
    many = options.limit or MANY
    with _server(["--folder", source, "--names", many]) as environment:
        found = _run_child(["list", f"{BUCKET}/many", folder / "listed"], plugin, environment)
    print(
        f"storage, listing of {many:,} objects: first picture in work after "
        f"{found['first']:.2f} s, all planned after {found['all']:.0f} s "
        f"({1e6 * found['cpu'] / many:.0f} us of CPU an object), "
        f"{found['before']:.0f} MiB before and {found['peak']:.0f} MiB at most",
        flush=True,
    )


@contextlib.contextmanager
def _server(arguments: list[object]) -> Iterator[dict[str, str]]:
    """Runs the server, and yields the environment of a job that uses it."""
    command = [sys.executable, "-m", "benchmarks.object_server", *map(str, arguments)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        port = process.stdout.readline().strip()
        try:
            yield {
                "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
                "AWS_ACCESS_KEY_ID": "benchmark",
                "AWS_SECRET_ACCESS_KEY": "benchmark",
                "AWS_DEFAULT_REGION": "us-east-1",
            }
        finally:
            process.kill()


def _run_child(
    arguments: list[object], plugin: Path, environment: dict[str, str]
) -> dict[str, float]:
    path = os.pathsep.join([str(Path.cwd()), str(plugin)])
    command = [sys.executable, "-P", __file__, *map(str, arguments)]
    done = subprocess.run(
        command,
        env={**os.environ, **environment, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"the {arguments[0]} ended with code {done.returncode}: {done.stderr}")
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def run_job(source: str, target: str) -> dict[str, float]:
    """Colours every picture with one chroma; the first one alone, before the time is taken."""
    import batchcolor

    first = f"{source}/0000.jpg"
    report = batchcolor.run(first, output=f"{target}-first", model="constant-chroma", device="cpu")
    assert report.done == 1, report.as_json()
    started, cpu = time.monotonic(), time.process_time()
    report = batchcolor.run(source, output=target, model="constant-chroma", device="cpu")
    assert not report.exit_code, report.as_json()
    return {"wall": time.monotonic() - started, "cpu": time.process_time() - cpu}


def run_listing(source: str, target: str) -> dict[str, float]:
    """Plans all objects as a job does, and takes the time until the first one is fetched."""
    from batchcolor.pipeline.options.settings import RunSettings
    from batchcolor.pipeline.planning.make_plan import make_plan
    from batchcolor.storage.journal import Journal

    started, cpu = time.monotonic(), time.process_time()  # imports are excluded
    plan = make_plan(RunSettings(sources=(source,), output=Path(target)))
    journal = Journal(plan.output, lock=False)
    tasks = plan.tasks(journal, "", fetches=True)
    task = next(tasks)
    first = time.monotonic() - started
    before = _read_peak()
    del tasks
    count = sum(1 for _ in plan.tasks(journal, ""))
    plan.close()
    assert count > 1, task
    peak = _read_peak()
    taken = time.monotonic() - started
    spent = time.process_time() - cpu
    return {"first": first, "all": taken, "cpu": spent, "before": before, "peak": peak}


def _read_peak() -> float:
    """Peak of resident memory in MiB; `ru_maxrss` would count that of the parent process."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024
    except (OSError, StopIteration):
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    kind, source, target = sys.argv[1:4]
    work = {"job": run_job, "list": run_listing}[kind]
    print(json.dumps(work(source, target)))


if __name__ == "__main__":
    main()
