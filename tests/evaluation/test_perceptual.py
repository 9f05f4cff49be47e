"""LPIPS and FID: measured if their weights are on the machine, noted if not, no download."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from batchcolor.evaluation import perceptual

pytest.importorskip("torchmetrics", reason="batchcolor[perceptual] is not installed")
pytest.importorskip("torch_fidelity", reason="batchcolor[perceptual] is not installed")
linalg = pytest.importorskip("scipy.linalg")


@pytest.fixture
def random_alexnet(tmp_path: Path) -> Path:
    """A hub folder with an AlexNet of random initialization; no download is needed."""
    import torchvision

    folder = tmp_path / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    torch.manual_seed(0)
    network = torchvision.models.alexnet(weights=None)
    torch.save(network.state_dict(), folder / perceptual.ALEXNET)
    return tmp_path


def colours(folder: Path, count: int = 3) -> Path:
    folder.mkdir()
    for index in range(count):
        small = np.random.default_rng(index).integers(0, 256, (4, 4, 3), dtype=np.uint8)
        Image.fromarray(small).resize((64, 48), Image.Resampling.BICUBIC).save(
            folder / f"{index}.png"
        )
    return folder


def test_without_weights_both_are_omitted_with_a_note(command, flat, tmp_path):
    result = command(
        "evaluate", "--data", colours(tmp_path / "c"), "-m", flat, "--json", TORCH_HOME="x"
    )
    assert result.returncode == 0, result.stderr
    document = json.loads(result.stdout)
    assert "lpips" not in document["rows"][0]
    assert "fid" not in document["rows"][0]
    for metric in ("LPIPS", "FID"):
        assert f"no {metric}: put the weights of its network at " in result.stderr


def test_with_weights_lpips_has_a_column_with_its_interval(command, flat, tmp_path, random_alexnet):
    data = colours(tmp_path / "c")
    result = command(
        "evaluate", "--data", data, "-m", flat, "--json", TORCH_HOME=str(random_alexnet)
    )
    assert result.returncode == 0, result.stderr
    grey, _, model = json.loads(result.stdout)["rows"]
    assert 0 < grey["lpips"] != model["lpips"] > 0
    low, high = grey["interval_95"]["lpips"]
    assert low <= grey["lpips"] <= high
    assert "no LPIPS" not in result.stderr
    shown = command("evaluate", "--data", data, "-m", flat, TORCH_HOME=str(random_alexnet))
    assert "LPIPS" in shown.stdout


def test_lpips_of_a_picture_with_itself_is_zero(random_alexnet, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(random_alexnet))
    assert perceptual.find_missing("LPIPS", perceptual.ALEXNET) == ""
    lpips = perceptual.Lpips()
    one = np.random.default_rng(0).integers(0, 256, (2, 40, 40, 3), dtype=np.uint8)
    assert np.allclose(lpips(one, one), 0, atol=1e-6)
    assert np.isnan(lpips(one[:, :20], one[:, :20])).all()


class Means(torch.nn.Module):
    """Four features for each picture instead of the 2,048 of Inception."""

    num_features = 4

    def forward(self, pictures: torch.Tensor) -> Any:
        cells = torch.nn.functional.adaptive_avg_pool2d(pictures.float(), 2)
        return cells.mean(dim=1).flatten(1)


def test_fid_is_the_frechet_distance_of_two_normal_distributions():
    rng = np.random.default_rng(0)
    reference = rng.integers(0, 256, (40, 8, 8, 3), dtype=np.uint8)
    output = np.clip(reference * 0.8 + rng.integers(0, 60, reference.shape), 0, 255).astype(
        np.uint8
    )
    fid = perceptual.Fid(feature=Means())
    for part in (slice(0, 15), slice(15, 40)):
        fid.add(reference[part], output[part])
    one, other = (
        Means()(torch.from_numpy(s).permute(0, 3, 1, 2)).double().numpy()
        for s in (reference, output)
    )
    c1, c2 = np.cov(one, rowvar=False), np.cov(other, rowvar=False)
    distance = np.square(one.mean(0) - other.mean(0)).sum()
    expected = distance + np.trace(c1 + c2 - 2 * linalg.sqrtm(c1 @ c2).real)
    assert fid.compute() == pytest.approx(expected, rel=1e-3)


def test_fid_of_one_picture_is_nan():
    fid = perceptual.Fid(feature=Means())
    picture = np.zeros((1, 8, 8, 3), np.uint8)
    fid.add(picture, picture)
    assert np.isnan(fid.compute())
