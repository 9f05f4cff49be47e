"""Duration of the commands that need no torch, and of `run` with one picture."""

from __future__ import annotations

import argparse
import re
import statistics
import sys
from pathlib import Path

from benchmarks.measured_process import ResourceUsage, run_measured
from benchmarks.sample_folder import make_sample_folder

COMMANDS = (["--help"], ["--version"], ["models"], ["plugins"], ["run", "--help"])
REPEATS = 5
TORCH = re.compile(r"\| +torch$", re.MULTILINE)
"""A line of `python -X importtime`."""


def measure(folder: Path, options: argparse.Namespace) -> None:
    """Prints the median duration of whole processes, after one warm-up."""
    log = folder / "start.log"
    for arguments in COMMANDS:
        command = [sys.executable, "-m", "batchcolor", *arguments]
        usages = [run_measured(command, log) for _ in range(REPEATS + 1)]
        print(f"start: batchcolor {' '.join(arguments)}: {_show(usages)}")
    _measure_run(folder, log)


def _measure_run(folder: Path, log: Path) -> None:
    """Measures `run` with the default model; the warm-up exports it where OpenVINO runs it."""
    (picture,) = make_sample_folder(folder / "one", 1).iterdir()
    results = (folder / f"out-{number}" for number in range(REPEATS + 2))
    arguments = ["-m", "batchcolor", "run", str(picture), "-o"]
    usages = [
        run_measured([sys.executable, *arguments, str(next(results))], log)
        for _ in range(REPEATS + 1)
    ]
    run_measured([sys.executable, "-X", "importtime", *arguments, str(next(results))], log)
    has_torch = TORCH.search(log.read_text(errors="replace")) is not None
    torch = "torch is imported" if has_torch else "torch is not imported"
    print(f"start: batchcolor run {picture.name}: {_show(usages)}; {torch}")


def _show(usages: list[ResourceUsage]) -> str:
    """Returns the medians without the first one."""
    wall = statistics.median(usage.wall_seconds for usage in usages[1:])
    cpu = statistics.median(usage.cpu_seconds for usage in usages[1:])
    return f"{1000 * wall:.0f} ms ({1000 * cpu:.0f} ms of processor time)"
