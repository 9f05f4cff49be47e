"""Keeps the scheduling policy of threads that open a video encoder.

SVT-AV1 gives the thread that opens it real-time priority where the process may do that (root, as in
containers). Its own threads and processes that the thread starts inherit it, and all others on the
machine starve.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

TASKS = Path("/proc/self/task")


@contextmanager
def keep_scheduling() -> Iterator[None]:
    """Restores the policy of this thread, and sets it for threads that were started meanwhile."""
    if sys.platform != "linux":
        yield
        return
    policy, parameters = os.sched_getscheduler(0), os.sched_getparam(0)
    try:
        yield
    finally:
        changed = os.sched_getscheduler(0)
        if changed != policy:
            os.sched_setscheduler(0, policy, parameters)
            for task in TASKS.iterdir():
                with suppress(ProcessLookupError):
                    if os.sched_getscheduler(int(task.name)) == changed:
                        os.sched_setscheduler(int(task.name), policy, parameters)
