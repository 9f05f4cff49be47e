"""Time of a picture in each backend, in alternating rounds of one process."""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from batchcolor.hooks.manager import load_plugins
from batchcolor.inference.load_options import LoadOptions
from batchcolor.inference.runner import Runner, Square, load_runner

BACKENDS = (("torch", "float32"), ("openvino", "float32"), ("openvino", "bfloat16"))
"""The first one is the reference of the ratios."""
ROUNDS, PICTURES = 15, 8


def measure(folder: Path, options: argparse.Namespace) -> None:
    """Prints milliseconds a picture on one core and on all of them."""
    for cores in (1, os.cpu_count() or 1):
        command = [sys.executable, "-m", "benchmarks.backends", options.model, str(cores)]
        subprocess.run(command, check=True)


def measure_in_process(model: str, cores: int) -> None:
    """Prints wall time, processor time and the ratio to the reference, as medians of the rounds."""
    registered = load_plugins(False).find(model)
    runners = [
        load_runner(registered, LoadOptions(device="cpu", backend=backend, precision=precision))
        for backend, precision in BACKENDS
    ]
    generator = np.random.default_rng(0)
    side = runners[0].working_size
    squares = list(generator.random((PICTURES, side, side), np.float32))
    rounds = [[time_run(runner, squares) for runner in runners] for _ in range(ROUNDS + 1)][1:]
    for index, runner in enumerate(runners):
        wall, cpu = (statistics.median(it[index][kind] for it in rounds) for kind in (0, 1))
        ratios = [
            statistics.median(it[0][kind] / it[index][kind] for it in rounds) for kind in (0, 1)
        ]
        print(
            f"backends: {model}, {cores} cores, {runner.backend.name} {runner.backend.precision}: "
            f"{wall:.1f} ms a picture ({cpu:.1f} ms of CPU), "
            f"{ratios[0]:.2f} times torch ({ratios[1]:.2f} in CPU time)",
            flush=True,
        )


def time_run(runner: Runner, squares: Sequence[Square]) -> tuple[float, float]:
    """Returns milliseconds a picture: of the wall clock, and of the CPU."""
    wall, cpu = time.perf_counter(), time.process_time()
    runner.run(squares)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    return 1000 * wall / len(squares), 1000 * cpu / len(squares)


if __name__ == "__main__":
    if hasattr(os, "sched_setaffinity"):  # both libraries start one thread a core
        os.sched_setaffinity(0, range(int(sys.argv[2])))
    measure_in_process(sys.argv[1], int(sys.argv[2]))
