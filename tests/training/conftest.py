"""Small folders of made photographs, and one way to train on them."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image


def smooth_colour(seed: int, side: int = 48) -> Image.Image:
    """A picture of broad patches in clear colours."""
    patches = np.random.default_rng(seed).integers(0, 256, (3, 3, 3), dtype=np.uint8)
    return Image.fromarray(patches).resize((side, side), Image.Resampling.BICUBIC)


@pytest.fixture
def photographs(tmp_path: Path) -> Callable[[int], Path]:
    """Makes a folder tree with so many colour photographs."""

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
    """Stores are packed below the test's own folder."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
