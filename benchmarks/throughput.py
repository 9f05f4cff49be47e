"""Pictures per second of `batchcolor run` and of the usual script, alternating in one run."""

from __future__ import annotations

import argparse
import statistics
import sys
from pathlib import Path

from benchmarks import folder as pictures
from benchmarks import process


def measure(folder: Path, options: argparse.Namespace) -> None:
    """Whole processes, start included; the ratio is of the same round."""
    source = pictures.make(folder / "pictures", options.pictures)
    ratios = []
    for turn in range(options.rounds):
        usual = process.run(
            [
                sys.executable,
                "-m",
                "benchmarks.usual",
                str(source),
                str(folder / f"usual{turn}"),
                options.model,
            ],
            folder / "usual.log",
        )
        ours = process.run(
            [
                sys.executable,
                "-m",
                "batchcolor",
                "run",
                str(source),
                "-o",
                str(folder / f"ours{turn}"),
                "-m",
                options.model,
            ],
            folder / "ours.log",
        )
        ratios.append(usual.wall / ours.wall)
        print(
            f"throughput, round {turn + 1}: usual script {options.pictures / usual.wall:.2f} "
            f"pictures/s ({usual.cpu:.0f} s of processor), batchcolor "
            f"{options.pictures / ours.wall:.2f} ({ours.cpu:.0f} s), ratio {ratios[-1]:.1f}",
            flush=True,
        )
    print(f"throughput: {statistics.median(ratios):.1f} times the usual script (median)")
