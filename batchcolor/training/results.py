"""Writes the results of a run: log.csv, loss plot, sample sheets, weights and their card."""

from __future__ import annotations

import csv
import dataclasses
import datetime
import hashlib
import io
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save as to_bytes

from batchcolor.color import rgb_mse, ycbcr_to_rgb
from batchcolor.hooks.types import ColorizerSpec
from batchcolor.images.picture import RgbArray
from batchcolor.images.sheets.contact_sheet import (
    SheetCell,
    SheetColumn,
    SheetRow,
    SheetSection,
    layout_sheet,
)
from batchcolor.images.sheets.sheet_page import encode_page
from batchcolor.storage.atomic import write_atomic
from batchcolor.training.records import EpochResult
from batchcolor.training.trainer import Trainer

SHEET_ROWS = 8
"""Pictures on a sample sheet: the same ones on every sheet, for comparison."""
SHEET_COLUMNS = (
    SheetColumn("grey"),
    SheetColumn("output"),
    SheetColumn("true"),
    SheetColumn("difference \N{MULTIPLICATION SIGN} 2"),
)
MIN_PANEL_SIDE = 128
"""Side in pixels to which smaller pictures are enlarged, by an integer factor."""


def write_log(folder: Path, history: list[EpochResult]) -> None:
    """Writes `log.csv`, one row for each epoch."""
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, [field.name for field in dataclasses.fields(EpochResult)])
    writer.writeheader()
    writer.writerows(vars(row) for row in history)
    write_atomic(folder / "log.csv", text.getvalue().encode())


