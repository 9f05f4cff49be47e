"""What a run leaves for people: log.csv, the loss plot, sample sheets, weights and their card."""

from __future__ import annotations

import csv
import dataclasses
import datetime
import hashlib
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from safetensors.torch import save as to_bytes

from batchcolor.color import rgb_mse, ycbcr_to_rgb
from batchcolor.hooks.types import ColorizerSpec
from batchcolor.training.trainer import EpochResult, Trainer

SHEET = 8
"""Pictures on a sample sheet: always the same ones, so that sheets can be compared."""


def write_log(folder: Path, history: list[EpochResult]) -> None:
    """`log.csv`, a line an epoch, whole after every epoch."""
    with (folder / "log.csv").open("w", newline="") as file:
        names = [field.name for field in dataclasses.fields(EpochResult)]
        writer = csv.DictWriter(file, names)
        writer.writeheader()
        writer.writerows(vars(row) for row in history)


def plot_loss(path: Path, history: list[EpochResult], baselines: dict[str, float]) -> None:
    """`loss.png`: loss and validation loss by epoch, with what doing nothing costs."""
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
    figure.savefig(path, dpi=120)


def sample_sheet(trainer: Trainer, path: Path) -> None:
    """Rows of grey, output, truth and difference (x 2) of held-out pictures, as PNG."""
    rows = torch.from_numpy(trainer.store.validation[:SHEET])
    luma, truth = trainer.measured(rows)
    chroma = trainer.colour(luma)
    output, true = _rgb(luma, chroma), _rgb(luma, truth)
    grey = luma.repeat(1, 3, 1, 1).clamp(0, 1)
    difference = (2 * (output - true).abs()).clamp(0, 1)
    columns = torch.cat([grey, output, true, difference], dim=3)  # (rows, 3, size, 4 * size)
    sheet = torch.cat(list(columns), dim=1).permute(1, 2, 0).cpu().numpy()
    scale = max(1, 128 // trainer.recipe.size)
    image = Image.fromarray((sheet * 255).round().astype(np.uint8))
    path.parent.mkdir(parents=True, exist_ok=True)
    image.resize((image.width * scale, image.height * scale), Image.Resampling.NEAREST).save(path)


def _rgb(luma: torch.Tensor, chroma: torch.Tensor) -> torch.Tensor:
    return torch.cat(ycbcr_to_rgb(luma, chroma[:, :1], chroma[:, 1:]), dim=1).clamp(0, 1)


def baselines(trainer: Trainer) -> dict[str, float]:
    """RGB MSE of the held-out pictures left grey, and given the training set's mean chroma."""
    picked = trainer.store.train[:: max(1, len(trainer.store.train) // 2000)]
    _, learnt = trainer.measured(torch.from_numpy(picked))
    mean = learnt.mean(dim=(0, 2, 3), keepdim=True)
    errors = {"grey": 0.0, "mean_colour": 0.0}
    validation = torch.from_numpy(trainer.store.validation)
    for rows in torch.split(validation, 256):
        _, truth = trainer.measured(rows)
        share = len(rows) / len(validation)
        errors["grey"] += share * float(rgb_mse(torch.zeros_like(truth), truth))
        errors["mean_colour"] += share * float(rgb_mse(mean.expand_as(truth), truth))
    return errors


def save_weights(trainer: Trainer, spec: ColorizerSpec, errors: dict[str, float]) -> Path:
    """NAME.safetensors (averaged weights, fp16) and its card NAME.json, each in one step."""
    state = {
        name: halved(value).contiguous().cpu()
        for name, value in trainer.averaged.module.state_dict().items()
    }
    content = to_bytes(state, metadata={"name": spec.name})
    folder = trainer.plan.output
    path = folder / f"{spec.name}.safetensors"
    card = make_card(trainer, spec, errors, hashlib.sha256(content).hexdigest())
    _replace(path, content)
    _replace(path.with_suffix(".json"), (json.dumps(card, indent=2) + "\n").encode())
    return path


def halved(value: torch.Tensor) -> torch.Tensor:
    """In half precision where all of it fits: a variance beyond 65,504 would become infinite,
    and its layer silent."""
    if not value.is_floating_point():
        return value
    half = value.half()
    return half if bool(half.isfinite().all()) else value.float()


def make_card(
    trainer: Trainer, spec: ColorizerSpec, errors: dict[str, float], sha256: str
) -> dict[str, Any]:
    """All that somebody needs who wants to trust, or to repeat, these weights."""
    last = trainer.history[-1]
    return {
        "name": spec.name,
        "architecture": architecture(trainer.network),
        "sha256": sha256,
        "data": f"{trainer.plan.data}: {len(trainer.store.train)} pictures, "
        f"{len(trainer.store.validation)} held out"
        + (f" ({trainer.plan.validation})" if trainer.plan.validation else ""),
        "data_licence": "as stated by the data's owners; the pictures are not part of the weights",
        "command": trainer.plan.command,
        "hardware": trainer.machine.describe(),
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


def architecture(network: torch.nn.Module) -> int:
    """The version that the network's own file states as ARCHITECTURE; 1 where it states none."""
    import sys

    return int(getattr(sys.modules[type(network).__module__], "ARCHITECTURE", 1))


def _replace(path: Path, content: bytes) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
