"""Files with a JSON object on each line, to which processes append that may be killed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any


def read_json_lines(path: Path, start: int = 0) -> Iterator[dict[str, Any] | None]:
    """Yields the object of each line from byte `start` on, and None for a line that holds none.

    The last line may be incomplete after a kill: it is then skipped. A file that cannot be read
    has no lines.
    """
    try:
        file = path.open("rb")
    except OSError:
        return
    with file:
        file.seek(start)
        for line in file:
            if not line.strip():
                continue
            try:
                values = json.loads(line)
            except ValueError:
                values = None
            if isinstance(values, dict):
                yield values
            elif line.endswith(b"\n"):
                yield None
