"""Runs a process and measures its time and memory from outside."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class ResourceUsage:
    """Seconds of wall clock and of CPU, and the peak of resident memory in MiB."""

    wall_seconds: float
    cpu_seconds: float
    peak_mib: float


def run_measured(command: Sequence[str], log: Path) -> ResourceUsage:
    """Runs a command to its end, with its output in `log`. Raises RuntimeError if it fails."""
    started = time.monotonic()
    with log.open("wb") as file:
        process = subprocess.Popen(command, stdout=file, stderr=file)
        _, status, usage = os.wait4(process.pid, 0)
    wall_seconds = time.monotonic() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{command}: exit {process.returncode}\n{log.read_text()[-2000:]}")
    return ResourceUsage(wall_seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)
