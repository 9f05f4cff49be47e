"""Alpha and Beta beside what was published of them, under both readings of their losses.

Needs the data: `--cifar`, a folder of CIFAR-10's test pictures, and `--flowers`, a folder of flower
photographs, of which those are taken that training holds out by their content.
"""

from __future__ import annotations

import argparse
import hashlib
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image

from batchcolor.color import rgb_to_ycbcr
from batchcolor.colorizers.runner import Runner, load_runner
from batchcolor.hooks.manager import load_plugins
from batchcolor.measure.evaluate import EvaluateSettings, Evaluation, evaluate
from batchcolor.measure.metrics import lab_errors, rgb_mse
from batchcolor.measure.through import RGB, made_grey
from batchcolor.measure.truths import read
from batchcolor.pictures.encode import join
from batchcolor.pictures.formats import PNG
from batchcolor.training.sources import SUFFIXES, held_out

PUBLISHED = {"alpha": 0.0388, "beta": 0.0035}
"""Validation losses; the colour space was not stated."""
FLOWER_SIZE = 128
"""Pixels of the short side at which flowers are measured."""


def measure(folder: Path, options: argparse.Namespace) -> None:
    """A table of each model whose data is there."""
    plugins = load_plugins(enabled=False)
    if options.cifar:
        settings = EvaluateSettings(options.cifar, ("beta",), limit=options.limit)
        _table("beta", evaluate(settings, plugins), load_runner(plugins.find("beta")))
    if options.flowers:
        data = held_out_files(options.flowers, folder / "held-out")
        settings = EvaluateSettings(data, ("alpha",), limit=options.limit, size=FLOWER_SIZE)
        _table("alpha", evaluate(settings, plugins), load_runner(plugins.find("alpha")))
    if not (options.cifar or options.flowers):
        print("published: needs --cifar or --flowers")


def held_out_files(source: Path, target: Path) -> Path:
    """Copies of the pictures below `source` that training on it holds out."""
    target.mkdir()
    for number, path in enumerate(sorted(source.rglob("*"))):
        if path.suffix.lower() in SUFFIXES and path.is_file():
            digest = hashlib.sha256(path.read_bytes()).hexdigest()
            if held_out(digest):
                shutil.copy(path, target / f"{number:06d}{path.suffix.lower()}")
    return target


def _table(model: str, made: Evaluation, runner: Runner) -> None:
    truths = made.survey.truths
    square = np.zeros((runner.working_size, runner.working_size), np.float32)
    (field,) = runner.run([square])
    assert isinstance(field, np.ndarray)
    side = field.shape[-1]
    with ThreadPoolExecutor() as pool:
        rgbs: Iterator[RGB] = pool.map(lambda it: read(it.path, made.settings.size), truths)
        oracle = np.mean([_oracle(rgb, side) for rgb in rgbs], axis=0)
    ours, grey, mean = (made.rows[name] for name in (model, "grey", "mean"))
    print(f"{model}: {len(truths)} pictures, chroma of {side} x {side} samples")
    print("| reading | published | ours | grey | mean colour | oracle |")
    print("|---|---|---|---|---|---|")
    for head, metric, best in (
        ("RGB MSE", "rgb_mse", oracle[0]),
        ("ab/128 MSE", "ab_mse", oracle[1]),
    ):
        figures = [row.mean(metric) for row in (ours, grey, mean)]
        shown = " | ".join(f"{value:.5f}" for value in (*figures, best))
        print(f"| {head} | {PUBLISHED[model]} | {shown} |")


def _oracle(rgb: RGB, side: int) -> tuple[float, float]:
    """Both errors of the picture's own chroma, kept at `side` x `side` samples."""
    planes = rgb_to_ycbcr(*(rgb[..., band].astype(np.float32) / 255 for band in range(3)))
    small = [
        np.asarray(Image.fromarray(plane).resize((side, side), Image.Resampling.BOX))
        for plane in planes[1:]
    ]
    made = join(made_grey(rgb), np.stack(small), 1.0, PNG).rgb
    assert made is not None
    truth, output = rgb[None], made[None].astype(np.uint8)
    return float(rgb_mse(truth, output)[0]), float(lab_errors(truth, output)[0][0])
