"""How long the commands that need no torch take to answer."""

from __future__ import annotations

import argparse
import statistics
import sys
from pathlib import Path

from benchmarks import process

COMMANDS = (["--help"], ["--version"], ["models"], ["plugins"], ["run", "--help"])


def measure(folder: Path, options: argparse.Namespace) -> None:
    """Whole processes after one warm-up; the median of five."""
    for arguments in COMMANDS:
        command = [sys.executable, "-m", "batchcolor", *arguments]
        walls = [process.run(command, folder / "start.log").wall for _ in range(6)][1:]
        print(f"start: batchcolor {' '.join(arguments)}: {1000 * statistics.median(walls):.0f} ms")