def plot_loss(path: Path, history: list[EpochResult], baselines: dict[str, float]) -> None:
    """Writes a plot of loss and validation loss by epoch, with the baselines."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4.5), layout="constrained")
    axes = figure.subplots()
    epochs = [row.epoch for row in history]
    axes.plot(epochs, [row.loss for row in history], marker=".", label="loss (with dropout)")
    axes.plot(epochs, [row.validation_loss for row in history], marker=".", label="validation loss")
    for (name, value), style in zip(baselines.items(), ("--", ":"), strict=False):
        axes.axhline(value, color="0.5", linestyle=style, label=name.replace("_", " "))
    axes.set_xlabel("epoch")
    axes.set_ylabel("loss")
    axes.set_yscale("log")
    axes.legend()
    content = io.BytesIO()
    figure.savefig(content, format="png", dpi=120)
    write_atomic(path, content.getvalue())


def write_sample_sheet(trainer: Trainer, path: Path) -> None:
    """Writes a PNG with a row for each of some held-out pictures, as they are after this epoch."""
    rows = torch.from_numpy(trainer.store.validation[:SHEET_ROWS])
    luma, target = trainer.load_whole(rows)
    output, true = _rgb(luma, trainer.predict_chroma(luma)), _rgb(luma, target)
    grey = luma.repeat(1, 3, 1, 1).clamp(0, 1)
    difference = (2 * (output - true).abs()).clamp(0, 1)
    panels = torch.stack([grey, output, true, difference], dim=1)  # (rows, 4, 3, size, size)
    factor = max(1, MIN_PANEL_SIDE // trainer.recipe.size)
    pixels = (panels.permute(0, 1, 3, 4, 2).cpu().numpy() * 255).round().astype(np.uint8)
    pixels = pixels.repeat(factor, axis=2).repeat(factor, axis=3)
    title = f"{trainer.plan.model}: held-out pictures after epoch {trainer.history[-1].epoch}"
    write_atomic(path, _render_sample_sheet(pixels, title))


def _render_sample_sheet(panels: RgbArray, title: str) -> bytes:
    """Returns `(rows, columns, H, W, 3)` as a PNG with labels."""
    sheet_rows = tuple(SheetRow(tuple(SheetCell(panel) for panel in row)) for row in panels)
    section = SheetSection(SHEET_COLUMNS, sheet_rows)
    (page,) = layout_sheet([section], panels.shape[3], title=title)
    return encode_page(page, "PNG")


def _rgb(luma: torch.Tensor, chroma: torch.Tensor) -> torch.Tensor:
    return torch.cat(ycbcr_to_rgb(luma, chroma[:, :1], chroma[:, 1:]), dim=1).clamp(0, 1)


def measure_baselines(trainer: Trainer) -> dict[str, float]:
    """Returns the RGB MSE of the held-out pictures in grey, and in the mean training chroma."""
    picked = trainer.store.train[:: max(1, len(trainer.store.train) // 2000)]
    _, chroma = trainer.load_whole(torch.from_numpy(picked))
    mean = chroma.mean(dim=(0, 2, 3), keepdim=True)
    errors = {"grey": 0.0, "mean_colour": 0.0}
    validation = torch.from_numpy(trainer.store.validation)
    for rows in torch.split(validation, 256):
        _, target = trainer.load_whole(rows)
        share = len(rows) / len(validation)
        errors["grey"] += share * float(rgb_mse(torch.zeros_like(target), target))
        errors["mean_colour"] += share * float(rgb_mse(mean.expand_as(target), target))
    return errors


def save_weights(trainer: Trainer, spec: ColorizerSpec, errors: dict[str, float]) -> Path:
    """Writes NAME.safetensors (averaged weights, fp16) and its card NAME.json."""
    state = {
        name: to_half(value).contiguous().cpu()
        for name, value in trainer.averaged.module.state_dict().items()
    }
    content = to_bytes(state, metadata={"name": spec.name})
    folder = trainer.plan.output
    path = folder / f"{spec.name}.safetensors"
    card = make_card(trainer, spec, errors, hashlib.sha256(content).hexdigest())
    write_atomic(path, content)
    write_atomic(path.with_suffix(".json"), (json.dumps(card, indent=2) + "\n").encode())
    return path


def to_half(value: torch.Tensor) -> torch.Tensor:
    """Converts to half precision, or to float32 if a value exceeds the range of half precision.

    A variance above 65,504 would become infinite, and the output of its layer zero.
    """
    if not value.is_floating_point():
        return value
    half = value.half()
    return half if bool(half.isfinite().all()) else value.float()


def make_card(
    trainer: Trainer, spec: ColorizerSpec, errors: dict[str, float], sha256: str
) -> dict[str, Any]:
    """Returns the card: the command, the data and the losses of these weights."""
    last = trainer.history[-1]
    return {
        "name": spec.name,
        "architecture": architecture_version(trainer.network),
        "sha256": sha256,
        "data": f"{trainer.plan.data}: {len(trainer.store.train)} pictures, "
        f"{len(trainer.store.validation)} held out"
        + (f" ({trainer.plan.validation})" if trainer.plan.validation else ""),
        "data_licence": "as stated by the data's owners; the pictures are not part of the weights",
        "command": trainer.plan.command,
        "hardware": trainer.context.describe(),
        "hours": round(trainer.seconds / 3600, 2),
        "samples_seen": trainer.samples_seen,
        "images_per_second": {
            name: round(value) for name, value in dataclasses.asdict(trainer.speeds).items()
        }
        if trainer.speeds
        else None,
        "epochs": last.epoch,
        "losses": {
            "train": round(last.loss, 6),
            "validation": round(last.validation_loss, 6),
            "validation_rgb_mse": round(last.validation_rgb_mse, 6),
            **{name: round(value, 6) for name, value in errors.items()},
        },
        "recipe": dataclasses.asdict(trainer.recipe),
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "licence": spec.licence,
    }


def architecture_version(network: torch.nn.Module) -> int:
    """Returns ARCHITECTURE of the module that defines the network; 1 if it is not defined."""
    return int(getattr(sys.modules[type(network).__module__], "ARCHITECTURE", 1))
