"""Alpha and Beta beside what was published of them, under both readings of their losses.

Needs the data: `--cifar`, a folder of CIFAR-10's test pictures, and `--flowers`, a folder of flower
photographs, of which those are taken that training holds out by their content.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image

from batchcolor.color import rgb_to_ycbcr
from batchcolor.evaluation.evaluate_settings import EvaluateSettings
from batchcolor.evaluation.evaluator import Evaluation, evaluate
from batchcolor.evaluation.inference import RGB, make_gray
from batchcolor.evaluation.metrics import measure_lab_errors, rgb_mse
from batchcolor.evaluation.references import read
from batchcolor.hooks.manager import load_plugins
from batchcolor.images.formats import PNG
from batchcolor.images.join import join
from batchcolor.inference.runner import Runner, load_runner
from batchcolor.training.datasets import SUFFIXES, is_held_out

PUBLISHED = {"alpha": 0.0388, "beta": 0.0035}
"""Validation losses; the colour space was not stated."""
FLOWER_SIZE = 128
"""Pixels of the short side at which flowers are measured."""


SETS = {
    "beta": "CIFAR-10's test pictures that are not grey",
    "alpha": f"held-out flowers, short side {FLOWER_SIZE} px",
}
HEADS = {"rgb_mse": "RGB MSE", "ab_mse": "ab/128 MSE"}
"""Both readings of the losses."""


def measure(folder: Path, options: argparse.Namespace) -> None:
    """A table of each model whose data is there."""
    settings = {}
    if options.cifar:
        settings["beta"] = EvaluateSettings(
            data=options.cifar, models=("beta",), limit=options.limit
        )
    if options.flowers:
        data = held_out_files(options.flowers, folder / "held-out")
        settings["alpha"] = EvaluateSettings(
            data=data, models=("alpha",), limit=options.limit, size=FLOWER_SIZE
        )
    if not settings:
        print("published: needs --cifar or --flowers")
    plugins = load_plugins(enabled=False)
    for model, asked in settings.items():
        made = evaluate(asked, plugins)
        table = figures(model, made, load_runner(plugins.find(model)))
        show(model, table, len(made.survey.truths))
        if options.cards:
            write_card(options.cards / f"{model}.json", model, table, len(made.survey.truths))


def held_out_files(source: Path, target: Path) -> Path:
    """Copies of the pictures below `source` that training on it holds out."""
    target.mkdir()
    for number, path in enumerate(sorted(source.rglob("*"))):
        if path.suffix.lower() in SUFFIXES and path.is_file():
            digest = hashlib.sha256(path.read_bytes()).hexdigest()
            if is_held_out(digest):
                shutil.copy(path, target / f"{number:06d}{path.suffix.lower()}")
    return target


def figures(model: str, made: Evaluation, runner: Runner) -> dict[str, dict[str, float]]:
    """By reading: published, ours, grey, mean colour, and the best that chroma so small can do."""
    square = np.zeros((runner.working_size, runner.working_size), np.float32)
    (field,) = runner.run([square])
    assert isinstance(field, np.ndarray)
    with ThreadPoolExecutor() as pool:
        rgbs: Iterator[RGB] = pool.map(
            lambda it: read(it.path, made.settings.size), made.survey.truths
        )
        oracle = np.mean([_oracle(rgb, field.shape[-1]) for rgb in rgbs], axis=0)
    rows = {"ours": made.rows[model], "grey": made.rows["grey"], "mean_colour": made.rows["mean"]}
    return {
        metric: {
            "published": PUBLISHED[model],
            **{name: round(row.mean(metric), 6) for name, row in rows.items()},
            "oracle": round(float(best), 6),
        }
        for metric, best in zip(HEADS, oracle, strict=True)
    }


def show(model: str, table: dict[str, dict[str, float]], count: int) -> None:
    """The table as Markdown."""
    print(f"{model}: {count} pictures, {SETS[model]}")
    print("| reading | published | ours | grey | mean colour | oracle |")
    print("|---|---|---|---|---|---|")
    for metric, row in table.items():
        published, *rest = row.values()
        print(f"| {HEADS[metric]} | {published} | {' | '.join(f'{it:.5f}' for it in rest)} |")


def write_card(path: Path, model: str, table: dict[str, dict[str, float]], count: int) -> None:
    """Put the table into the weights' card."""
    card = json.loads(path.read_text())
    card["measured"] = {"on": SETS[model], "pictures": count, **table}
    path.write_text(json.dumps(card, indent=2) + "\n")


def _oracle(rgb: RGB, side: int) -> tuple[float, float]:
    """Both errors of the picture's own chroma, kept at `side` x `side` samples."""
    planes = rgb_to_ycbcr(*(rgb[..., band].astype(np.float32) / 255 for band in range(3)))
    small = [
        np.asarray(Image.fromarray(plane).resize((side, side), Image.Resampling.BOX))
        for plane in planes[1:]
    ]
    made = join(make_gray(rgb), np.stack(small), 1.0, PNG).rgb
    assert made is not None
    truth, output = rgb[None], made[None].astype(np.uint8)
    return float(rgb_mse(truth, output)[0]), float(measure_lab_errors(truth, output)[0][0])
