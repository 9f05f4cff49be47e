"""TrainingPlan: all settings of one training run, validated."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from batchcolor.errors import UsageError
from batchcolor.hooks.types import Recipe

CHECKPOINT_VERSION = 2
"""Version of the checkpoint's content; runs of another version cannot be resumed."""


@dataclass(frozen=True)
class TrainingPlan:
    """The settings of one run. Sizes in pixels, rates per step. Raises UsageError."""

    model: str
    data: str
    output: Path
    recipe: Recipe
    seed: int = 0
    data_root: Path = Path("data")
    device: str = "auto"
    precision: str = "auto"
    compile: bool = False
    limit: int | None = None
    validation: str | None = None
    """A folder whose pictures are all held out; None splits `data` by content."""
    weights: Path | None = None
    """Weights that training starts from; None: the pretrained encoder or random initialization."""
    checkpoint_minutes: float = 2.0
    samples_every: int = 3
    workers: int | None = None
    command: str = ""

    def __post_init__(self) -> None:
        if self.recipe.loss == "own":  # the former name of "model"
            object.__setattr__(self, "recipe", dataclasses.replace(self.recipe, loss="model"))
        recipe = self.recipe
        if self.output.is_dir() and self.output.resolve() == Path(self.data).resolve():
            raise UsageError(
                f"--output {self.output} is the folder of the training pictures; choose another"
            )
        for name in ("size", "epochs", "batch_size", "learning_rate"):
            if getattr(recipe, name) <= 0:
                raise UsageError(
                    f"--{name.replace('_', '-')} must be more than 0, not {getattr(recipe, name)}"
                )
        if not 0 <= recipe.momentum < 1:
            raise UsageError(f"--momentum is a share from 0 to below 1, not {recipe.momentum}")
        if not 0 < recipe.random_crop <= 1:
            raise UsageError(
                f"--random-crop is a share of the picture's area above 0 and at most 1, "
                f"not {recipe.random_crop}"
            )
        if not 0 <= recipe.rotation <= 180:
            raise UsageError(f"--rotation is in degrees from 0 to 180, not {recipe.rotation}")
        if not 0 <= recipe.shift < recipe.size:
            raise UsageError(f"--shift is in pixels from 0 to below --size, not {recipe.shift}")
        if not 0 <= recipe.scale_jitter < 1:
            raise UsageError(
                f"--scale-jitter is a share of --size from 0 to below 1, not {recipe.scale_jitter}"
            )
        for name in ("erase", "degrade", "encoder_rate"):
            if not 0 <= getattr(recipe, name) <= 1:
                raise UsageError(
                    f"--{name.replace('_', '-')} is a share from 0 to 1, "
                    f"not {getattr(recipe, name)}"
                )
        if not 0 <= recipe.ema < 1:
            raise UsageError(f"--ema is a decay from 0 to below 1, not {recipe.ema}")

    def fingerprint(self) -> str:
        """Returns a hash of the settings that must not change when a run is resumed."""
        parts: dict[str, Any] = {
            "version": CHECKPOINT_VERSION,
            "model": self.model,
            "data": self.data,
            "seed": self.seed,
            "limit": self.limit,
            "validation": self.validation,
            "weights": str(self.weights),
            **dataclasses.asdict(self.recipe),
        }
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]
