"""A training run: results, checkpoints, resume, invalid settings."""

import csv
import dataclasses
import hashlib
import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from batchcolor.errors import TrainingDivergedError, UsageError, WeightsError
from batchcolor.images.sheets.contact_sheet import SheetCell, SheetRow, SheetSection, layout_sheet
from batchcolor.images.sheets.sheet_page import SheetPage, TextLine
from batchcolor.images.sheets.sheet_text import measure_text_width
from batchcolor.models.beta import Beta, BetaWidths
from batchcolor.models.builtin import BETA
from batchcolor.training import checkpoint, results
from batchcolor.training import trainer as trainer_module
from batchcolor.training.distributed import init_distributed
from batchcolor.training.network import build_network
from batchcolor.training.optimization import make_scheduler
from batchcolor.training.store import open_store
from batchcolor.training.trainer import Trainer
from batchcolor.training.training_run import Callbacks, train


def silent() -> Callbacks:
    return Callbacks(*[lambda *_: None] * 5)


def card_pictures(card: dict[str, str]) -> int:
    """Returns the number of training pictures that the card states."""
    return int(card["data"].rpartition(": ")[2].split()[0])


def sample_page(rows: int, title: str) -> SheetPage:
    """The layout of a sample sheet of pictures of 16 pixels, which are enlarged eight times."""
    cells = (SheetCell(np.zeros((128, 128, 3), np.uint8)),) * 4
    section = SheetSection(results.SHEET_COLUMNS, (SheetRow(cells),) * rows)
    (page,) = layout_sheet([section], 128, title=title)
    return page


