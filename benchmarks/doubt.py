"""How well the doubt of delta predicts its error, and the coefficients of that prediction.

Needs `--data`, a folder of colour photographs. Prints the rank correlation of stated and true
errors and a reliability table; `--plot` writes the same as a plot. With `--fit WEIGHTS`, the
coefficients are computed from these photographs and written to that file and its card. Fit on
photographs that are not used for measuring.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from scipy import stats

from batchcolor.evaluation.inference import apply_chroma, make_gray
from batchcolor.evaluation.metrics import measure_lab_errors
from batchcolor.evaluation.references import read_reference
from batchcolor.hooks.manager import load_plugins
from batchcolor.images.picture import resize_luma
from batchcolor.inference.backends.torch import TorchBackend
from batchcolor.inference.load_options import LoadOptions
from batchcolor.inference.runner import load_runner
from batchcolor.inference.weights import hash_file
from batchcolor.models.delta import Delta

SIDE = 256
BINS = 8
RIDGE = 0.1
"""Penalty on standardized coefficients, for each photograph."""

Floats = NDArray[np.float64]


def measure(folder: Path, options: argparse.Namespace) -> None:
    """Prints how stated and true errors agree; fits the coefficients where asked for."""
    if not options.data:
        print("doubt: needs --data")
        return
    files = sorted(path for path in options.data.rglob("*") if path.is_file())
    files = files[:: max(1, len(files) // options.limit)] if options.limit else files
    statistics, stated, true = measure_files(files)
    if options.fit:
        weight, bias, folds = fit_head(statistics, true)
        stated = folds
        write_head(options.fit, weight, bias, stated, true)
        print("cross-validated:")
    print_table(stated, true)
    if options.plot:
        plot(options.plot, stated, true)


def measure_files(files: list[Path]) -> tuple[Floats, Floats, Floats]:
    """Returns statistics `(n, F)`, stated errors `(n,)` and true errors `(n,)` of photographs."""
    loading = LoadOptions(device="cpu", backend="torch", batch_size=1)
    runner = load_runner(load_plugins().find("delta"), loading)
    assert isinstance(runner.backend, TorchBackend)
    network = runner.backend.colorizer
    assert isinstance(network, Delta)
    rows, stated, true = [], [], []
    for path in files:
        rgb = read_reference(path, SIDE)
        picture = make_gray(rgb)
        luma = torch.from_numpy(resize_luma(picture.luma, runner.working_size))[None, None]
        with torch.inference_mode():
            found = network.colorize_with_doubt(luma)[0].numpy()
            rows.append(network.describe_picture(luma)[0].numpy())
        output = apply_chroma(picture, found[:2], 1.0)
        stated.append(100 * found[2].mean())
        true.append(measure_lab_errors(rgb[None], output[None])[1][0])
    return np.array(rows, np.float64), np.array(stated), np.array(true)


def fit_head(statistics: Floats, true: Floats) -> tuple[Floats, float, Floats]:
    """Returns weight `(F,)`, bias, and the errors `(n,)` of a five-fold cross-validation."""
    fold = np.random.default_rng(0).integers(0, 5, len(true))
    predicted = np.zeros(len(true))
    for index in range(5):
        weight, bias = _solve(statistics[fold != index], true[fold != index])
        predicted[fold == index] = np.exp(statistics[fold == index] @ weight + bias)
    return *_solve(statistics, true), predicted


def _solve(statistics: Floats, true: Floats) -> tuple[Floats, float]:
    """Ridge regression of the logarithm of the error; the mean of the errors is kept."""
    mean, deviation = statistics.mean(axis=0), statistics.std(axis=0) + 1e-6
    scaled = (statistics - mean) / deviation
    penalty = RIDGE * len(true) * np.eye(statistics.shape[1])
    target = np.log(true)
    weight = np.linalg.solve(scaled.T @ scaled + penalty, scaled.T @ (target - target.mean()))
    weight = weight / deviation
    bias = float(target.mean() - mean @ weight)
    return weight, bias + float(np.log(true.mean() / np.exp(statistics @ weight + bias).mean()))


def write_head(path: Path, weight: Floats, bias: float, stated: Floats, true: Floats) -> None:
    """Writes coefficients into a weights file of delta, and how they were fitted into its card."""
    state, mode = load_file(path), path.stat().st_mode
    state["doubt.weight"] = torch.from_numpy(weight).float()
    state["doubt.bias"] = torch.tensor(bias).float()
    save_file(state, path)
    path.chmod(mode)
    card_path = path.with_suffix(".json")
    card = json.loads(card_path.read_text())
    card["sha256"] = hash_file(path)
    spearman = round(float(stats.spearmanr(stated, true)[0]), 3)
    card["doubt"] = {"photographs": len(true), "cross_validated_spearman": spearman}
    card_path.write_text(json.dumps(card, indent=2) + "\n")


def make_table(stated: Floats, true: Floats) -> Floats:
    """Returns `(bins, 4)`: number, mean stated error, mean true error and its deviation."""
    parts = np.array_split(np.argsort(stated), min(BINS, len(stated)))
    return np.array([(len(p), stated[p].mean(), true[p].mean(), true[p].std()) for p in parts])


def print_table(stated: Floats, true: Floats) -> None:
    """Prints the correlation, and stated and true errors in bins of equal numbers."""
    print(f"{len(true)} photographs, Spearman {stats.spearmanr(stated, true)[0]:.3f}")
    print("| photographs | stated dE00 | true dE00 | standard deviation |")
    print("|---|---|---|---|")
    for count, mean, found, deviation in make_table(stated, true):
        print(f"| {count:.0f} | {mean:.1f} | {found:.1f} | {deviation:.1f} |")


def plot(path: Path, stated: Floats, true: Floats) -> None:
    """Writes a plot of true over stated errors, with their means in bins."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4, 4), layout="constrained")
    axes = figure.subplots()
    table = make_table(stated, true)
    axes.plot(stated, true, ".", markersize=3, alpha=0.4, label="photographs")
    axes.plot(table[:, 1], table[:, 2], "o-", label="means of bins")
    limit = [0, float(max(stated.max(), true.max())) * 1.05]
    axes.plot(limit, limit, "--", linewidth=0.8, color="grey", label="equal")
    axes.set(xlabel="stated dE00", ylabel="true dE00", xlim=limit, ylim=limit)
    axes.legend()
    figure.savefig(path, dpi=100)
