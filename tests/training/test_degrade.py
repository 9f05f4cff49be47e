"""Luma made to look old: bounded, repeatable, and nothing else."""

import dataclasses

import pytest
import torch

from batchcolor.color import rgb_to_ycbcr
from batchcolor.hooks.types import Recipe
from batchcolor.training import degrade
from batchcolor.training.augment import augmented

RECIPE = Recipe(
    data="-", size=32, optimizer="adam", learning_rate=1e-3, batch_size=8, epochs=1, degrade=1.0
)


def photographs(count=64, side=32):
    generator = torch.Generator().manual_seed(1)
    coarse = torch.rand(count, 3, 4, 4, generator=generator)
    return torch.nn.functional.interpolate(coarse, size=(side, side), mode="bicubic").clamp(0, 1)


def rgb_to_luma(pictures):
    return rgb_to_ycbcr(pictures[:, :1], pictures[:, 1:2], pictures[:, 2:])[0]


def test_without_a_share_luma_is_the_picture_s_own():
    pictures = photographs()
    torch.testing.assert_close(degrade.aged(pictures, 0.0), rgb_to_luma(pictures))


def test_most_pictures_are_touched_and_all_stay_luma():
    pictures = photographs()
    torch.manual_seed(3)
    old = degrade.aged(pictures, 1.0)
    assert old.shape == (64, 1, 32, 32)
    assert old.min() >= 0
    assert old.max() <= 1
    touched = (old - rgb_to_luma(pictures)).abs().mean(dim=(1, 2, 3)) > 0.005
    assert 0.7 < touched.float().mean() < 1


def test_the_same_seed_ages_a_picture_in_the_same_way():
    made = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        made.append(degrade.aged(photographs(), 0.5))
    assert torch.equal(made[0], made[1])
    assert not torch.equal(made[0], made[2])


def test_true_chroma_is_not_touched():
    rgb = (photographs(8) * 255).byte().permute(0, 2, 3, 1)
    plain = dataclasses.replace(RECIPE, degrade=0.0)
    torch.manual_seed(4)
    luma, truth = augmented(rgb, RECIPE)
    torch.manual_seed(4)
    clean, same = augmented(rgb, plain)
    assert torch.equal(truth, same)
    assert not torch.equal(luma, clean)


WAYS = ("_mixed", "_blurred", "_toned", "_unevenly_lit", "_scratched", "_grained", "_compressed")


@pytest.mark.parametrize("way", WAYS)
def test_each_way_touches_only_the_pictures_that_were_drawn(way):
    pictures = photographs(6)
    drawn = torch.tensor([1.0, 0, 1, 0, 1, 0])[:, None, None, None]
    torch.manual_seed(5)
    before = rgb_to_luma(pictures)
    after = getattr(degrade, way)(pictures if way == "_mixed" else before, drawn)
    changed = (after - before).abs().amax(dim=(1, 2, 3)) > 1e-4
    assert changed.tolist() == [True, False, True, False, True, False]
