"""`python -m benchmarks` runs as documented, on small inputs."""

from __future__ import annotations

import argparse
import hashlib
import io
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).parent.parent


def benchmark(*arguments: object) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks", *map(str, arguments)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def flowers(folder: Path, wanted: int) -> Path:
    """Writes colour PNGs until training would hold out `wanted` of them by their content."""
    folder.mkdir()
    held_out, seed = 0, 0
    while held_out < wanted:
        cells = np.random.default_rng(seed).integers(0, 256, (4, 4, 3), dtype=np.uint8)
        file = io.BytesIO()
        Image.fromarray(cells).resize((40, 30), Image.Resampling.BICUBIC).save(file, "PNG")
        held_out += hashlib.sha256(file.getvalue()).hexdigest()[0] in "01"
        (folder / f"{seed}.png").write_bytes(file.getvalue())
        seed += 1
    return folder


def test_the_published_models_are_measured_on_held_out_flowers(tmp_path):
    printed = benchmark("published", "--flowers", flowers(tmp_path / "flowers", 3))
    assert "alpha: 3 pictures" in printed
    rows = dict(re.findall(r"^\| (RGB MSE|ab/128 MSE) \|(.*)\|$", printed, re.MULTILINE))
    for figures in rows.values():
        published, ours, grey, mean, oracle = map(float, figures.split("|"))
        assert published == 0.0388
        assert 0 < oracle < min(ours, grey, mean)
    assert len(rows) == 2


def test_each_working_size_is_measured_and_plotted(tmp_path):
    data = flowers(tmp_path / "photos", 1)
    arguments = ("--data", data, "--model", "beta", "--sizes", "16,32", "--limit", "2")
    printed = benchmark("working-size", *arguments, "--plot", tmp_path / "curve.png")
    assert [
        line.split("|")[2].strip() for line in printed.splitlines() if line.startswith("| ")
    ] == [*("16", "32", "16+32")]
    with Image.open(tmp_path / "curve.png") as curve:
        assert curve.width > 400


@pytest.mark.slow
def test_codec_baseline_compares_a_job_with_the_codecs(tmp_path, monkeypatch, capsys):
    from benchmarks import codec_baseline

    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(codec_baseline, "SIZES", {"small": ((96, 64), 3)})
    codec_baseline.measure(tmp_path, argparse.Namespace(pictures=3, rounds=1, other=None))
    shown = capsys.readouterr().out
    for mode in ("L", "RGB"):
        assert re.search(rf"small {mode}, of the baseline: batchcolor \d\.\d\d", shown)
