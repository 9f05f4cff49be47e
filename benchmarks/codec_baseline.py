"""Pictures per second of a job with constant chroma, and of the codecs alone.

The baseline decodes the luma of each file and encodes it with one chroma by simplejpeg, in as many
threads, with files read and written. Start is excluded: each child does one picture first.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import simplejpeg
from PIL import Image

QUALITY = 96
SIZES = {"12 MP": ((4000, 3000), 24), "1 MP": ((1152, 896), 200)}
"""Size and number of the pictures."""
PLUGIN = """
import batchcolor

class ConstantChroma:
    def __call__(self, luma):
        return luma.new_tensor([-0.05, 0.08]).view(1, 2, 1, 1).expand(len(luma), 2, 4, 4)

@batchcolor.hookimpl
def batchcolor_colorizers():
    summary = "one colour everywhere"
    return [batchcolor.ColorizerSpec("constant-chroma", summary, 16, lambda _: ConstantChroma())]
"""


def measure(folder: Path, options: argparse.Namespace) -> None:
    """Prints, for each size and mode, the ratio of the baseline to the job, in CPU time."""
    checkouts = {"batchcolor": Path.cwd(), **({"other": options.other} if options.other else {})}
    plugin = _install_plugin(folder / "site")
    for label, (size, most) in SIZES.items():
        for mode in ("L", "RGB"):
            count = min(most, options.pictures)
            source = _make_folder(folder / f"{label} {mode}", size, count, mode)
            ratios: dict[str, list[float]] = {name: [] for name in checkouts}
            for index in range(options.rounds):
                target = folder / f"{label}{mode}{index}"
                baseline = _run_child(["baseline", source, target / "baseline"], [Path.cwd()])
                shown = [f"baseline {_show(baseline, count)}"]
                for name, checkout in checkouts.items():
                    job = _run_child(["job", source, target / name], [checkout, plugin])
                    ratios[name].append(baseline["cpu"] / job["cpu"])
                    shown.append(f"{name} {_show(job, count)}")
                print(f"codec-baseline, {label} {mode}: {', '.join(shown)}", flush=True)
            medians = ", ".join(f"{name} {statistics.median(r):.2f}" for name, r in ratios.items())
            print(f"codec-baseline, {label} {mode}, of the baseline: {medians}", flush=True)


def _show(seconds: dict[str, float], count: int) -> str:
    cpu, wall = (1000 * seconds[name] / count for name in ("cpu", "wall"))
    return f"{cpu:.1f} ms of CPU a picture ({wall:.1f} on the clock)"


def _make_folder(folder: Path, size: tuple[int, int], count: int, mode: str) -> Path:
    """Writes JPEGs of one size: up to 8 different ones, with hard links to them."""
    from benchmarks.sample_folder import make_sample_folder

    originals = make_sample_folder(folder / "originals", min(8, count))
    pictures = folder / "pictures"
    pictures.mkdir()
    for index, path in enumerate(sorted(originals.iterdir())):
        with Image.open(path) as image:
            enlarged = image.convert("L").resize(size, Image.Resampling.BICUBIC)
        grain = np.random.default_rng(index).normal(0, 4, size[::-1])
        pixels = (np.asarray(enlarged) + grain).clip(0, 255).astype(np.uint8)
        first = pictures / f"{index:04d}.jpg"
        Image.fromarray(pixels).convert(mode).save(first, quality=85)
        for copy in range(index + 8, count, 8):
            (pictures / f"{copy:04d}.jpg").hardlink_to(first)
    return pictures


def _install_plugin(site: Path) -> Path:
    """Makes a folder for PYTHONPATH with a package that registers the colorizer."""
    info = site / "constant_chroma-1.0.dist-info"
    info.mkdir(parents=True)
    (site / "constant_chroma.py").write_text(PLUGIN)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: constant-chroma\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[batchcolor]\nconstant-chroma = constant_chroma\n")
    return site


def _run_child(arguments: list[str | Path], path: list[Path]) -> dict[str, float]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, path))}
    command = [sys.executable, "-P", __file__, *map(str, arguments)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"the {arguments[0]} ended with code {done.returncode}: {done.stderr}")
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def run_baseline(source: Path, target: Path) -> None:
    """Decodes the luma of every file and encodes it with one chroma."""
    target.mkdir(parents=True)

    def recode(path: Path) -> None:
        luma = simplejpeg.decode_jpeg(path.read_bytes(), "GRAY")[..., 0]
        height, width = (side + 1 >> 1 for side in luma.shape)
        cb, cr = np.full((height, width), 115, np.uint8), np.full((height, width), 148, np.uint8)
        data = simplejpeg.encode_jpeg_yuv_planes(luma, cb, cr, quality=QUALITY, fastdct=False)
        (target / path.name).write_bytes(data)

    with ThreadPoolExecutor(os.cpu_count()) as threads:
        list(threads.map(recode, sorted(source.iterdir())))


def run_job(source: Path, target: Path) -> None:
    """Colours every file with one chroma."""
    import batchcolor

    report = batchcolor.run(source, output=target, model="constant-chroma", device="cpu")
    if report.exit_code:
        raise RuntimeError(report.message)


def main() -> None:
    kind, source, target = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
    work = {"baseline": run_baseline, "job": run_job}[kind]
    first = target.parent / f"{target.name}-first"
    (first / "in").mkdir(parents=True)
    (first / "in" / "0.jpg").hardlink_to(min(source.iterdir()))
    work(first / "in", first / "out")
    started, cpu = time.monotonic(), time.process_time()
    work(source, target)
    print(json.dumps({"wall": time.monotonic() - started, "cpu": time.process_time() - cpu}))


if __name__ == "__main__":
    main()
