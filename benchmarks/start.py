"""Duration of the commands that need no torch."""

from __future__ import annotations

import argparse
import statistics
import sys
from pathlib import Path

from benchmarks.measured_process import run_measured

COMMANDS = (["--help"], ["--version"], ["models"], ["plugins"], ["run", "--help"])
REPEATS = 5


def measure(folder: Path, options: argparse.Namespace) -> None:
    """Prints the median duration of whole processes, after one warm-up."""
    for arguments in COMMANDS:
        command = [sys.executable, "-m", "batchcolor", *arguments]
        durations = [
            run_measured(command, folder / "start.log").wall_seconds for _ in range(REPEATS + 1)
        ]
        median = statistics.median(durations[1:])
        print(f"start: batchcolor {' '.join(arguments)}: {1000 * median:.0f} ms")
