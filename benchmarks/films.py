"""Frames per second of films: the whole job, and decoding and encoding alone (the baseline)."""

from __future__ import annotations

import argparse
import shutil
import sys
import time
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from batchcolor.hooks.manager import load_plugins
from batchcolor.images.formats import MP4
from batchcolor.pipeline.job import run
from batchcolor.pipeline.options.settings import RunSettings
from batchcolor.video.input.decoder import VideoDecoder
from batchcolor.video.output.codecs import VideoSettings
from batchcolor.video.output.encoders import create_encoder
from batchcolor.video.output.output_spec import resolve_output_spec
from batchcolor.video.planes import view_plane
from batchcolor.video.probe import probe
from batchcolor.video.source_info import SourceInfo
from batchcolor.video.temporal.stabilizer import Stabilize

SIZES = ((640, 480), (1280, 720))
FRAMES, RATE = 150, 25
MODES: tuple[tuple[Stabilize, int], ...] = (
    *(("off", 1), ("fast", 1), ("best", 1)),
    *(("fast", 2), ("fast", 4), ("best", 4)),
)
"""Stabilization mode, and the interval in frames at which the model runs."""


def resize_clip(source: Path, target: Path, size: tuple[int, int], frames: int) -> Path:
    """Writes the first frames of a film at another size."""
    with av.open(str(source)) as original, av.open(str(target), "w") as resized:
        stream = resized.add_stream("libx264", rate=RATE, options={"crf": "18"})
        stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
        for index, frame in enumerate(original.decode(video=0)):
            if index == frames:
                break
            small = frame.reformat(width=size[0], height=size[1], format="yuv420p")
            small.pts, small.time_base, small.pict_type = index, Fraction(1, RATE), 0
            resized.mux(stream.encode(small))
        resized.mux(stream.encode(None))
    return target


def measure_codecs(film: SourceInfo, target: Path) -> float:
    """Returns frames per second of decoding and encoding alone: luma unchanged, chroma constant."""
    output = resolve_output_spec(film, VideoSettings(), MP4)
    encoder = create_encoder(output)
    started, count = time.perf_counter(), 0
    with target.open("wb") as file:
        for frame in VideoDecoder(film, output.frame_format, strict=False):
            frame.make_writable()
            for index in (1, 2):
                view_plane(frame, index)[...] = 120 + 10 * index
            frame.pict_type = 0
            file.writelines(bytes(packet) for packet in encoder.encode(frame))
            count += 1
        file.writelines(bytes(packet) for packet in encoder.encode(None))
    return count / (time.perf_counter() - started)


def measure_job(
    clip: Path, output: Path, model: str, stabilize: Stabilize, every: int, device: str = "auto"
) -> float:
    """Returns frames per second of the whole job, without the loading of the model."""
    settings = RunSettings(
        sources=(str(clip),),
        output=output,
        model=model,
        stabilize=stabilize,
        every=every,
        device=device,
    )
    report = run(settings, load_plugins(), lambda report: None)
    assert report.done == 1, report.as_json()
    return report.frame_rate


def measure(folder: Path, options: argparse.Namespace) -> None:
    """Prints frames per second for each size and mode, and the share of the baseline."""
    if options.film is None:
        sys.exit("films: needs --film, a film whose frames are used")
    for size in SIZES:
        clip = resize_clip(options.film, folder / f"{size[0]}.mp4", size, FRAMES)
        film = probe(clip, 10**9)
        baseline: list[float] = []
        rows: dict[str, list[float]] = {}
        for _ in range(options.rounds):  # alternating, so that other load affects all of them
            baseline.append(measure_codecs(film, folder / "baseline"))
            for mode, every in MODES:
                shutil.rmtree(folder / "out", ignore_errors=True)
                speed = measure_job(clip, folder / "out", options.model, mode, every)
                rows.setdefault(f"{mode}, every {every}", []).append(speed)
        print(f"{size[0]}x{size[1]}: decoding and encoding alone {np.mean(baseline):.1f} frames/s")
        for name, speeds in rows.items():
            share = np.mean(speeds) / np.mean(baseline)
            print(f"  {name}: {np.mean(speeds):.1f} frames/s, {share:.2f} of the baseline")
