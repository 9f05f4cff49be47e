"""`python -m benchmarks` runs as documented, on small inputs."""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import re
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).parent.parent


@pytest.fixture(autouse=True)
def _importable(monkeypatch: pytest.MonkeyPatch) -> None:
    """The benchmarks are no part of the installed package."""
    monkeypatch.syspath_prepend(str(ROOT))


@pytest.fixture
def benchmark(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., str]:
    """Runs a benchmark in this process, and returns what it prints."""

    def run(*arguments: object) -> str:
        from benchmarks.__main__ import main

        monkeypatch.chdir(ROOT)
        monkeypatch.setattr(sys, "argv", ["benchmarks", *map(str, arguments)])
        main()
        return capsys.readouterr().out

    return run


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


def test_the_published_models_are_measured_on_held_out_flowers(benchmark, tmp_path):
    printed = benchmark("published", "--flowers", flowers(tmp_path / "flowers", 3))
    assert "alpha: 3 pictures" in printed
    rows = dict(re.findall(r"^\| (RGB MSE|ab/128 MSE) \|(.*)\|$", printed, re.MULTILINE))
    for figures in rows.values():
        published, ours, grey, mean, oracle = map(float, figures.split("|"))
        assert published == 0.0388
        assert 0 < oracle < min(ours, grey, mean)
    assert len(rows) == 2


def test_each_working_size_is_measured_and_plotted(benchmark, tmp_path):
    data = flowers(tmp_path / "photos", 1)
    arguments = ("--data", data, "--model", "beta", "--sizes", "16,32", "--limit", "2")
    printed = benchmark("working-size", *arguments, "--plot", tmp_path / "curve.png")
    assert [
        line.split("|")[2].strip() for line in printed.splitlines() if line.startswith("| ")
    ] == [*("16", "32", "16+32")]
    with Image.open(tmp_path / "curve.png") as curve:
        assert curve.width > 400


def test_codec_baseline_prints_the_median_ratio_of_cpu_times(tmp_path, monkeypatch, capsys):
    from benchmarks import codec_baseline

    monkeypatch.setattr(codec_baseline, "SIZES", {"small": ((96, 64), 3)})
    jobs = iter([0.6, 1.2, 1.0] * 2)

    def run_child(arguments, path):
        assert len(list(arguments[1].iterdir())) == 3
        return {"cpu": 0.3 if arguments[0] == "baseline" else next(jobs), "wall": 1.0}

    monkeypatch.setattr(codec_baseline, "_run_child", run_child)
    codec_baseline.measure(tmp_path, argparse.Namespace(pictures=3, rounds=3, other=None))
    shown = capsys.readouterr().out
    for mode in ("L", "RGB"):
        assert f"small {mode}, of the baseline: batchcolor 0.30\n" in shown
        assert f"small {mode}: baseline 100.0 ms of CPU a picture (333.3 on the clock)" in shown


@pytest.mark.slow
def test_codec_baseline_and_job_write_every_picture_in_measured_time(tmp_path):
    from benchmarks import codec_baseline

    plugin = codec_baseline._install_plugin(tmp_path / "site")
    source = codec_baseline._make_folder(tmp_path / "source", (96, 64), 3, "L")
    for kind in ("baseline", "job"):
        target = tmp_path / kind
        seconds = codec_baseline._run_child([kind, source, target], [ROOT, plugin])
        assert seconds["cpu"] > 0
        assert seconds["wall"] > 0
        assert [path.name for path in sorted(target.glob("*.jpg"))] == [
            path.name for path in sorted(source.iterdir())
        ]


def test_codec_baseline_reports_why_a_child_ended(tmp_path):
    from benchmarks import codec_baseline

    with pytest.raises(RuntimeError, match=r"(?s)the baseline ended with code 1.*No such file"):
        codec_baseline._run_child(["baseline", tmp_path / "missing", tmp_path / "out"], [ROOT])


def test_without_a_cuda_device_nothing_is_measured(benchmark, tmp_path, capsys):
    import torch

    if torch.cuda.is_available():
        pytest.skip("this machine has a CUDA device")
    with pytest.raises(SystemExit) as ended:
        benchmark("cuda", "--report", tmp_path / "cuda")
    assert ended.value.code == 2
    assert capsys.readouterr().err.splitlines() == [
        "cuda: torch finds no CUDA device on this machine, so nothing is measured"
    ]
    assert list(tmp_path.iterdir()) == []


