"""Pictures per second of `batchcolor run` and of a typical script, in alternating rounds."""

from __future__ import annotations

import argparse
import statistics
import sys
from pathlib import Path

from benchmarks.measured_process import run_measured
from benchmarks.sample_folder import make_sample_folder


def measure(folder: Path, options: argparse.Namespace) -> None:
    """Measures whole processes, with their start, and prints the ratio of each round."""
    source = make_sample_folder(folder / "pictures", options.pictures)
    python, model = [sys.executable, "-m"], options.model
    ratios = []
    for index in range(options.rounds):
        script_output, run_output = str(folder / f"script{index}"), str(folder / f"run{index}")
        script = run_measured(
            [*python, "benchmarks.lab_script", str(source), script_output, model],
            folder / "script.log",
        )
        run = run_measured(
            [*python, "batchcolor", "run", str(source), "-o", run_output, "-m", model],
            folder / "run.log",
        )
        ratios.append(script.wall_seconds / run.wall_seconds)
        print(
            f"throughput, round {index + 1}: typical script "
            f"{options.pictures / script.wall_seconds:.2f} pictures/s "
            f"({script.cpu_seconds:.0f} s of CPU), batchcolor "
            f"{options.pictures / run.wall_seconds:.2f} pictures/s "
            f"({run.cpu_seconds:.0f} s of CPU), ratio {ratios[-1]:.1f}",
            flush=True,
        )
    print(f"throughput: {statistics.median(ratios):.1f} times the typical script (median)")
