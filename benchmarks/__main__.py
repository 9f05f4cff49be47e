"""`python -m benchmarks throughput|memory|start`: measure, print, and judge nothing."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path

from benchmarks import memory, start, throughput

KINDS = {"throughput": throughput.measure, "memory": memory.measure, "start": start.measure}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("kind", choices=[*KINDS, "all"], nargs="?", default="all")
    parser.add_argument("--model", default="beta")
    parser.add_argument("--pictures", type=int, default=200, help="pictures of about 1 megapixel")
    parser.add_argument("--rounds", type=int, default=2, help="alternating repeats")
    parser.add_argument("--folder", type=Path, help="where to work (default: a temporary folder)")
    options = parser.parse_args()
    print(f"{os.cpu_count()} cores, Python {sys.version.split()[0]}, model {options.model}")
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        for kind in KINDS if options.kind == "all" else [options.kind]:
            KINDS[kind](Path(folder), options)


if __name__ == "__main__":
    main()
