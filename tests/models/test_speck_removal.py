"""Removal of specks from a field of chroma, and the gates on luma."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from batchcolor.models.delta_palette import load_pairwise_ciede2000, make_palette
from batchcolor.models.luma_gates import noise_gate
from batchcolor.models.speck_removal import remove_specks

RED = torch.tensor([-0.03, 0.08])


def make_field(radius: float, chroma: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """A grey field `(1, 2, 64, 64)` with a disc of that chroma, and where it is."""
    rows, columns = torch.meshgrid(torch.arange(64), torch.arange(64), indexing="ij")
    disc = torch.hypot(rows - 30.0, columns - 36.0) < radius
    return (chroma[:, None, None] * disc)[None], disc


def expect(share: float) -> torch.Tensor:
    """The expected error of a distribution: red with that probability, else grey or any colour."""
    palette = make_palette()
    weights = torch.full((len(palette),), 0.3 / len(palette))
    weights[0] += 0.7 - share
    weights[int((palette - RED).norm(dim=1).argmin())] += share
    return (weights @ load_pairwise_ciede2000()).expand(1, 64, 64, -1)


def clean(field: torch.Tensor, luma: torch.Tensor, share: float) -> torch.Tensor:
    return remove_specks(field, luma, expect(share), make_palette())


def test_a_small_patch_of_which_the_network_is_not_sure_gets_the_hue_of_its_surroundings():
    field, disc = make_field(4, RED)
    cleaned = clean(field, torch.full((1, 1, 256, 256), 0.5), 0.3)
    assert cleaned[0, :, disc].norm(dim=0).mean() < 0.3 * RED.norm()
    assert cleaned[0, :, ~make_field(6, RED)[1]].abs().max() < 0.01


def test_a_patch_stays_where_the_network_is_sure_of_its_colour():
    field, _ = make_field(4, RED)
    cleaned = clean(field, torch.full((1, 1, 256, 256), 0.5), 0.7)
    assert (cleaned - field).abs().max() < 0.01


def test_an_object_of_another_luma_keeps_its_colour():
    field, disc = make_field(4, RED)
    luma = functional.interpolate(0.3 + 0.5 * disc[None, None].float(), size=(256, 256))
    cleaned = clean(field, luma, 0.3)
    inside = make_field(2, RED)[1]
    assert (cleaned - field)[0, :, inside].abs().max() < 0.01


def test_a_large_area_and_a_field_of_one_colour_keep_their_colour():
    luma = torch.full((1, 1, 256, 256), 0.5)
    field = RED[None, :, None, None] * torch.ones(1, 1, 64, 64)
    assert (clean(field, luma, 0.3) - field).abs().max() < 1e-6
    field[..., :32] = 0
    assert (clean(field, luma, 0.3) - field)[..., 44:].abs().max() < 0.01


@pytest.mark.parametrize("side", [8, 16, 96])
def test_small_fields_and_pure_black_or_white_give_finite_chroma(side):
    field = 0.2 * torch.rand(3, 2, side, side, generator=torch.Generator().manual_seed(1)) - 0.1
    luma = torch.tensor([0.0, 1.0, 0.5])[:, None, None, None] * torch.ones(1, 1, 4 * side, 4 * side)
    error = torch.ones(3, side, side, len(make_palette()))
    cleaned = remove_specks(field, luma, error, make_palette())
    assert cleaned.shape == field.shape
    assert cleaned.abs().max() < 0.2


@pytest.mark.parametrize("shape", [(6, 3000), (20, 2000), (2000, 20), (256, 256), (1000, 900)])
def test_noise_of_any_shape_has_no_chroma(shape):
    noise = torch.rand(1, 1, *shape, generator=torch.Generator().manual_seed(2))
    square = functional.interpolate(noise, size=(256, 256), mode="bilinear", antialias=True)
    assert noise_gate(square) < 0.6


def test_shapes_and_gradients_are_not_taken_for_noise():
    generator = torch.Generator().manual_seed(3)
    shapes = torch.rand(1, 1, 6, 6, generator=generator)
    shapes = functional.interpolate(shapes, size=(256, 256), mode="bicubic")
    grain = 0.1 * torch.randn(1, 1, 256, 256, generator=generator)
    ramp = torch.linspace(0, 1, 256).expand(1, 1, 256, 256)
    for luma in (shapes, shapes + grain, ramp + ramp.mT):
        assert noise_gate(luma) == 1
