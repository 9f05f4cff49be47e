"""Everything that needs a CUDA device: its tests, and all figures, in a JSON file and a table.

Needs no network: pictures and the film are made from the samples. On a machine without a CUDA
device nothing is measured, and the exit code is 2.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import time
import xml.etree.ElementTree
from collections.abc import Callable, Sequence
from fractions import Fraction
from importlib.metadata import version
from pathlib import Path
from typing import Any

import av
import numpy as np
import torch
from PIL import Image

from batchcolor.hooks.manager import load_plugins
from batchcolor.inference.load_options import LoadOptions
from batchcolor.inference.runner import Runner, Square, load_runner
from batchcolor.models.builtin import BETA, DELTA
from batchcolor.pipeline.job import run
from batchcolor.pipeline.options.settings import RunSettings
from batchcolor.video.probe import probe
from benchmarks.cuda_table import Row, render_table
from benchmarks.films import SIZES, measure_codecs, measure_job, resize_clip
from benchmarks.sample_folder import SAMPLES, make_sample_folder

MODELS = (BETA.name, DELTA.name)
BATCH_SIZES = (1, 8, 16, 32, 64, 128, 256)
PRECISIONS = ("float32", "bfloat16", "float16")
BATCHES, ROUNDS = 12, 3
"""Batches in a measurement, and measurements, of which the fastest counts."""
FILM_FRAMES = 150
CUDA_MARK = "mark.cuda"
NO_DEVICE = "cuda: torch finds no CUDA device on this machine, so nothing is measured"


def measure(folder: Path, options: argparse.Namespace) -> None:
    """Measures everything, writes `--report`.json and .md; exit code 1 if a part failed."""
    if not torch.cuda.is_available():
        print(NO_DEVICE, file=sys.stderr)
        sys.exit(2)
    devices = [f"cuda:{index}" for index in range(torch.cuda.device_count())]
    film = options.film or make_film(folder / "film.mp4", FILM_FRAMES)
    jobs = ["cpu", devices[0], *(["all"] if len(devices) > 1 else [])]
    source = make_sample_folder(folder / "pictures", options.pictures)
    parts: dict[str, Callable[[], list[Row]]] = {
        "tests": lambda: [run_marked_tests(folder / "tests.xml")],
        "batches": lambda: measure_batches(devices[0], MODELS, PRECISIONS, BATCH_SIZES),
        "in flight": lambda: measure_in_flight(devices[0], MODELS),
        "jobs": lambda: measure_jobs(folder / "out", source, jobs, MODELS, options.rounds),
        "films": lambda: measure_films(folder, film, jobs, MODELS),
    }
    report: dict[str, Any] = {"machine": [describe_machine()]}
    is_complete = True
    for name, part in parts.items():
        print(f"cuda: {name}", flush=True)
        try:
            report[name] = part()
        except Exception as error:  # the other figures are worth having
            report[name] = [{"failed": f"{type(error).__name__}: {error}"}]
            is_complete = False
        write_report(options.report, report)
    tests = report["tests"][0]
    print(f"cuda: wrote {options.report}.json and {options.report}.md")
    if not is_complete or tests["failed"] or not tests["passed"]:
        sys.exit(1)


def write_report(stem: Path, report: dict[str, Any]) -> None:
    """Writes both files, also when later parts are still to come."""
    Path(f"{stem}.json").write_text(json.dumps(report, indent=1) + "\n")
    Path(f"{stem}.md").write_text(render_table(report))


def describe_machine() -> Row:
    """Returns names and versions that the figures depend on."""
    names = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
    return {
        "GPU": ", ".join(names) or "none",
        "CPU": f"{platform.machine()}, {os.cpu_count()} cores",
        "Python": platform.python_version(),
        "torch": torch.__version__,
        "CUDA": torch.version.cuda or "none",
        "batchcolor": version("batchcolor"),
    }


def run_marked_tests(result: Path) -> Row:
    """Runs the tests marked `cuda`. Returns the numbers, and the names of those that failed.

    Only their files are collected: importing all others takes longer than the tests.
    """
    root = Path(__file__).parents[1]
    files = [str(path) for path in (root / "tests").rglob("*.py") if CUDA_MARK in path.read_text()]
    command = [sys.executable, "-m", "pytest", "-q", "-m", "cuda", f"--junitxml={result}", *files]
    subprocess.run(command, cwd=root, check=False)
    cases = list(xml.etree.ElementTree.parse(result).iter("testcase"))
    kinds = {
        "failed": [case for case in cases if case.find("failure") is not None],
        "errors": [case for case in cases if case.find("error") is not None],
        "skipped": [case for case in cases if case.find("skipped") is not None],
    }
    failed = kinds["failed"] + kinds["errors"]
    return {
        "passed": len(cases) - len(failed) - len(kinds["skipped"]),
        "failed": len(failed),
        "skipped": len(kinds["skipped"]),
        "names": ", ".join(str(case.get("name")) for case in failed),
    }


def measure_batches(
    device: str, models: Sequence[str], precisions: Sequence[str], batch_sizes: Sequence[int]
) -> list[Row]:
    """Returns pictures per second of the model alone, and the difference from the CPU's chroma."""
    rows: list[Row] = []
    for model in models:
        expected: list[Any] = []
        for precision in precisions:
            for size in batch_sizes:
                runner = _load(model, device, precision, size)
                squares = _make_squares(runner, max(size, 8))
                expected = expected or _load(model, "cpu", "float32", 2).run(squares[:8])
                pairs = zip(runner.run(squares[:8]), expected, strict=True)
                difference = max(float(np.abs(ours - theirs).max()) for ours, theirs in pairs)
                rows.append(
                    {
                        "model": model,
                        "precision": runner.backend.precision,
                        "batch size": size,
                        "pictures/s": _time(runner, squares[:size] * BATCHES, runner.run),
                        "largest difference": round(difference, 5),
                        "GPU memory, MiB": _measure_peak(device, runner, squares[:size]),
                    }
                )
    return rows


