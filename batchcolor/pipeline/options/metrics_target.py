"""Where `--metrics` writes: a file, or a port of this machine."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from batchcolor.errors import UsageError

ADDRESS = re.compile(r"([\w.-]*):(\d{1,5})")


@dataclass(frozen=True)
class MetricsAddress:
    """Host and port. An empty host is every address of this machine, port 0 any free port."""

    host: str
    port: int


def is_address(path: Path) -> bool:
    """Whether it is `:PORT` or `HOST:PORT`, and no file."""
    return ADDRESS.fullmatch(path.name) is not None


def parse_metrics_target(path: Path) -> MetricsAddress | Path:
    """The address of `:PORT` or `HOST:PORT`, else the file. Raises UsageError."""
    found = ADDRESS.fullmatch(path.name)
    if found is None:
        return path
    if int(found[2]) > 65535:
        raise UsageError(f"--metrics {path.name}: a port is a number from 0 to 65535")
    return MetricsAddress(found[1], int(found[2]))
