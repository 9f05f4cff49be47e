"""Simulated degradations: bounded, reproducible, and limited to luma."""

import dataclasses

import pytest
import torch

from batchcolor.color import rgb_to_ycbcr
from batchcolor.hooks.types import Recipe
from batchcolor.training import degrade
from batchcolor.training.augment import augment

RECIPE = Recipe(
    data="-", size=32, optimizer="adam", learning_rate=1e-3, batch_size=8, epochs=1, degrade=1.0
)


def photographs(count=64, side=32):
    generator = torch.Generator().manual_seed(1)
    coarse = torch.rand(count, 3, 4, 4, generator=generator)
    return torch.nn.functional.interpolate(coarse, size=(side, side), mode="bicubic").clamp(0, 1)


def rgb_to_luma(pictures):
    return rgb_to_ycbcr(pictures[:, :1], pictures[:, 1:2], pictures[:, 2:])[0]


def test_a_share_of_0_degrades_nothing():
    pictures = photographs()
    torch.testing.assert_close(degrade.degrade_luma(pictures, 0.0), rgb_to_luma(pictures))


def test_most_pictures_are_degraded_and_all_stay_in_range():
    pictures = photographs()
    torch.manual_seed(3)
    old = degrade.degrade_luma(pictures, 1.0)
    assert old.shape == (64, 1, 32, 32)
    assert old.min() >= 0
    assert old.max() <= 1
    touched = (old - rgb_to_luma(pictures)).abs().mean(dim=(1, 2, 3)) > 0.005
    assert 0.7 < touched.float().mean() < 1


def test_the_same_seed_gives_the_same_degradation():
    results = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        results.append(degrade.degrade_luma(photographs(), 0.5))
    assert torch.equal(results[0], results[1])
    assert not torch.equal(results[0], results[2])


def test_target_chroma_is_not_degraded():
    rgb = (photographs(8) * 255).byte().permute(0, 2, 3, 1)
    plain = dataclasses.replace(RECIPE, degrade=0.0)
    torch.manual_seed(4)
    luma, truth = augment(rgb, RECIPE)
    torch.manual_seed(4)
    clean, same = augment(rgb, plain)
    assert torch.equal(truth, same)
    assert not torch.equal(luma, clean)


DEGRADATIONS = (
    "_remix_channels",
    "_blur",
    "_adjust_tone",
    "_vary_illumination",
    "_add_scratches",
    "_add_grain",
    "_quantize_blocks",
)


@pytest.mark.parametrize("name", DEGRADATIONS)
def test_each_degradation_changes_only_the_pictures_of_its_mask(name):
    pictures = photographs(6)
    mask = torch.tensor([1.0, 0, 1, 0, 1, 0])[:, None, None, None]
    torch.manual_seed(5)
    before = rgb_to_luma(pictures)
    after = getattr(degrade, name)(pictures if name == "_remix_channels" else before, mask)
    changed = (after - before).abs().amax(dim=(1, 2, 3)) > 1e-4
    assert changed.tolist() == [True, False, True, False, True, False]
