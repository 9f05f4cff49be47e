"""Peak memory of `batchcolor run` on a folder and on one ten times as large."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from benchmarks import folder as pictures
from benchmarks import process


def measure(folder: Path, options: argparse.Namespace) -> None:
    """The larger folder holds hard links to the smaller one's pictures under other names."""
    few = pictures.make(folder / "few", options.pictures)
    many = folder / "many"
    many.mkdir()
    for copy in range(10):
        for path in few.iterdir():
            (many / f"{copy}-{path.name}").hardlink_to(path)
    peaks = {}
    for source in (few, many):
        cost = process.run(
            [sys.executable, "-m", "batchcolor", "run", str(source), "-m", options.model],
            folder / "memory.log",
        )
        peaks[source.name] = cost.peak_mib
        count = sum(1 for _ in source.iterdir())
        print(
            f"memory: {count} pictures, peak {cost.peak_mib:.0f} MiB, "
            f"{count / cost.wall:.1f} pictures/s",
            flush=True,
        )
    print(f"memory: ten times the pictures cost {peaks['many'] - peaks['few']:+.0f} MiB")
