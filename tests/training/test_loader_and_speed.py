"""Loader, augmentation and speed measurement."""

import copy
import dataclasses

import numpy as np
import pytest
import torch

from batchcolor.color import rgb_to_ycbcr
from batchcolor.errors import UsageError
from batchcolor.hooks.types import Recipe
from batchcolor.training import augment
from batchcolor.training.distributed import init_distributed
from batchcolor.training.loader import BatchLoader
from batchcolor.training.records import Speeds
from batchcolor.training.speed import measure_speed
from batchcolor.training.store import Store

RECIPE = Recipe(
    data="-", size=16, optimizer="adam", learning_rate=1e-3, batch_size=8, epochs=1, ema=0.9
)


@pytest.fixture
def store() -> Store:
    """Twenty training pictures and four held-out ones, each filled with its number."""
    pictures = np.broadcast_to(
        np.arange(24, dtype=np.uint8)[:, None, None, None], (24, 16, 16, 3)
    ).copy()
    return Store(pictures, np.arange(20), np.arange(20, 24))


def test_an_epoch_has_each_training_picture_at_most_once_and_no_held_out_one(store):
    loader = BatchLoader(store, init_distributed("cpu", "auto"), 6, seed=3)
    seen = [
        int(picture[0, 0, 0]) for step in range(loader.steps_per_epoch) for picture in loader(step)
    ]
    assert loader.steps_per_epoch == 3
    assert len(set(seen)) == len(seen) == 18
    assert max(seen) < 20
    again = [int(picture[0, 0, 0]) for step in range(3, 6) for picture in loader(step)]
    assert again != seen


def test_a_step_gets_the_same_pictures_with_and_without_prefetching(store):
    in_order, resumed = (
        BatchLoader(store, init_distributed("cpu", "auto"), 6, seed=3) for _ in range(2)
    )
    batches = [in_order(step) for step in range(6)]
    for step in (5, 0, 3):  # as after a resume
        assert torch.equal(resumed(step), batches[step])


def test_processes_split_an_epoch_without_overlap(store):
    alone = init_distributed("cpu", "auto")
    loaders = [
        BatchLoader(store, dataclasses.replace(alone, rank=rank, world_size=2), 5, seed=1)
        for rank in (0, 1)
    ]
    seen = [int(p[0, 0, 0]) for loader in loaders for step in (0, 1) for p in loader(step)]
    assert sorted(seen) == list(range(20))


def test_a_shift_is_by_whole_pixels_with_mirrored_edges():
    torch.manual_seed(0)
    pictures = torch.rand(12, 3, 16, 16)
    places = set()
    for picture, moved in zip(pictures, augment._random_shift(pictures, 2), strict=True):
        padded = torch.nn.functional.pad(picture, [2] * 4, mode="reflect")
        found = [
            (down, across)
            for down in range(5)
            for across in range(5)
            if torch.equal(padded[:, down : down + 16, across : across + 16], moved)
        ]
        assert len(found) == 1
        places.update(found)
    assert len(places) > 4


def test_a_rotation_by_90_degrees_equals_numpy_rot90(monkeypatch):
    monkeypatch.setattr(torch, "rand", lambda *shape, **rest: torch.ones(*shape))  # never mirrored
    rgb = np.random.default_rng(0).integers(0, 256, (1, 16, 16, 3), dtype=np.uint8)
    luma, _ = augment.augment(
        torch.from_numpy(rgb), dataclasses.replace(RECIPE, random_crop=1.0, rotation=90.0)
    )
    turned = np.rot90(rgb[0]).astype(np.float32) / 255
    wanted, _, _ = rgb_to_ycbcr(*np.moveaxis(turned, 2, 0))
    assert np.abs(luma[0, 0].numpy() - wanted).max() < 1e-4


def test_scale_jitter_uses_every_allowed_size_and_one_size_in_each_step():
    recipe = dataclasses.replace(RECIPE, size=128, random_crop=0.5, scale_jitter=0.25)
    rgb = torch.randint(0, 256, (2, 160, 160, 3), dtype=torch.uint8)
    sides = set()
    for seed in range(24):
        torch.manual_seed(seed)
        luma, target = augment.augment(rgb, recipe)
        assert luma.shape[2:] == target.shape[2:]
        sides.add(tuple(luma.shape[2:]))
    assert sides == {(96, 96), (128, 128), (160, 160)}


@pytest.mark.parametrize(
    ("option", "value"), [("rotation", 200.0), ("shift", 16), ("shift", -1), ("scale_jitter", 1.0)]
)
def test_an_augmentation_out_of_range_is_rejected_by_name(tmp_path, option, value, plan):
    with pytest.raises(UsageError, match=f"--{option.replace('_', '-')}"):
        plan(tmp_path, tmp_path / "run", **{option: value})


def test_measuring_speed_restores_the_exact_state_of_the_trainer(photographs, tmp_path, make):
    run = make(photographs(40), tmp_path / "run")
    run.run(stop=lambda: run.step == 3, on_step=lambda _: None, on_epoch=lambda *_: None)
    before = copy.deepcopy(run.state())
    measure_speed(run)
    after = run.state()
    assert before.keys() == after.keys()
    for part in ("network", "averaged"):
        for name, value in before[part].items():
            assert torch.equal(value, after[part][name]), name
    for index, state in before["optimizer"]["state"].items():
        for name, value in state.items():
            assert torch.equal(value, after["optimizer"]["state"][index][name]), name
    for name in ("step", "epoch_losses", "scheduler"):
        assert before[name] == after[name]


def test_the_speed_of_training_is_a_share_of_the_slower_of_loader_and_network():
    assert Speeds(loader=400.0, network=100.0, training=90.0).share == 0.9
    assert Speeds(loader=50.0, network=100.0, training=45.0).share == 0.9


def test_an_erased_square_is_erased_from_luma_and_not_from_the_target():
    torch.manual_seed(3)
    rgb = torch.randint(0, 256, (64, 32, 32, 3), dtype=torch.uint8)
    plain = Recipe("-", 32, "rmsprop", 1e-3, 8, 1)
    torch.manual_seed(4)
    whole, target = augment.augment(rgb, plain)
    torch.manual_seed(4)
    luma, same = augment.augment(rgb, dataclasses.replace(plain, erase=0.5))
    assert torch.equal(same, target)
    changed = (luma != whole).flatten(1).sum(1)
    assert 16 <= int((changed > 0).sum()) <= 48
    assert int(changed.max()) <= 17 * 17
    for one, before, hidden in zip(luma, whole, luma != whole, strict=True):
        if hidden.any():
            torch.testing.assert_close(one[hidden], before.mean().expand(int(hidden.sum())))
