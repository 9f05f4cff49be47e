"""Real files, real plugins, real processes for every test."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).parent.parent
SHARED = ROOT.parent / "shared" / "data"

FLAT = """
    import batchcolor

    class Flat:
        def __call__(self, luma):
            import torch
            chroma = torch.full((len(luma), 2, 4, 4), 0.1, dtype=luma.dtype, device=luma.device)
            chroma[:, 1] = -0.05 - 0.1 * luma.mean(dim=(1, 2, 3))[:, None, None]
            return chroma

    @batchcolor.hookimpl
    def batchcolor_colorizers():
        return [batchcolor.ColorizerSpec("flat", "one colour", 16, lambda options: Flat())]
"""
"""A colorizer that needs no weights and costs nothing: what most tests colour with."""


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A folder on the path of tests and of the processes that they start."""
    folder = tmp_path / "site"
    folder.mkdir(exist_ok=True)
    return folder


@pytest.fixture
def plugin(site: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Installs a plugin package: a module and its dist-info with the entry point."""
    monkeypatch.syspath_prepend(str(site))

    def install(name: str, code: str, version: str = "1.0") -> Path:
        module = site / f"{name.replace('-', '_')}.py"
        module.write_text(textwrap.dedent(code))
        info = site / f"{name.replace('-', '_')}-{version}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        entry = f"[batchcolor]\n{name} = {module.stem}\n"
        (info / "entry_points.txt").write_text(entry)
        sys.modules.pop(module.stem, None)
        return module

    return install


@pytest.fixture
def flat(plugin: Callable[..., Path]) -> str:
    """The name of an installed colorizer without weights."""
    plugin("flatpack", FLAT)
    return "flat"


@pytest.fixture
def environment(site: Path) -> dict[str, str]:
    """The environment of real processes: tests' plugins on the path, plain output."""
    path = os.pathsep.join([str(site), *filter(None, [os.environ.get("PYTHONPATH")])])
    return {**os.environ, "PYTHONPATH": path, "COLUMNS": "200", "NO_COLOR": "1"}


@pytest.fixture
def command(
    environment: dict[str, str], tmp_path: Path
) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs `batchcolor ...` as a process."""

    def run(*arguments: object, **more: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "batchcolor", *map(os.fspath, map(_word, arguments))],
            env={**environment, **more},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=300,
        )

    return run


def _word(argument: object) -> str:
    return argument if isinstance(argument, str) else str(argument)


def grey_picture(width: int, height: int, seed: int = 0) -> Image.Image:
    """A grey photograph of sorts: broad shapes, some grain."""
    chance = np.random.default_rng(seed)
    shapes = chance.integers(0, 256, (6, 6), dtype=np.uint8)
    broad = np.asarray(Image.fromarray(shapes).resize((width, height), Image.Resampling.BICUBIC))
    grain = chance.normal(0, 6, (height, width))
    return Image.fromarray(np.clip(broad + grain, 0, 255).astype(np.uint8))


@pytest.fixture(name="grey_picture")
def grey_picture_fixture() -> Callable[..., Image.Image]:
    """Gives `grey_picture` to tests."""
    return grey_picture


@pytest.fixture
def album(tmp_path: Path) -> Callable[[int], Path]:
    """Makes a folder tree of so many grey JPEGs."""

    def make(count: int, width: int = 96, height: int = 64) -> Path:
        folder = tmp_path / "album"
        for index in range(count):
            place = folder / ("" if index % 2 else "1931 summer")
            place.mkdir(parents=True, exist_ok=True)
            grey_picture(width, height, index).save(place / f"{index:03d}.jpg", quality=92)
        return folder

    return make


@pytest.fixture
def shared_data() -> Path:
    """Photographs that are not part of the project; tests skip where they are not."""
    if not SHARED.is_dir():
        pytest.skip("the evaluation photographs are not on this machine")
    return SHARED
