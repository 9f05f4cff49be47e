"""Networks that define their own loss and have a pretrained part."""

import dataclasses

import pytest
import torch
from safetensors.torch import load_file
from torch import nn
from torch.nn import functional

from batchcolor.errors import TrainingDivergedError
from batchcolor.hooks.manager import load_plugins
from batchcolor.inference.weights import find
from batchcolor.models.builtin import DELTA
from batchcolor.models.delta import Delta
from batchcolor.training.distributed import init_distributed
from batchcolor.training.network import build_network
from batchcolor.training.store import open_store
from batchcolor.training.trainer import Trainer
from batchcolor.training.training_run import Callbacks, train


class NetworkWithLoss(nn.Module):
    """Returns its loss if it gets a target; `pretrain` sets its encoder."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Conv2d(1, 8, 3, padding=1)
        self.decoder = nn.Conv2d(8, 2, 1)

    def forward(self, luma, target=None):
        chroma = self.decoder(self.encoder(luma).relu())
        return chroma if target is None else 5 + functional.l1_loss(chroma, target)

    def pretrain(self) -> None:
        nn.init.constant_(self.encoder.bias, 0.25)


@pytest.fixture
def make_trainer(plan, narrow):
    """Makes a trainer of a network that returns its loss."""

    def make(folder, output, **changes):
        training_plan = plan(folder, output, **{"loss": "model", "optimizer": "adamw", **changes})
        store = open_store(training_plan.data, training_plan.data_root, training_plan.recipe.size)
        spec = dataclasses.replace(narrow, build=lambda options: NetworkWithLoss())
        return Trainer(
            training_plan,
            build_network(training_plan, spec),
            store,
            init_distributed("cpu", "auto"),
        )

    return make


def test_the_loss_of_the_model_is_minimized(photographs, tmp_path, make_trainer):
    trainer = make_trainer(photographs(24), tmp_path, epochs=6)
    before, _ = trainer.validate()
    assert before > 5
    trainer.run(stop=lambda: False, on_step=lambda _: None, on_epoch=lambda *_: None)
    assert trainer.history[-1].validation_loss < before
    assert trainer.history[-1].validation_rgb_mse < 1


def test_training_starts_from_the_pretrained_part(photographs, tmp_path, make_trainer):
    trainer = make_trainer(photographs(24), tmp_path)
    assert torch.equal(trainer.network.encoder.bias, torch.full((8,), 0.25))


def test_the_encoder_has_its_own_learning_rate(photographs, tmp_path, make_trainer):
    photos = photographs(24)
    moved = {}
    for rate in (0.0, 1.0):
        trainer = make_trainer(photos, tmp_path, encoder_rate=rate, weight_decay=0.0)
        before = trainer.network.encoder.weight.detach().clone()
        trainer.advance()
        moved[rate] = float((trainer.network.encoder.weight.detach() - before).abs().max())
        assert trainer.network.encoder.weight.requires_grad == (rate > 0)
    assert moved[0.0] == 0
    assert moved[1.0] > 1e-4


def test_delta_continues_from_its_shipped_weights(photographs, tmp_path, plan):
    recipe = DELTA.recipe
    assert recipe is not None
    weights = find(load_plugins(False).find("delta"), None)
    training_plan = plan(photographs(24), tmp_path / "run", size=64, epochs=1, loss="model")
    training_plan = dataclasses.replace(
        training_plan,
        model="delta",
        weights=weights,
        recipe=dataclasses.replace(
            recipe, data=training_plan.data, size=64, epochs=1, batch_size=8, learning_rate=1e-4
        ),
    )
    path = train(training_plan, DELTA, Callbacks(*[lambda *_: None] * 5), resume=False)
    before, after = load_file(weights), load_file(path)
    assert after.keys() == Delta().state_dict().keys()
    assert torch.equal(before["encoder.stem.1.weight"], after["encoder.stem.1.weight"])
    assert not torch.equal(before["classifier.weight"], after["classifier.weight"])
    assert path.stat().st_size < 25 * 2**20


def test_a_validation_loss_that_is_not_finite_stops_the_run(photographs, tmp_path, make_trainer):
    trainer = make_trainer(photographs(24), tmp_path, epochs=2)
    trainer.validation_loss = lambda *_: torch.tensor(float("nan"))
    with pytest.raises(TrainingDivergedError, match="validation loss is nan"):
        trainer.run(stop=lambda: False, on_step=lambda _: None, on_epoch=lambda *_: None)
