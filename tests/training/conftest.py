"""Small folders of generated photographs, and a small network to train on them."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from batchcolor.hooks.types import ColorizerSpec, Recipe
from batchcolor.models.beta import Beta, BetaWidths
from batchcolor.models.builtin import BETA
from batchcolor.training.distributed import init_distributed
from batchcolor.training.network import build_network
from batchcolor.training.plan import TrainingPlan
from batchcolor.training.store import open_store
from batchcolor.training.trainer import Trainer

RECIPE = Recipe(
    data="-", size=16, optimizer="rmsprop", learning_rate=2e-3, batch_size=8, epochs=3, ema=0.9
)
NARROW = dataclasses.replace(BETA, build=lambda options: Beta(BetaWidths(8, 8, 16, 8)))


def toy_plan(folder: Path, output: Path, **changes: object) -> TrainingPlan:
    """Makes a plan of a short run; `changes` are fields of its recipe."""
    recipe = dataclasses.replace(RECIPE, data=str(folder), **changes)
    return TrainingPlan(
        model="beta", data=str(folder), output=output, recipe=recipe, device="cpu", workers=2
    )


def toy_trainer(of: TrainingPlan) -> Trainer:
    """Makes the trainer of a plan, on the CPU."""
    store = open_store(
        of.data, of.data_root, of.recipe.size, validation=of.validation, limit=of.limit
    )
    return Trainer(of, build_network(of, NARROW), store, init_distributed("cpu", "auto"))


@pytest.fixture(name="plan")
def plan_fixture() -> Callable[..., TrainingPlan]:
    """Gives `toy_plan` to tests."""
    return toy_plan


@pytest.fixture
def make() -> Callable[..., Trainer]:
    """Makes a trainer from a folder, an output folder and changes of the recipe."""
    return lambda *arguments, **changes: toy_trainer(toy_plan(*arguments, **changes))


def smooth_colour(seed: int, side: int = 48) -> Image.Image:
    """Makes a picture of broad, saturated patches."""
    patches = np.random.default_rng(seed).integers(0, 256, (3, 3, 3), dtype=np.uint8)
    return Image.fromarray(patches).resize((side, side), Image.Resampling.BICUBIC)


@pytest.fixture
def photographs(tmp_path: Path) -> Callable[[int], Path]:
    """Makes a folder tree with a number of colour photographs."""

    def make(count: int) -> Path:
        folder = tmp_path / "photographs"
        for index in range(count):
            (folder / f"album {index % 3}").mkdir(parents=True, exist_ok=True)
            smooth_colour(index).save(folder / f"album {index % 3}" / f"{index:03d}.png")
        return folder

    return make


@pytest.fixture(name="smooth_colour")
def smooth_colour_fixture() -> Callable[..., Image.Image]:
    """Gives `smooth_colour` to tests."""
    return smooth_colour


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Packed pictures are cached in the test's own folder."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def narrow() -> ColorizerSpec:
    """Beta with few channels."""
    return NARROW