def test_figures_of_a_device_are_measured_and_written_as_json_and_markdown(tmp_path, monkeypatch):
    """The functions that measure a CUDA device are run on the CPU."""
    from batchcolor.inference.backends import selection
    from benchmarks import cuda, sample_folder

    monkeypatch.setattr(selection.importlib.util, "find_spec", lambda name: None)  # no exports
    monkeypatch.setattr(cuda, "BATCHES", 2)
    monkeypatch.setattr(sample_folder, "SIZE", (96, 64))
    monkeypatch.setattr(cuda, "SIZES", ((64, 48),))
    monkeypatch.setattr(cuda, "FILM_FRAMES", 4)
    source = sample_folder.make_sample_folder(tmp_path / "source", 3)
    film = cuda.make_film(tmp_path / "film.mp4", 4)
    report = {
        "machine": [cuda.describe_machine()],
        "batches": cuda.measure_batches("cpu", ["beta"], ["float32", "bfloat16"], [1, 3]),
        "in flight": cuda.measure_in_flight("cpu", ["beta"]),
        "jobs": cuda.measure_jobs(tmp_path / "out", source, ["cpu", "cpu,cpu"], ["alpha"], 1),
        "films": cuda.measure_films(tmp_path, film, ["cpu"], ["beta"]),
    }
    cuda.write_report(tmp_path / "cuda", report)
    assert json.loads((tmp_path / "cuda.json").read_text()) == report
    rows = [*report["batches"], *report["jobs"]]
    assert all(row["pictures/s"] > 0 for row in rows)
    assert [row["batch size"] for row in report["batches"]] == [1, 3, 1, 3]
    assert max(row["largest difference"] for row in report["batches"]) < 0.05
    assert report["films"][0]["frames/s"] > 0
    lines = (tmp_path / "cuda.md").read_text().splitlines()
    assert "## In flight" in lines
    assert lines.count("|---|---|---|") == 1
    assert any(re.fullmatch(r"\| alpha \| cpu,cpu \| [0-9.]+ \|", line) for line in lines)


@pytest.mark.slow
def test_tests_marked_cuda_are_run_and_counted(tmp_path):
    from benchmarks import cuda

    counts = cuda.run_marked_tests(tmp_path / "tests.xml")
    assert counts["passed"] + counts["skipped"] >= 4
    assert (counts["failed"], counts["names"]) == (0, "")


def test_the_doubt_of_delta_is_measured_and_its_coefficients_are_fitted(benchmark, tmp_path):
    import shutil

    from batchcolor.inference.weights import verify

    folder = flowers(tmp_path / "flowers", 2)
    for name in ("delta.safetensors", "delta.json"):
        shutil.copy(ROOT / "weights" / name, tmp_path)
    weights, plot = tmp_path / "delta.safetensors", tmp_path / "doubt.png"
    former = verify(weights)
    printed = benchmark("doubt", "--data", folder, "--limit", 6, "--fit", weights, "--plot", plot)
    assert re.search(r"^\d+ photographs, Spearman ", printed, re.MULTILINE)
    assert plot.stat().st_size > 1000
    assert verify(weights) != former
    assert json.loads((tmp_path / "delta.json").read_text())["doubt"]["photographs"] >= 6


def test_the_part_of_delta_that_takes_hints_is_trained_and_all_else_stays(benchmark, tmp_path):
    import shutil

    from safetensors.torch import load_file

    from batchcolor.inference.weights import load, verify
    from batchcolor.models.delta import Delta

    folder = tmp_path / "flowers" / "more"
    folder.parent.mkdir()
    number = len(list(flowers(folder, 1).iterdir()))
    (folder / "notes.txt").write_text("no photograph")
    for name in ("delta.safetensors", "delta.json"):
        shutil.copy(ROOT / "weights" / name, tmp_path)
    weights = tmp_path / "delta.safetensors"
    former = load_file(weights)
    limits = ("--steps", 10, "--folder", tmp_path)
    printed = benchmark("hint-head", "--data", folder.parent, "--fit", weights, *limits)
    assert len(re.findall(r"^step \d+: error 0\.\d+, without hints", printed, re.MULTILINE)) == 10
    verify(weights)
    assert json.loads((tmp_path / "delta.json").read_text())["hints"]["photographs"] == number
    found = load_file(weights)
    assert all((found[name] == former[name]).all() for name in former if "hints." not in name)
    network = Delta()
    load(network, weights)
    assert network.hints.is_trained
