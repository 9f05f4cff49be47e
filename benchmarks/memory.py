"""Peak memory of `batchcolor run` on a folder and on one with ten times as many pictures."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from benchmarks.measured_process import run_measured
from benchmarks.sample_folder import make_sample_folder

FACTOR = 10
"""Size of the larger folder, in sizes of the smaller one."""


def measure(folder: Path, options: argparse.Namespace) -> None:
    """Prints both peaks. The larger folder has hard links to the pictures of the smaller one."""
    small, large = make_sample_folder(folder / "small", options.pictures), folder / "large"
    large.mkdir()
    for copy in range(FACTOR):
        for path in small.iterdir():
            (large / f"{copy}-{path.name}").hardlink_to(path)
    peaks = []
    for source in (small, large):
        usage = run_measured(
            [sys.executable, "-m", "batchcolor", "run", str(source), "-m", options.model],
            folder / "memory.log",
        )
        peaks.append(usage.peak_mib)
        count = sum(1 for _ in source.iterdir())
        print(
            f"memory: {count} pictures, peak {usage.peak_mib:.0f} MiB, "
            f"{count / usage.wall_seconds:.1f} pictures/s",
            flush=True,
        )
    print(f"memory: {FACTOR} times the pictures take {peaks[1] - peaks[0]:+.0f} MiB more")