def measure_in_flight(device: str, models: Sequence[str]) -> list[Row]:
    """Returns pictures per second with one batch a call, and with several in flight."""
    rows: list[Row] = []
    for model in models:
        runner = _load(model, device, "auto", None)
        squares = _make_squares(runner, runner.batch_size) * BATCHES

        def run_one_by_one(given: Sequence[Square], runner: Runner = runner) -> None:
            for start in range(0, len(given), runner.batch_size):
                runner.run(given[start : start + runner.batch_size])

        rows.append(
            {
                "model": model,
                "batch size": runner.batch_size,
                "one batch, pictures/s": _time(runner, squares, run_one_by_one),
                f"{runner.backend.parallel_batches} batches": _time(runner, squares, runner.run),
            }
        )
    return rows


def measure_jobs(
    folder: Path, source: Path, devices: Sequence[str], models: Sequence[str], rounds: int
) -> list[Row]:
    """Returns pictures per second of whole jobs, start excluded, in alternating rounds."""
    speeds: dict[tuple[str, str], list[float]] = {}
    plugins = load_plugins(False)
    for index in range(rounds):
        for model in models:
            for device in devices:
                output = folder / f"{index}-{model}-{device.replace(':', '')}"
                settings = RunSettings(
                    sources=(str(source),), output=output, model=model, device=device
                )
                report = run(settings, plugins, lambda report: None)
                assert report.exit_code == 0, report.as_json()
                speeds.setdefault((model, device), []).append(report.done / report.seconds)
    return [
        {"model": model, "device": device, "pictures/s": round(float(np.median(values)), 1)}
        for (model, device), values in speeds.items()
    ]


def measure_films(
    folder: Path, film: Path, devices: Sequence[str], models: Sequence[str]
) -> list[Row]:
    """Returns frames per second of films, and their share of decoding and encoding alone."""
    rows: list[Row] = []
    for size in SIZES:
        clip = resize_clip(film, folder / f"{size[0]}.mp4", size, FILM_FRAMES)
        baseline = measure_codecs(probe(clip, 10**9), folder / "baseline")
        for model in models:
            for device in devices:
                output = folder / f"film-{size[0]}-{model}-{device.replace(':', '')}"
                speed = measure_job(clip, output, model, "fast", 1, device)
                rows.append(
                    {
                        "size": f"{size[0]} x {size[1]}",
                        "model": model,
                        "device": device,
                        "frames/s": round(speed, 1),
                        "baseline, frames/s": round(baseline, 1),
                        "share": round(speed / baseline, 2),
                    }
                )
    return rows


def make_film(target: Path, frames: int) -> Path:
    """Writes a film that pans over a sample photograph."""
    with Image.open(sorted(SAMPLES.glob("*.jpg"))[0]) as image:
        photograph = image.convert("L").convert("RGB").resize((1600, 1000))
    with av.open(str(target), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"crf": "18"})
        stream.width, stream.height, stream.pix_fmt = 1280, 720, "yuv420p"
        for index in range(frames):
            left, top = (round(share * index / frames) for share in (320, 280))
            crop = photograph.crop((left, top, left + 1280, top + 720))
            frame = av.VideoFrame.from_ndarray(np.asarray(crop), format="rgb24")
            frame.pts, frame.time_base = index, Fraction(1, 25)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return target


def _load(model: str, device: str, precision: str, batch_size: int | None) -> Runner:
    loading = LoadOptions(
        device=device, precision=precision, batch_size=batch_size, backend="torch"
    )
    return load_runner(load_plugins(False).find(model), loading)


def _make_squares(runner: Runner, count: int) -> list[Square]:
    side = runner.working_size
    return list(np.random.default_rng(0).random((count, side, side), np.float32))


def _time(runner: Runner, squares: Sequence[Square], work: Callable[[Any], object]) -> float:
    """Returns pictures per second of the fastest round, after one that does not count."""
    work(squares[: runner.squares_at_once])
    seconds = []
    for _ in range(ROUNDS):
        started = time.perf_counter()
        work(squares)
        seconds.append(time.perf_counter() - started)
    return round(len(squares) / min(seconds), 1)


def _measure_peak(device: str, runner: Runner, squares: Sequence[Square]) -> int:
    """Returns the peak memory of a call on a CUDA device in MiB; 0 on others."""
    if not device.startswith("cuda"):
        return 0
    torch.cuda.reset_peak_memory_stats(device)
    runner.run(squares)
    return round(torch.cuda.max_memory_allocated(device) / 2**20)
