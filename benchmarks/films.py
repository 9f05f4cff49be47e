"""Films: decode and encode alone with one chroma (the floor), beside the whole job with a model."""

from __future__ import annotations

import argparse
import shutil
import sys
import time
from pathlib import Path

import av
import numpy as np

from batchcolor.hooks.manager import load_plugins
from batchcolor.images.formats import MP4
from batchcolor.pipeline.job import run
from batchcolor.pipeline.settings import RunSettings
from batchcolor.video.input.decoder import VideoDecoder
from batchcolor.video.output.codecs import VideoSettings
from batchcolor.video.output.encoders import create_encoder
from batchcolor.video.output.output_spec import resolve_output_spec
from batchcolor.video.planes import plane_view
from batchcolor.video.probe import probe
from batchcolor.video.source_info import SourceInfo
from batchcolor.video.temporal.stabilizer import Stabilize

SIZES = ((640, 480), (1280, 720))
FRAMES = 150
WAYS: tuple[tuple[Stabilize, int], ...] = (
    *(("off", 1), ("fast", 1), ("best", 1)),
    *(("fast", 2), ("fast", 4), ("best", 4)),
)
"""Stabilization mode, and the interval in frames at which the model runs."""


def enlarged(source: Path, target: Path, size: tuple[int, int], frames: int) -> Path:
    """The first frames of a film at another size: so many sources serve every comparison."""
    with av.open(str(source)) as old, av.open(str(target), "w") as new:
        stream = new.add_stream("libx264", rate=25, options={"crf": "18"})
        stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
        for index, frame in enumerate(old.decode(video=0)):
            if index == frames:
                break
            made = frame.reformat(width=size[0], height=size[1], format="yuv420p")
            made.pts, made.time_base, made.pict_type = index, 1 / stream.average_rate, 0
            new.mux(stream.encode(made))
        new.mux(stream.encode(None))
    return target


def floor(film: SourceInfo, place: Path) -> float:
    """Frames a second of decoding and encoding alone, luma passed through, chroma constant."""
    output = resolve_output_spec(film, VideoSettings(), MP4)
    encoder = create_encoder(output)
    begun, count = time.perf_counter(), 0
    with place.open("wb") as file:
        for frame in VideoDecoder(film, output.frame_format, strict=False):
            frame.make_writable()
            for index in (1, 2):
                plane_view(frame, index)[...] = 120 + 10 * index
            frame.pict_type = 0
            file.writelines(bytes(packet) for packet in encoder.encode(frame))
            count += 1
        file.writelines(bytes(packet) for packet in encoder.encode(None))
    return count / (time.perf_counter() - begun)


def job(clip: Path, output: Path, model: str, stabilize: Stabilize, every: int) -> float:
    """Frames a second of the whole job, its model loaded before."""
    settings = RunSettings(
        sources=(str(clip),), output=output, model=model, stabilize=stabilize, every=every
    )
    report = run(settings, load_plugins(), lambda report: None)
    assert report.done == 1, report.as_json()
    return report.frame_rate


def measure(folder: Path, options: argparse.Namespace) -> None:
    """Prints a line for each size and mode: frames a second, and the share of the floor."""
    if options.film is None:
        sys.exit("films: name one with --film")
    for size in SIZES:
        clip = enlarged(options.film, folder / f"{size[0]}.mp4", size, FRAMES)
        film = probe(clip, 10**9)
        bottom, rows = [], {}
        for _ in range(options.rounds):  # in turns: the machine may be busy with other work
            bottom.append(floor(film, folder / "floor"))
            for mode, every in WAYS:
                shutil.rmtree(folder / "out", ignore_errors=True)
                speed = job(clip, folder / "out", options.model, mode, every)
                rows.setdefault(f"{mode}, every {every}", []).append(speed)
        print(f"{size[0]}x{size[1]}: floor {np.mean(bottom):.1f} frames/s")
        for mode, speeds in rows.items():
            share = np.mean(speeds) / np.mean(bottom)
            print(f"  {mode}: {np.mean(speeds):.1f} frames/s, {share:.2f} of the floor")
