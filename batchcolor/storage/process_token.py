"""Identifies a running process by its id and start time.

Ids alone repeat, in containers at every start.
"""

from __future__ import annotations

import os
from functools import cache

import psutil


@cache
def process_token() -> str:
    """Returns the token of this process: its id and start time."""
    return f"{os.getpid()}-{_start_time(os.getpid())}"


def is_running(token: str) -> bool:
    """Whether the process of a token exists."""
    process, _, started = token.partition("-")
    if not process.isdigit() or not started.isdigit():
        return False
    return abs(_start_time(int(process)) - int(started)) <= 1


def _start_time(process: int) -> int:
    """Start of a process in hundredths of a second; 0 where it does not exist."""
    try:
        return int(100 * psutil.Process(process).create_time())
    except psutil.Error:
        return 0
