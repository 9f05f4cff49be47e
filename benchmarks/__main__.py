"""`python -m benchmarks KIND` measures and prints; machines differ, so nothing is a test."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path

from benchmarks import (
    backends,
    cluster,
    cluster_storage,
    codec_baseline,
    cuda,
    doubt,
    films,
    hint_head,
    hints,
    memory,
    published,
    start,
    storage,
    throughput,
    working_size,
)

KINDS = {
    "throughput": throughput.measure,
    "codec-baseline": codec_baseline.measure,
    "memory": memory.measure,
    "start": start.measure,
    "backends": backends.measure,
    "storage": storage.measure,
}
KINDS_WITH_DATA = {
    "published": published.measure,
    "working-size": working_size.measure,
    "films": films.measure,
    "hints": hints.measure,
    "doubt": doubt.measure,
    "hint-head": hint_head.measure,
}
"""These need pictures that are not part of the project; `all` skips them."""
KINDS_WITH_RAY = {"cluster": cluster.measure, "cluster-storage": cluster_storage.measure}
"""These need Ray, and an S3 server (moto); `all` skips them."""
KINDS_WITH_GPU = {"cuda": cuda.measure}
"""These need a GPU; `all` skips them."""


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "kind",
        choices=[*KINDS, *KINDS_WITH_DATA, *KINDS_WITH_RAY, *KINDS_WITH_GPU, "all"],
        nargs="?",
        default="all",
    )
    parser.add_argument("--model", default="beta")
    parser.add_argument("--pictures", type=int, default=200, help="pictures of about 1 megapixel")
    parser.add_argument("--rounds", type=int, default=2, help="alternating repeats")
    parser.add_argument("--folder", type=Path, help="folder for temporary files")
    parser.add_argument("--cifar", type=Path, help="published: CIFAR-10's test pictures")
    parser.add_argument("--flowers", type=Path, help="published: a folder of flower photographs")
    parser.add_argument("--cards", type=Path, help="published: write into the cards of this folder")
    parser.add_argument(
        "--data", type=Path, help="working-size, hints, doubt: a folder of colour photographs"
    )
    parser.add_argument("--sizes", default="16,24,32,48,64,96,128", help="working-size: pixels")
    parser.add_argument("--plot", type=Path, help="working-size, doubt: file of the plot")
    fit_help = "doubt, hint-head: weights that get what is fitted"
    parser.add_argument("--fit", type=Path, help=fit_help)
    parser.add_argument("--steps", type=int, help="hint-head: steps of the training")
    parser.add_argument(
        "--limit",
        type=int,
        help="published, working-size, hints, doubt: pictures; storage: of listed objects",
    )
    parser.add_argument("--film", type=Path, help="films, cuda: a film whose frames are used")
    parser.add_argument("--other", type=Path, help="codec-baseline: another checkout to compare")
    report_help = "cuda: files of the report, without suffix"
    parser.add_argument("--report", type=Path, default=Path("cuda"), help=report_help)
    options = parser.parse_args()
    print(f"{os.cpu_count()} cores, Python {sys.version.split()[0]}, model {options.model}")
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        for kind in KINDS if options.kind == "all" else [options.kind]:
            (KINDS | KINDS_WITH_DATA | KINDS_WITH_RAY | KINDS_WITH_GPU)[kind](Path(folder), options)


if __name__ == "__main__":
    main()
