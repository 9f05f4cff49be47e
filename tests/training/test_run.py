"""A training run, cut and whole, alone and in two processes."""

import csv
import dataclasses
import hashlib
import json
import math

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from batchcolor.errors import TrainingDivergedError, UsageError, WeightsError
from batchcolor.models.beta import Beta, Widths
from batchcolor.models.builtin import BETA
from batchcolor.training import checkpoint, results
from batchcolor.training import distributed as machine
from batchcolor.training.run import Watcher, train
from batchcolor.training.store import open_store
from batchcolor.training.trainer import Trainer, build


def silent() -> Watcher:
    return Watcher(lambda *_: None, lambda *_: None, lambda *_: None, lambda *_: None)


def card_pictures(card: dict[str, str]) -> int:
    """Pictures learnt from, as the card states them."""
    return int(card["data"].rpartition(": ")[2].split()[0])


def test_a_run_leaves_log_plot_sheets_weights_and_a_card_that_agree(
    photographs, tmp_path, plan, narrow
):
    output = tmp_path / "run"
    weights = train(plan(photographs(40), output), narrow, silent(), resume=False)

    rows = list(csv.DictReader((output / "log.csv").open()))
    card = json.loads((output / "beta.json").read_text())
    assert [row["epoch"] for row in rows] == ["1", "2", "3"]
    best = min(rows, key=lambda row: float(row["validation_loss"]))
    assert card["losses"]["validation"] == pytest.approx(float(best["validation_loss"]), abs=1e-6)
    assert card["sha256"] == hashlib.sha256(weights.read_bytes()).hexdigest()
    steps = int(best["epoch"]) * (card_pictures(card) // 8)
    assert card["samples_seen"] == 8 * steps
    assert load_file(weights)["decode.2.weight"].dtype == torch.float16
    with Image.open(output / "loss.png") as plot:
        assert plot.width > 600
    with Image.open(output / "samples" / "epoch-003.png") as sheet:
        assert sheet.width == 4 * 16 * 8  # grey, output, truth, difference, eight times as large


def test_training_beats_grey_and_mean_colour_on_pictures_it_can_learn(photographs, tmp_path, make):
    """One hue for dark, another for bright, in patches that 8 x 8 samples of chroma can hold."""
    folder = tmp_path / "two hues"
    folder.mkdir()
    for seed in range(48):
        grey = torch.rand(1, 1, 2, 2, generator=torch.Generator().manual_seed(seed))
        luma = torch.nn.functional.interpolate(grey, size=(16, 16), mode="bicubic")[0, 0]
        red = luma + 0.2 * torch.sign(luma - 0.5)
        blue = luma - 0.2 * torch.sign(luma - 0.5)
        rgb = torch.stack([red, luma, blue], -1).clamp(0, 1)
        Image.fromarray((rgb * 255).byte().numpy()).save(folder / f"{seed}.png")
    run = make(folder, tmp_path / "run", epochs=25)
    run.run(stop=lambda: False, on_step=lambda _: None, on_epoch=lambda *_: None)
    baselines = results.baselines(run)
    assert run.history[-1].validation_rgb_mse < 0.6 * min(baselines.values())


def test_a_run_cut_three_times_ends_with_the_weights_of_an_uncut_one(photographs, tmp_path, make):
    folder = photographs(40)
    whole = make(folder, tmp_path / "whole")
    assert whole.run(stop=lambda: False, on_step=lambda _: None, on_epoch=lambda *_: None)

    for cut_at in (2, 5, 9, None):
        piece = make(folder, tmp_path / "pieces")
        if cut_at != 2:
            piece.resume()
        finished = piece.run(
            stop=lambda piece=piece, cut_at=cut_at: piece.step == cut_at,
            on_step=lambda _: None,
            on_epoch=lambda *_: None,
        )
        assert finished == (cut_at is None)

    assert [row.loss for row in piece.history] == [row.loss for row in whole.history]
    for name, value in whole.averaged.state_dict().items():
        assert torch.equal(value, piece.averaged.state_dict()[name]), name


def test_a_loss_that_is_no_number_stops_with_the_last_checkpoint_kept(photographs, tmp_path, make):
    run = make(photographs(40), tmp_path / "run", epochs=4)
    run.run(stop=lambda: run.step == 3, on_step=lambda _: None, on_epoch=lambda *_: None)
    kept = (tmp_path / "run" / checkpoint.NAME).read_bytes()
    with torch.no_grad():
        next(run.network.parameters()).fill_(math.inf)
    with pytest.raises(TrainingDivergedError, match="step 4"):
        run.run(stop=lambda: False, on_step=lambda _: None, on_epoch=lambda *_: None)
    assert (tmp_path / "run" / checkpoint.NAME).read_bytes() == kept


def test_a_checkpoint_of_other_settings_is_refused_rather_than_mixed(photographs, tmp_path, make):
    folder = photographs(40)
    make(folder, tmp_path / "run").save()
    other = make(folder, tmp_path / "run", learning_rate=1e-4)
    with pytest.raises(UsageError, match="other settings"):
        other.resume()


def test_a_torn_checkpoint_is_one_sentence_and_not_a_traceback(photographs, tmp_path, make):
    run = make(photographs(40), tmp_path / "run")
    run.save()
    path = tmp_path / "run" / checkpoint.NAME
    path.write_bytes(path.read_bytes()[:500])
    with pytest.raises(UsageError, match="not a checkpoint"):
        run.resume()


def test_a_run_is_not_begun_anew_over_another_one(photographs, tmp_path, plan, narrow):
    asked = plan(photographs(40), tmp_path / "run", epochs=1)
    train(asked, narrow, silent(), resume=False)
    with pytest.raises(UsageError, match="--resume"):
        train(asked, narrow, silent(), resume=False)


@pytest.mark.parametrize("optimizer", ["adam", "adamw", "rmsprop", "sgd"])
def test_each_optimizer_that_is_offered_is_the_one_that_runs(
    photographs, tmp_path, optimizer, make
):
    run = make(photographs(20), tmp_path / "run", optimizer=optimizer)
    assert type(run.optimizer).__name__.lower() == optimizer


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")
def test_mixed_precision_on_a_gpu_learns_as_float32_does(photographs, tmp_path, plan, narrow):
    losses = {}
    for precision in ("float32", "auto"):
        asked = plan(photographs(40), tmp_path / precision)
        store = open_store(asked.data, asked.data_root, 16)
        run = Trainer(asked, build(asked, narrow), store, machine.start("cuda", precision))
        run.run(stop=lambda: False, on_step=lambda _: None, on_epoch=lambda *_: None)
        losses[precision] = run.history[-1].loss
    assert losses["auto"] == pytest.approx(losses["float32"], rel=0.1)


def test_a_run_can_start_from_weights_and_only_from_those_of_its_network(
    photographs, tmp_path, plan, narrow
):
    folder = photographs(40)
    first = train(plan(folder, tmp_path / "first"), narrow, silent(), resume=False)
    asked = dataclasses.replace(plan(folder, tmp_path / "second"), weights=first)
    store = open_store(asked.data, asked.data_root, 16)
    begun = Trainer(asked, build(asked, narrow), store, machine.start("cpu", "auto"))
    state = begun.network.state_dict()
    for name, value in load_file(first).items():
        assert torch.equal(state[name], value.to(state[name].dtype)), name
    other = dataclasses.replace(BETA, build=lambda options: Beta(Widths(4, 4, 8, 4)))
    with pytest.raises(WeightsError, match="another network"):
        Trainer(asked, build(asked, other), store, machine.start("cpu", "auto"))


def test_a_validation_folder_is_held_out_whole_and_the_other_learnt_from_whole(
    photographs, smooth_colour, tmp_path
):
    learnt, outside = photographs(30), tmp_path / "outside"
    outside.mkdir()
    for seed in range(100, 107):
        smooth_colour(seed).save(outside / f"{seed}.png")
    smooth_colour(5).save(outside / "copy of 005.png", compress_level=0)
    store = open_store(str(learnt), tmp_path, 16, validation=str(outside))
    assert len(store.validation) == 8
    assert len(store.train) == 29  # all but the picture that is held out as well
    assert store.skipped == {"near a held-out picture": 1}
