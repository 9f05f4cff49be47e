"""Delta with colour hints: exactly as without where there are none, finite whatever they are."""

from __future__ import annotations

import copy

import pytest
import torch

from batchcolor.hooks.manager import load_plugins
from batchcolor.inference.weights import _read_state_dict, find
from batchcolor.models.delta import Delta
from batchcolor.models.delta_hints import MAX_HINTS, make_positions, reduce_hints

SIDE = 128


@pytest.fixture(scope="module")
def state():
    return _read_state_dict(find(load_plugins(False).find("delta"), None))


@pytest.fixture(scope="module")
def network(state):
    """The shipped weights; the part that takes hints has random parameters."""
    network = Delta()
    network.load_state_dict(state)
    torch.manual_seed(1)
    network.hints.start_training(torch.randn(64, network.hints.mean.numel()))
    network.hints.requires_grad_(False)
    network.hints.choose.bias[-1] = 5.0  # much influence
    return network.eval()


@pytest.fixture(scope="module")
def luma():
    """Two pictures: a slope, and two areas."""
    slope = torch.linspace(0.1, 0.9, SIDE).expand(SIDE, SIDE)
    areas = torch.full((SIDE, SIDE), 0.3)
    areas[:, SIDE // 2 :] = 0.7
    return torch.stack([slope, areas])[:, None]


def make_hints(*places: tuple[int, int, float, float]) -> torch.Tensor:
    """Hints `(1, 3, S, S)` with Cb and Cr at y and x."""
    hints = torch.zeros(1, 3, SIDE, SIDE)
    for y, x, cb, cr in places:
        hints[0, :, y, x] = torch.tensor([1, cb, cr])
    return hints


def test_without_hints_the_result_is_exactly_that_of_luma_alone(network, luma):
    with torch.inference_mode():
        plain = network.colorize_with_doubt(luma)
        hints = torch.zeros(2, 3, SIDE, SIDE)
        assert torch.equal(network.colorize_with_doubt(luma, hints), plain)
        hints[1] = make_hints((20, 20, 0.2, -0.2))[0]
        hinted = network.colorize_with_doubt(luma, hints)
        assert torch.equal(network(luma, hints), hinted[:, :2])
    assert torch.equal(hinted[0], plain[0])
    assert torch.equal(hinted[:, 2], plain[:, 2])
    assert not torch.equal(hinted[1], plain[1])


def test_weights_without_hints_load_and_hints_change_nothing(state, luma):
    older = {name: value for name, value in state.items() if not name.startswith("hints.")}
    network = Delta().eval()
    network.load_state_dict(older)
    with torch.inference_mode():
        hints = make_hints((20, 20, 0.2, -0.2)).expand(2, -1, -1, -1)
        assert torch.equal(network(luma, hints), network(luma))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_any_hints_have_a_finite_result_inside_the_range(network, luma, dtype):
    changed = copy.deepcopy(network).to(dtype)
    everywhere = torch.cat([torch.ones(1, 1, SIDE, SIDE), torch.full((1, 2, SIDE, SIDE), 0.5)], 1)
    contradictory = make_hints((20, 20, 0.5, -0.5), (20, 21, -0.5, 0.5), (21, 20, 0.5, 0.5))
    corner = make_hints((0, 0, 0.5, 0.5), (SIDE - 1, SIDE - 1, -0.5, -0.5))
    for hints in (everywhere, contradictory, corner):
        with torch.inference_mode():
            chroma = changed(luma[1:].to(dtype), hints.to(dtype)).float()
        assert torch.isfinite(chroma).all()
        assert chroma.abs().max() <= 0.5


def test_hints_in_one_position_are_averaged():
    hints = make_hints((4, 4, 0.2, 0.0), (5, 5, 0.0, -0.2), (40, 60, 0.1, 0.1))
    reduced = reduce_hints(hints, SIDE // 4)[0]
    assert reduced[0].sum() == 2
    assert reduced[:, 1, 1].tolist() == pytest.approx([1, 0.1, -0.1])
    assert reduced[:, 10, 15].tolist() == pytest.approx([1, 0.1, 0.1])


def test_of_very_many_hints_some_are_compared(network, luma):
    with torch.inference_mode():
        features, chroma, _ = network.decode_features(luma[:1].repeat(1, 1, 2, 2))
        assert chroma.shape[-1] ** 2 > MAX_HINTS
        hints = torch.ones(1, 3, 2 * SIDE, 2 * SIDE) * torch.tensor([1, 0.1, 0.1])[:, None, None]
        found = network.hints(features, luma[:1].repeat(1, 1, 2, 2), chroma, hints)
    assert found.shape == chroma.shape
    assert torch.isfinite(found).all()


def test_a_hint_draws_its_place_to_its_colour(state, luma):
    network = Delta().eval()
    network.load_state_dict(state)
    if not network.hints.is_trained:
        pytest.skip("these weights were not trained with hints")
    wanted = torch.tensor([0.15, -0.1])
    with torch.inference_mode():
        plain, hinted = (network(luma[1:], it) for it in (None, make_hints((40, 30, 0.15, -0.1))))
    before, after = (torch.dist(it[0, :, 10, 7], wanted) for it in (plain, hinted))
    assert after < 0.5 * before


def test_positions_have_the_features_luma_and_chroma_of_their_place():
    features = torch.arange(2 * 3 * 16.0).reshape(2, 3, 4, 4)
    luma, chroma = torch.rand(2, 1, 16, 16), torch.rand(2, 2, 4, 4) - 0.5
    positions = make_positions(features, luma, chroma)
    assert positions.values.shape == (2, 16, 3 + 5)
    assert torch.equal(positions.values[1, 6, :3], features[1, :, 1, 2])
    assert torch.equal(positions.chroma[0, 7], chroma[0, :, 1, 3])
    assert positions.places[0, 6].tolist() == [0.375, 0.625]
    taken = positions.take(torch.tensor([[6], [7]]))
    assert torch.equal(taken.chroma[1, 0], chroma[1, :, 1, 3])
