"""`batchcolor train` as a real process: signals, resume, several processes, bad data."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

TOY = ["--size", "16", "--batch-size", "8", "--epochs", "2", "--device", "cpu"]


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    return {**os.environ, "XDG_CACHE_HOME": str(tmp_path / "cache"), "OMP_NUM_THREADS": "1"}


@pytest.fixture
def photographs(tmp_path: Path) -> Path:
    folder = tmp_path / "photographs"
    folder.mkdir()
    for seed in range(64):
        patches = np.random.default_rng(seed).integers(0, 256, (3, 3, 3), dtype=np.uint8)
        Image.fromarray(patches).resize((40, 30)).save(folder / f"{seed:02d}.jpg", quality=95)
    return folder


def train(
    folder: Path,
    output: Path,
    environment: dict[str, str],
    *more: str,
    launcher: tuple[str, ...] = (),
) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *(launcher or ("-m", "batchcolor")), "train", "beta"]
    return subprocess.run(
        [*command, "--data", str(folder), "-o", str(output), *TOY, *more],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_sigterm_keeps_a_checkpoint_and_resume_ends_with_the_same_weights(
    photographs, tmp_path, environment
):
    whole = train(photographs, tmp_path / "whole", environment)
    assert whole.returncode == 0, whole.stderr

    command = [sys.executable, "-m", "batchcolor", "train", "beta", "--data", str(photographs)]
    cut = subprocess.Popen(
        [*command, "-o", str(tmp_path / "cut"), *TOY],
        env=environment,
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 120
    while not (tmp_path / "cut" / "log.csv").exists() and time.monotonic() < deadline:
        time.sleep(0.005)  # the first epoch of two is done
    cut.send_signal(signal.SIGTERM)
    _, said = cut.communicate(timeout=120)
    assert cut.returncode == 143, said
    assert "--resume" in said

    resumed = train(photographs, tmp_path / "cut", environment, "--resume")
    assert resumed.returncode == 0, resumed.stderr
    weights = [(tmp_path / run / "beta.safetensors").read_bytes() for run in ("whole", "cut")]
    assert weights[0] == weights[1]


def test_train_says_at_the_start_how_fast_it_is_and_how_long_it_will_take(
    photographs, tmp_path, environment
):
    result = train(photographs, tmp_path / "run", environment)
    assert result.returncode == 0, result.stderr
    before, _, _ = result.stderr.partition("epoch 1:")
    rates = re.search(r"loader alone ([\d,]+), network alone ([\d,]+), training ([\d,]+)", before)
    assert rates is not None
    assert re.search(r"this will take about \d+:\d\d:\d\d", before)
    card = json.loads((tmp_path / "run" / "beta.json").read_text())["images_per_second"]
    shown = [int(rate.replace(",", "")) for rate in rates.groups()]
    assert shown == [card["loader"], card["network"], card["training"]]
    assert min(shown) > 0


def test_torchrun_trains_one_set_of_weights_in_two_processes(photographs, tmp_path, environment):
    launcher = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2")
    result = train(
        photographs,
        tmp_path / "run",
        environment,
        launcher=(*launcher, "-m", "batchcolor"),
    )
    assert result.returncode == 0, result.stderr
    assert "2 process(es)" in (tmp_path / "run" / "beta.json").read_text()
    assert result.stderr.count("epoch 2: loss") == 1


@pytest.mark.parametrize("folder", ["empty", "grey", "absent"])
def test_a_folder_without_colour_pictures_is_one_line_and_exit_2(tmp_path, environment, folder):
    (tmp_path / "empty").mkdir()
    (tmp_path / "grey").mkdir()
    for value in range(4):
        Image.new("L", (40, 40), 50 * value).save(tmp_path / "grey" / f"{value}.png")
    result = train(tmp_path / folder, tmp_path / "run", environment)
    assert result.returncode == 2
    assert "Traceback" not in result.stderr
    assert folder in result.stderr
