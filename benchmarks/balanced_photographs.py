"""Builds a balanced folder of training photographs: no subject more often than others.

    python -m benchmarks.balanced_photographs PHOTOGRAPHS BALANCED --per-cluster 400

Photographs are grouped by what they show, not by where they come from: the deepest features of
the encoder of Delta, averaged over the picture, are clustered by k-means. At most `--per-cluster`
photographs of a cluster are kept, from as many folders as possible, and hard-linked into
BALANCED, where `batchcolor train delta --data BALANCED` finds them. Without BALANCED, only the
distribution is printed.
"""

from __future__ import annotations

import argparse
import os
from collections import defaultdict
from collections.abc import Sequence
from itertools import zip_longest
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from scipy.cluster.vq import kmeans2, vq

from batchcolor.hooks.manager import load_plugins
from batchcolor.inference.backends.torch import TorchBackend
from batchcolor.inference.load_options import LoadOptions
from batchcolor.inference.runner import load_runner
from batchcolor.models.delta import Delta
from batchcolor.models.delta_encoder import Encoder
from benchmarks.training_photographs import SUFFIXES

SIDE = 96
"""Side in pixels of the squares that the encoder describes."""
BATCH = 64
MAX_FITTED = 20_000
"""Number of photographs that the cluster centres are computed from; all are assigned to them."""
ITERATIONS = 20

Floats = NDArray[np.float32]
Labels = NDArray[np.int64]


def load_encoder() -> Encoder:
    """Returns the encoder of the installed weights of Delta."""
    loading = LoadOptions(device="cpu", backend="torch", batch_size=1)
    runner = load_runner(load_plugins().find("delta"), loading)
    assert isinstance(runner.backend, TorchBackend)
    network = runner.backend.colorizer
    assert isinstance(network, Delta)
    return network.encoder


def read_luma(path: Path) -> Floats:
    """Returns the luma `(SIDE, SIDE)`, 0..1, of a photograph that is resized to a square."""
    with Image.open(path) as image:
        image.draft("L", (SIDE, SIDE))
        square = image.convert("L").resize((SIDE, SIDE), Image.Resampling.BOX)
    return np.asarray(square, np.float32) / np.float32(255)


def describe(files: Sequence[Path], encoder: Encoder) -> Floats:
    """Returns the averaged deepest features `(n, 320)` of photographs, each of length 1."""
    rows = []
    for start in range(0, len(files), BATCH):
        luma = np.stack([read_luma(path) for path in files[start : start + BATCH]])
        with torch.inference_mode():
            deepest = encoder(torch.from_numpy(luma)[:, None])[-1]
        rows.append(deepest.mean(dim=(2, 3)).float().numpy())
    features: Floats = np.concatenate(rows)
    features -= features.mean(axis=0)
    features /= features.std(axis=0) + 1e-6
    features /= np.linalg.norm(features, axis=1, keepdims=True) + 1e-6
    return features


def cluster(features: Floats, count: int) -> Labels:
    """Returns the cluster `(n,)` of each photograph, by k-means with `count` centres."""
    random = np.random.default_rng(0)
    fitted = features
    if len(features) > MAX_FITTED:
        fitted = features[random.choice(len(features), MAX_FITTED, replace=False)]
    count = min(count, len(fitted))
    centres, _ = kmeans2(fitted, count, iter=ITERATIONS, minit="++", seed=0, missing="warn")
    return np.asarray(vq(features, centres)[0], np.int64)


def keep_balanced(labels: Labels, folders: Sequence[str], per_cluster: int) -> list[int]:
    """Returns indices of at most `per_cluster` photographs of each cluster, in ascending order.

    The folders of a cluster take turns, so that a small source is kept before the rest of a large
    one. Which photographs of a folder are kept is random, and the same in each run.
    """
    random = np.random.default_rng(0)
    queues: dict[int, dict[str, list[int]]] = defaultdict(lambda: defaultdict(list))
    for index in random.permutation(len(labels)):
        queues[int(labels[index])][folders[index]].append(int(index))
    kept: list[int] = []
    for by_folder in queues.values():
        turns = zip_longest(*(by_folder[folder] for folder in sorted(by_folder)))
        kept += [index for turn in turns for index in turn if index is not None][:per_cluster]
    return sorted(kept)


def count_effective(labels: Labels) -> float:
    """Returns how many equally large clusters have the entropy of this distribution."""
    shares = np.unique(labels, return_counts=True)[1] / len(labels)
    return float(np.exp(-(shares * np.log(shares)).sum()))


def format_distribution(labels: Labels) -> str:
    """Returns number of photographs, effective number of clusters, and the largest ones' share."""
    sizes = np.sort(np.unique(labels, return_counts=True)[1])[::-1]
    largest = sizes[: max(1, len(sizes) // 10)].sum() / len(labels)
    return (
        f"{len(labels)} photographs, {len(sizes)} clusters of {sizes[-1]} to {sizes[0]}, "
        f"effectively {count_effective(labels):.0f}; "
        f"largest tenth of the clusters: {largest:.0%} of the photographs"
    )


def link_photographs(files: Sequence[Path], source: Path, output: Path) -> None:
    """Hard-links files of `source` below `output`, at the same relative paths."""
    for path in files:
        target = output / path.relative_to(source)
        target.parent.mkdir(parents=True, exist_ok=True)
        os.link(path, target)


def find_output_fault(photographs: Path, output: Path) -> str:
    """Returns why photographs cannot be linked into this folder; empty where they can."""
    source, target = photographs.resolve(), output.resolve()
    if source in (target, *target.parents):
        return f"{output}: is part of {photographs}; name a folder outside it"
    if output.exists() and not (output.is_dir() and not any(output.iterdir())):
        return f"{output}: is not an empty folder; remove it, or name a new one"
    return ""


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("photographs", type=Path, help="folder with a folder for each source")
    parser.add_argument("output", type=Path, nargs="?", help="new folder of hard links, same disk")
    parser.add_argument("--clusters", type=int, default=300, help="number of clusters")
    parser.add_argument(
        "--per-cluster", type=int, default=400, help="photographs kept of each cluster"
    )
    parser.add_argument("--limit", type=int, default=0, help="use only so many, drawn at random")
    options = parser.parse_args()
    if options.output and (fault := find_output_fault(options.photographs, options.output)):
        parser.error(fault)
    files = sorted(p for p in options.photographs.rglob("*") if p.suffix.lower() in SUFFIXES)
    if options.limit and options.limit < len(files):
        drawn = np.random.default_rng(0).choice(len(files), options.limit, replace=False)
        files = [files[index] for index in sorted(drawn)]
    if not files:
        parser.error(f"{options.photographs}: no photographs")
    labels = cluster(describe(files, load_encoder()), options.clusters)
    kept = keep_balanced(labels, [str(path.parent) for path in files], options.per_cluster)
    print("all: ", format_distribution(labels))
    print("kept:", format_distribution(labels[kept]))
    if options.output:
        link_photographs([files[index] for index in kept], options.photographs, options.output)


if __name__ == "__main__":
    main()
