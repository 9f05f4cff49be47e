"""Errors of Alpha and Beta beside the published losses, whose colour space was not stated.

Needs `--cifar`, a folder of CIFAR-10's test pictures, or `--flowers`, a folder of flower
photographs, of which those are used that training holds out by their content.
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
from batchcolor.evaluation.inference import make_gray
from batchcolor.evaluation.metrics import measure_lab_errors, rgb_mse
from batchcolor.evaluation.references import read_reference
from batchcolor.hooks.manager import load_plugins
from batchcolor.images.formats import PNG
from batchcolor.images.join import join
from batchcolor.images.picture import RgbArray
from batchcolor.inference.runner import Runner, load_runner
from batchcolor.training.datasets import SUFFIXES, is_held_out

PUBLISHED = {"alpha": 0.0388, "beta": 0.0035}
"""Validation losses."""
FLOWER_SIZE = 128
"""Short side of the measured flowers, in pixels."""
DATA_SETS = {
    "beta": "CIFAR-10's test pictures that are not grey",
    "alpha": f"held-out flowers, short side {FLOWER_SIZE} px",
}
METRIC_LABELS = {"rgb_mse": "RGB MSE", "ab_mse": "ab/128 MSE"}
"""The two colour spaces that the published losses may be of."""


def measure(folder: Path, options: argparse.Namespace) -> None:
    """Prints a table for each model whose data is given, and writes the figures into its card."""
    settings = {}
    if options.cifar:
        settings["beta"] = EvaluateSettings(
            data=options.cifar, models=("beta",), limit=options.limit
        )
    if options.flowers:
        data = copy_held_out(options.flowers, folder / "held-out")
        settings["alpha"] = EvaluateSettings(
            data=data, models=("alpha",), limit=options.limit, size=FLOWER_SIZE
        )
    if not settings:
        print("published: needs --cifar or --flowers")
    plugins = load_plugins(enabled=False)
    for model, model_settings in settings.items():
        result = evaluate(model_settings, plugins)
        table = compute_figures(model, result, load_runner(plugins.find(model)))
        print_table(model, table, len(result.reference_set.references))
        if options.cards:
            write_card(
                options.cards / f"{model}.json", model, table, len(result.reference_set.references)
            )


def copy_held_out(source: Path, target: Path) -> Path:
    """Copies the pictures below `source` that training on it holds out."""
    target.mkdir()
    for number, path in enumerate(sorted(source.rglob("*"))):
        if path.suffix.lower() in SUFFIXES and path.is_file():
            digest = hashlib.sha256(path.read_bytes()).hexdigest()
            if is_held_out(digest):
                shutil.copy(path, target / f"{number:06d}{path.suffix.lower()}")
    return target


def compute_figures(model: str, result: Evaluation, runner: Runner) -> dict[str, dict[str, float]]:
    """Returns by metric: published, ours, grey, mean colour and oracle.

    The oracle is the error of the true chroma at the resolution of the model's output.
    """
    square = np.zeros((runner.working_size, runner.working_size), np.float32)
    (field,) = runner.run([square])
    assert isinstance(field, np.ndarray)
    with ThreadPoolExecutor() as pool:
        rgbs: Iterator[RgbArray] = pool.map(
            lambda it: read_reference(it.path, result.settings.size),
            result.reference_set.references,
        )
        oracle = np.mean([_measure_oracle(rgb, field.shape[-1]) for rgb in rgbs], axis=0)
    rows = {
        "ours": result.rows[model],
        "grey": result.rows["grey"],
        "mean_colour": result.rows["mean"],
    }
    return {
        metric: {
            "published": PUBLISHED[model],
            **{name: round(row.mean(metric), 6) for name, row in rows.items()},
            "oracle": round(float(best), 6),
        }
        for metric, best in zip(METRIC_LABELS, oracle, strict=True)
    }


def print_table(model: str, table: dict[str, dict[str, float]], count: int) -> None:
    """Prints the table as Markdown."""
    print(f"{model}: {count} pictures, {DATA_SETS[model]}")
    print("| metric | published | ours | grey | mean colour | oracle |")
    print("|---|---|---|---|---|---|")
    for metric, row in table.items():
        published, *rest = row.values()
        print(
            f"| {METRIC_LABELS[metric]} | {published} | {' | '.join(f'{it:.5f}' for it in rest)} |"
        )


def write_card(path: Path, model: str, table: dict[str, dict[str, float]], count: int) -> None:
    """Writes the table into the card of the weights."""
    card = json.loads(path.read_text())
    card["measured"] = {"on": DATA_SETS[model], "pictures": count, **table}
    path.write_text(json.dumps(card, indent=2) + "\n")


def _measure_oracle(rgb: RgbArray, side: int) -> tuple[float, float]:
    """Returns both errors of a picture with its true chroma, reduced to `side` x `side`."""
    planes = rgb_to_ycbcr(*(rgb[..., band].astype(np.float32) / 255 for band in range(3)))
    small = [
        np.asarray(Image.fromarray(plane).resize((side, side), Image.Resampling.BOX))
        for plane in planes[1:]
    ]
    joined = join(make_gray(rgb), np.stack(small), 1.0, PNG).rgb
    assert joined is not None
    truth, output = rgb[None], joined[None].astype(np.uint8)
    return float(rgb_mse(truth, output)[0]), float(measure_lab_errors(truth, output)[0][0])
