"""Gain of colour hints that are taken from the truth at random places.

Needs `--data`, a folder of colour photographs. The protocol of R. Zhang et al., "Real-Time
User-Guided Image Colorization with Learned Deep Priors", SIGGRAPH 2017, and of iColoriT (J. Yun et
al., WACV 2023): the model colours the grey picture; each hint is the mean colour of a square of
7 x 7 pixels around a random place of the picture, whose shorter side is 256 pixels. The hints of a
larger number contain those of a smaller one.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from batchcolor.evaluation.inference import apply_chroma, make_gray
from batchcolor.evaluation.metrics import METRICS, measure_all
from batchcolor.evaluation.references import read_reference
from batchcolor.hooks.manager import load_plugins
from batchcolor.images.picture import RgbArray, resize_luma
from batchcolor.inference.hints.hint import Hint
from batchcolor.inference.hints.picture_hints import PictureHints, prepare_hints
from batchcolor.inference.load_options import LoadOptions
from batchcolor.inference.runner import Prediction, Runner, load_runner

COUNTS = (0, 1, 5, 20, 100)
SIDE = 256
PATCH = 7
SEED = 1
PROPAGATION, NETWORK = "hints propagated", "hints in the network"
WAYS = (PROPAGATION, NETWORK, "hints in the network, then propagated")
"""The others are for models that take hints."""


def measure(folder: Path, options: argparse.Namespace) -> None:
    """Prints mean PSNR and CIEDE2000 for each number of hints and each way of using them."""
    if not options.data:
        print("hints: needs --data")
        return
    runner = load_runner(load_plugins().find(options.model), LoadOptions(backend="torch"))
    files = sorted(path for path in options.data.rglob("*.*") if path.is_file())
    if options.limit:
        files = files[:: max(1, len(files) // options.limit)][: options.limit]
    ways = WAYS if runner.spec.hints else WAYS[:1]
    tables, seconds = [], dict.fromkeys(ways, 0.0)
    for number, path in enumerate(files):
        rgb = read_reference(path, SIDE)
        hints = draw_hints(rgb, np.random.default_rng([SEED, number]), max(COUNTS))
        tables.append([measure_way(runner, rgb, hints, way, seconds) for way in ways])
    found = np.array(tables)  # (pictures, ways, counts, metrics)
    for index, way in enumerate(ways):
        print(f"{way}, {seconds[way] / len(files) / (len(COUNTS) - 1):.3f} s of CPU time a picture")
        print_table(found[:, index])


def measure_way(
    runner: Runner, rgb: RgbArray, hints: Sequence[Hint], way: str, seconds: dict[str, float]
) -> list[list[float]]:
    """Returns the metrics for each number of hints, and adds the time that hints take."""
    luma = make_gray(rgb).luma
    square = resize_luma(luma, runner.working_size)
    plain = compute_chroma(runner, square)
    rows = []
    for count in COUNTS:
        started = time.process_time()
        prepared, field = prepare_hints(luma, hints[:count]), plain
        if prepared is not None:
            if way != PROPAGATION:
                field = compute_chroma(runner, square, prepared)
            if way != NETWORK:
                field = prepared.apply(field)
            seconds[way] += time.process_time() - started
        result = apply_chroma(make_gray(rgb), field, 1.0)
        rows.append(measure_all(rgb[None], result[None])[0])
    return rows


def compute_chroma(
    runner: Runner, square: NDArray[np.float32], hints: PictureHints | None = None
) -> NDArray[np.float32]:
    """Returns the chroma of a model that may take hints."""
    given = None if hints is None else hints.as_square(len(square))
    (found,) = runner.predict_frames([square], [True], [given])
    assert isinstance(found, Prediction), found
    return found.chroma


def draw_hints(rgb: RgbArray, chance: np.random.Generator, count: int) -> Sequence[Hint]:
    """Returns hints with the mean colours of squares at random places of a picture."""
    height, width = rgb.shape[:2]
    hints = []
    for y, x in zip(
        chance.integers(0, height, count), chance.integers(0, width, count), strict=True
    ):
        rows = slice(max(0, y - PATCH // 2), y + PATCH // 2 + 1)
        columns = slice(max(0, x - PATCH // 2), x + PATCH // 2 + 1)
        mean = rgb[rows, columns].reshape(-1, 3).mean(axis=0).round().astype(int)
        color = "#" + "".join(f"{value:02x}" for value in mean)
        hints.append(Hint(points=((x + 0.5, y + 0.5),), color=color, width=PATCH))
    return hints


def print_table(table: NDArray[np.float64]) -> None:
    """Prints the means of metrics `(pictures, counts, metrics)`."""
    psnr, delta_e = (table[..., METRICS.index(name)] for name in ("psnr_db", "delta_e_2000"))
    print(f"{len(table)} pictures")
    print("| hints | PSNR, dB | gain, dB | pictures that lose | dE00 |\n|---|---|---|---|---|")
    for index, count in enumerate(COUNTS):
        gain = psnr[:, index] - psnr[:, 0]
        print(
            f"| {count} | {psnr[:, index].mean():.2f} | {gain.mean():+.2f} "
            f"| {(gain < -0.05).mean():.0%} | {delta_e[:, index].mean():.2f} |"
        )
