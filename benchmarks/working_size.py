"""What a model makes of photographs at other working sizes than its own, and of their average.

Needs `--data`, a folder of colour photographs. `--plot FILE` draws the curves.
"""

from __future__ import annotations

import argparse
import dataclasses
import itertools
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from batchcolor.evaluation.inference import RGB, make_gray
from batchcolor.evaluation.metrics import METRICS, measured
from batchcolor.evaluation.references import read, scan_references
from batchcolor.hooks.manager import Plugins, load_plugins
from batchcolor.images.formats import PNG
from batchcolor.images.join import join
from batchcolor.images.picture import resize_luma
from batchcolor.inference.runner import load_runner

Field = NDArray[np.float32]
SHOWN = ("rgb_mse", "psnr_db", "delta_e_2000", "colorfulness")


def measure(folder: Path, options: argparse.Namespace) -> None:
    """A line a model and size, then one for the average of neighbouring sizes."""
    if not options.data:
        print("working-size: needs --data")
        return
    plugins = load_plugins()
    with ThreadPoolExecutor() as pool:
        found = scan_references(options.data, pool, limit=options.limit, size=256)
        rgbs = list(pool.map(lambda truth: read(truth.path, 256), found.truths))
        rows: dict[tuple[str, str], Any] = {}
        for model in options.model.split(","):
            sizes = [int(size) for size in options.sizes.split(",")]
            fields = {size: _fields(plugins, model, size, rgbs) for size in sizes}
            for size in sizes:
                rows[model, str(size)] = _figures(pool, rgbs, fields[size])
                _say(model, str(size), rows[model, str(size)])
            for pair in itertools.pairwise(sizes):
                together = [
                    _average(*both) for both in zip(*(fields[s] for s in pair), strict=True)
                ]
                name = "+".join(map(str, pair))
                rows[model, name] = _figures(pool, rgbs, together)
                _say(model, name, rows[model, name])
    if options.plot:
        _plot(options.plot, {key: row for key, row in rows.items() if "+" not in key[1]})


def _fields(plugins: Plugins, model: str, size: int, rgbs: list[RGB]) -> list[Field]:
    """What the model gives at this working size."""
    owned = plugins.find(model)
    runner = load_runner(
        dataclasses.replace(owned, spec=dataclasses.replace(owned.spec, working_size=size))
    )
    made = runner.run([resize_luma(make_gray(rgb).luma, size) for rgb in rgbs])
    return [field for field in made if isinstance(field, np.ndarray)]


def _average(one: Field, other: Field) -> Field:
    """Both at the size of the larger one, averaged."""
    side = max(one.shape[-1], other.shape[-1])
    larger = [
        [
            np.asarray(Image.fromarray(plane).resize((side, side), Image.Resampling.BILINEAR))
            for plane in field
        ]
        for field in (one, other)
    ]
    return np.mean(larger, axis=0, dtype=np.float32)


def _figures(pool: ThreadPoolExecutor, rgbs: list[RGB], fields: list[Field]) -> dict[str, float]:
    def one(rgb: RGB, field: Field) -> NDArray[np.float64]:
        made = join(make_gray(rgb), field, 1.0, PNG).rgb
        assert made is not None
        return measured(rgb[None], made[None].astype(np.uint8))[0]

    means = np.mean(list(pool.map(one, rgbs, fields)), axis=0)
    return dict(zip(METRICS, means.tolist(), strict=True))


def _say(model: str, name: str, row: dict[str, float]) -> None:
    mse, psnr, delta_e, colour = (row[metric] for metric in SHOWN)
    print(
        f"| {model} | {name} | {mse:.5f} | {psnr:.2f} | {delta_e:.2f} | {colour:.1f} |", flush=True
    )


def _plot(path: Path, rows: dict[tuple[str, str], dict[str, float]]) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 3.6), layout="constrained")
    for axes, metric, label in zip(
        figure.subplots(1, 2),
        ("psnr_db", "colorfulness"),
        ("PSNR, dB", "colourfulness"),
        strict=True,
    ):
        for model in dict.fromkeys(model for model, _ in rows):
            points = [(int(size), row[metric]) for (m, size), row in rows.items() if m == model]
            axes.plot(*zip(*points, strict=True), marker=".", label=model)
        axes.set_xscale("log", base=2)
        axes.set_xlabel("working size, pixels")
        axes.set_ylabel(label)
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
        axes.legend()
    figure.savefig(path, dpi=110)
