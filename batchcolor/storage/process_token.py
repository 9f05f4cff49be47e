"""Identifies a running process by its id and start time.

Ids alone repeat, in containers at every start. The start is measured in a way that does not change
with the clock, which may be corrected by hours while a job runs.
"""

from __future__ import annotations

import os
import sys
import zlib
from functools import cache
from pathlib import Path

import psutil

PROC = Path("/proc")
ENDED = (b"Z", b"X")
"""States of a process that has ended and that its parent has not noticed."""
TICKS = 10**12
"""More than the ticks of any system since its start: 300 years of 100 a second."""
TOLERANCE = 0 if sys.platform == "linux" else 200
"""Units by which two readings of one start time may differ: hundredths of a second where the system
returns a time of the clock. Ids do not repeat so quickly outside containers, which are Linux."""


def process_token() -> str:
    """Returns the token of this process: its id and start time."""
    return _token(os.getpid())


@cache
def _token(process: int) -> str:
    """The token of a process; kept by id, as a forked process inherits this cache."""
    return f"{process}-{_start_time(process) or 0}"


def is_running(token: str) -> bool:
    """Whether the process of a token exists."""
    process, _, started = token.partition("-")
    if not (process.isdecimal() and started.isdecimal()):
        return False
    start = _start_time(int(process))
    return start is not None and abs(start - int(started)) <= TOLERANCE


def _start_time(process: int) -> int | None:
    """When a process started; None where it does not exist.

    On Linux a number of the boot and the ticks from it (proc_pid_stat(5), field 22); else
    hundredths of a second since 1970.
    """
    if sys.platform == "linux":
        try:
            fields = (PROC / str(process) / "stat").read_bytes().rpartition(b")")[2].split()
            if fields[0] in ENDED:
                return None
            return _read_boot_number() * TICKS + int(fields[19])
        except (OSError, IndexError, ValueError):
            return None
    try:
        return int(100 * psutil.Process(process).create_time())
    except psutil.Error:
        return None


@cache
def _read_boot_number() -> int:
    """A number of this start of the system: ticks since it, and ids, may repeat after the next."""
    try:
        return zlib.crc32((PROC / "sys/kernel/random/boot_id").read_bytes())
    except OSError:
        return 0