def test_a_run_writes_consistent_log_plot_sheets_weights_and_card(
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
        rows = min(results.SHEET_ROWS, int(card["data"].rpartition(", ")[2].split()[0]))
        page = sample_page(rows, "beta: held-out pictures after epoch 3")
        assert sheet.size == (page.width, page.height)
        lines = [item for item in page.items if isinstance(item, TextLine)]
        headings = ["grey", "output", "true", "difference × 2"]
        assert [line.text for line in lines[-4:]] == headings
        for line in lines:
            width = measure_text_width(line.text, line.style)
            box = (line.x, line.y - line.style.height, line.x + width, line.y)
            darkest, brightest = sheet.crop(box).convert("L").getextrema()
            assert darkest < 64
            assert brightest == 255


@pytest.mark.slow
def test_training_beats_grey_and_mean_colour_on_learnable_pictures(photographs, tmp_path, make):
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
    baselines = results.measure_baselines(run)
    assert run.history[-1].validation_rgb_mse < 0.6 * min(baselines.values())


def test_a_run_resumed_three_times_gives_the_weights_of_an_uninterrupted_one(
    photographs, tmp_path, make
):
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


def test_a_loss_that_is_not_finite_stops_the_run_and_keeps_the_last_checkpoint(
    photographs, tmp_path, make
):
    run = make(photographs(40), tmp_path / "run", epochs=4)
    run.run(stop=lambda: run.step == 3, on_step=lambda _: None, on_epoch=lambda *_: None)
    kept = (tmp_path / "run" / checkpoint.NAME).read_bytes()
    with torch.no_grad():
        next(run.network.parameters()).fill_(math.inf)
    with pytest.raises(TrainingDivergedError, match="step 4"):
        run.run(stop=lambda: False, on_step=lambda _: None, on_epoch=lambda *_: None)
    assert (tmp_path / "run" / checkpoint.NAME).read_bytes() == kept


def test_a_lack_of_memory_names_the_options_that_reduce_it(
    photographs, tmp_path, plan, narrow, monkeypatch
):
    def fail(trainer, luma, target):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(Trainer, "train_step", fail)
    with pytest.raises(UsageError, match="--batch-size 8 and --size 16; use a smaller one"):
        train(plan(photographs(12), tmp_path / "run"), narrow, silent(), resume=False)


def test_a_checkpoint_of_other_settings_is_rejected(photographs, tmp_path, make):
    folder = photographs(40)
    make(folder, tmp_path / "run").save()
    other = make(folder, tmp_path / "run", learning_rate=1e-4)
    with pytest.raises(UsageError, match="other settings"):
        other.resume()


def test_a_truncated_checkpoint_is_a_usage_error(photographs, tmp_path, make):
    run = make(photographs(40), tmp_path / "run")
    run.save()
    path = tmp_path / "run" / checkpoint.NAME
    path.write_bytes(path.read_bytes()[:500])
    with pytest.raises(UsageError, match="not a checkpoint"):
        run.resume()


def test_a_new_run_does_not_overwrite_another_one(photographs, tmp_path, plan, narrow):
    training_plan = plan(photographs(40), tmp_path / "run", epochs=1)
    train(training_plan, narrow, silent(), resume=False)
    with pytest.raises(UsageError, match="--resume"):
        train(training_plan, narrow, silent(), resume=False)


@pytest.mark.parametrize("optimizer", ["adam", "adamw", "rmsprop", "sgd"])
def test_each_optimizer_name_selects_that_optimizer(photographs, tmp_path, optimizer, make):
    run = make(photographs(20), tmp_path / "run", optimizer=optimizer)
    assert type(run.optimizer).__name__.lower() == optimizer


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")
def test_mixed_precision_on_a_gpu_reaches_the_loss_of_float32(photographs, tmp_path, plan, narrow):
    losses = {}
    for precision in ("float32", "auto"):
        training_plan = plan(photographs(40), tmp_path / precision)
        store = open_store(training_plan.data, training_plan.data_root, 16)
        run = Trainer(
            training_plan,
            build_network(training_plan, narrow),
            store,
            init_distributed("cuda", precision),
        )
        run.run(stop=lambda: False, on_step=lambda _: None, on_epoch=lambda *_: None)
        losses[precision] = run.history[-1].loss
    assert losses["auto"] == pytest.approx(losses["float32"], rel=0.1)


def test_a_run_starts_from_weights_of_its_network_and_rejects_others(
    photographs, tmp_path, plan, narrow
):
    folder = photographs(40)
    first = train(plan(folder, tmp_path / "first"), narrow, silent(), resume=False)
    training_plan = dataclasses.replace(plan(folder, tmp_path / "second"), weights=first)
    store = open_store(training_plan.data, training_plan.data_root, 16)
    trainer = Trainer(
        training_plan, build_network(training_plan, narrow), store, init_distributed("cpu", "auto")
    )
    state = trainer.network.state_dict()
    for name, value in load_file(first).items():
        assert torch.equal(state[name], value.to(state[name].dtype)), name
    other = dataclasses.replace(BETA, build=lambda options: Beta(BetaWidths(4, 4, 8, 4)))
    with pytest.raises(WeightsError, match="another network"):
        Trainer(
            training_plan,
            build_network(training_plan, other),
            store,
            init_distributed("cpu", "auto"),
        )


def test_a_validation_folder_is_held_out_completely(photographs, smooth_colour, tmp_path):
    training, outside = photographs(30), tmp_path / "outside"
    outside.mkdir()
    for seed in range(100, 107):
        smooth_colour(seed).save(outside / f"{seed}.png")
    smooth_colour(5).save(outside / "copy of 005.png", compress_level=0)
    store = open_store(str(training), tmp_path, 16, validation=str(outside))
    assert len(store.validation) == 8
    assert len(store.train) == 29  # all but the picture that is held out as well
    assert store.skipped == {"near a held-out picture": 1}


@pytest.mark.parametrize("total_steps", [1, 2, 40, 50, 400])
def test_the_schedule_is_a_linear_warm_up_and_a_cosine_decay_for_each_parameter_group(total_steps):
    groups = [{"params": [torch.zeros(1, requires_grad=True)], "lr": rate} for rate in (1.0, 0.1)]
    optimizer = torch.optim.SGD(groups)
    scheduler = make_scheduler(optimizer, total_steps)
    warm_up = max(1, round(0.02 * total_steps))
    for step in range(total_steps):
        share = (step + 1) / warm_up
        if step >= warm_up:
            share = 0.5 + 0.5 * math.cos(math.pi * (step - warm_up) / (total_steps - warm_up))
        rates = [group["lr"] for group in optimizer.param_groups]
        assert rates == pytest.approx([share, 0.1 * share], abs=1e-9)
        optimizer.step()
        scheduler.step()


def test_loss_own_is_an_alias_of_model(photographs, tmp_path, plan):
    folder = photographs(4)
    former = plan(folder, tmp_path / "run", loss="own")
    assert former.recipe.loss == "model"
    assert former.fingerprint() == plan(folder, tmp_path / "run", loss="model").fingerprint()


def test_trainer_and_speed_import_each_other_in_one_direction_only():
    source = Path(trainer_module.__file__).read_text()
    assert "training.speed" not in source
