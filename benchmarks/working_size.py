"""Errors of a model at several working sizes, and of the mean of two neighbouring sizes.

Needs `--data`, a folder of colour photographs. `--plot FILE` plots error against working size.
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

from batchcolor.evaluation.inference import make_gray
from batchcolor.evaluation.metrics import METRICS, measure_all
from batchcolor.evaluation.references import read_reference, scan_references
from batchcolor.hooks.manager import Plugins, load_plugins
from batchcolor.images.formats import PNG
from batchcolor.images.join import join
from batchcolor.images.picture import RgbArray, resize_luma
from batchcolor.inference.runner import load_runner

Chroma = NDArray[np.float32]
"""`(2, s, s)`, Cb and Cr in -0.5..0.5."""
PRINTED_METRICS = ("rgb_mse", "psnr_db", "delta_e_2000", "colorfulness")


def measure(folder: Path, options: argparse.Namespace) -> None:
    """Prints a row for each model and size, then for the mean of each two neighbouring sizes."""
    if not options.data:
        print("working-size: needs --data")
        return
    plugins = load_plugins()
    with ThreadPoolExecutor() as pool:
        found = scan_references(options.data, pool, limit=options.limit, size=256)
        rgbs = list(
            pool.map(lambda reference: read_reference(reference.path, 256), found.references)
        )
        rows: dict[tuple[str, str], Any] = {}
        for model in options.model.split(","):
            sizes = [int(size) for size in options.sizes.split(",")]
            fields = {size: _predict_chroma(plugins, model, size, rgbs) for size in sizes}
            for size in sizes:
                rows[model, str(size)] = _measure_metrics(pool, rgbs, fields[size])
                _print_row(model, str(size), rows[model, str(size)])
            for pair in itertools.pairwise(sizes):
                means = [
                    _average(*pictures) for pictures in zip(*(fields[s] for s in pair), strict=True)
                ]
                name = "+".join(map(str, pair))
                rows[model, name] = _measure_metrics(pool, rgbs, means)
                _print_row(model, name, rows[model, name])
    if options.plot:
        _plot(options.plot, {key: row for key, row in rows.items() if "+" not in key[1]})


def _predict_chroma(plugins: Plugins, model: str, size: int, rgbs: list[RgbArray]) -> list[Chroma]:
    """Returns the model's chroma of each picture at this working size."""
    registered = plugins.find(model)
    runner = load_runner(
        dataclasses.replace(
            registered, spec=dataclasses.replace(registered.spec, working_size=size)
        )
    )
    results = runner.run([resize_luma(make_gray(rgb).luma, size) for rgb in rgbs])
    return [field for field in results if isinstance(field, np.ndarray)]


def _average(first: Chroma, second: Chroma) -> Chroma:
    """Returns the mean of both, at the resolution of the larger one."""
    side = max(first.shape[-1], second.shape[-1])
    resized = [
        [
            np.asarray(Image.fromarray(plane).resize((side, side), Image.Resampling.BILINEAR))
            for plane in field
        ]
        for field in (first, second)
    ]
    mean: Chroma = np.mean(resized, axis=0, dtype=np.float32)
    return mean


def _measure_metrics(
    pool: ThreadPoolExecutor, rgbs: list[RgbArray], fields: list[Chroma]
) -> dict[str, float]:
    def measure_one(rgb: RgbArray, field: Chroma) -> NDArray[np.float64]:
        joined = join(make_gray(rgb), field, 1.0, PNG).rgb
        assert joined is not None
        metrics: NDArray[np.float64] = measure_all(rgb[None], joined[None].astype(np.uint8))[0]
        return metrics

    means = np.mean(list(pool.map(measure_one, rgbs, fields)), axis=0)
    return dict(zip(METRICS, means.tolist(), strict=True))


def _print_row(model: str, name: str, row: dict[str, float]) -> None:
    mse, psnr, delta_e, colour = (row[metric] for metric in PRINTED_METRICS)
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
