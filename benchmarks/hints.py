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
from batchcolor.inference.hints.picture_hints import prepare_hints
from batchcolor.inference.runner import load_runner

COUNTS = (0, 1, 5, 20, 100)
SIDE = 256
PATCH = 7
SEED = 1


def measure(folder: Path, options: argparse.Namespace) -> None:
    """Prints mean PSNR and CIEDE2000 for each number of hints, and the time of a propagation."""
    if not options.data:
        print("hints: needs --data")
        return
    runner = load_runner(load_plugins().find(options.model))
    files = sorted(path for path in options.data.iterdir() if path.is_file())
    if options.limit:
        files = files[:: max(1, len(files) // options.limit)][: options.limit]
    table, seconds = [], []
    for number, path in enumerate(files):
        rgb = read_reference(path, SIDE)
        luma = make_gray(rgb).luma
        chroma = runner.run([resize_luma(luma, runner.working_size)])[0]
        assert isinstance(chroma, np.ndarray), chroma
        hints = draw_hints(rgb, np.random.default_rng([SEED, number]), max(COUNTS))
        row = []
        for count in COUNTS:
            started = time.process_time()
            prepared = prepare_hints(luma, hints[:count])
            field = chroma if prepared is None else prepared.apply(chroma)
            if count:
                seconds.append(time.process_time() - started)
            result = apply_chroma(make_gray(rgb), field, 1.0)
            row.append(measure_all(rgb[None], result[None])[0])
        table.append(row)
    print_table(np.array(table))
    print(f"{np.mean(seconds):.3f} s of CPU time for a picture, at most {max(seconds):.3f} s")


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
