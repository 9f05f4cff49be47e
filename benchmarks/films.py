"""Films: decode and encode alone with one chroma (the floor), beside the whole job with a model."""

from __future__ import annotations

import shutil
import tempfile
import time
from pathlib import Path

import av
import numpy as np

from batchcolor.films.codecs import FilmSettings
from batchcolor.films.film import Film, inspect
from batchcolor.films.planes import plane_view
from batchcolor.films.reader import Frames
from batchcolor.films.timing import survey
from batchcolor.films.writer import FilmWriter, as_written
from batchcolor.hooks.manager import load_plugins
from batchcolor.job.session import run
from batchcolor.job.settings import RunSettings
from batchcolor.pictures.formats import MP4

SIZES = ((640, 480), (1280, 720))
ROUNDS = 2


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


def floor(film: Film, place: Path) -> float:
    """Frames a second of decoding and encoding alone, luma passed through, chroma constant."""
    settings = FilmSettings()
    film = as_written(film, settings)
    begun = time.perf_counter()
    writer = FilmWriter(place, film, settings, MP4, survey(film))
    for frame in Frames(film, strict=False):
        frame.make_writable()
        for index in (1, 2):
            plane_view(frame, index)[...] = 120 + 10 * index
        writer.write(frame)
    writer.finish()
    return writer.frames / (time.perf_counter() - begun)


def job(clip: Path, output: Path, model: str, stabilize: str) -> float:
    """Frames a second of the whole job, its model loaded before."""
    settings = RunSettings((str(clip),), output, model=model, stabilize=stabilize)  # type: ignore[arg-type]
    report = run(settings, load_plugins(), lambda report: None)
    assert report.done == 1, report.as_json()
    return report.frame_rate


def measure(source: Path, models: tuple[str, ...] = ("beta",), frames: int = 200) -> None:
    """Prints a line for each size, model and mode: frames a second, and the share of the floor."""
    with tempfile.TemporaryDirectory() as folder:
        for size in SIZES:
            clip = enlarged(source, Path(folder, f"{size[0]}.mp4"), size, frames)
            film = inspect(clip, 10**9)
            bottom, rows = [], {}
            for _ in range(ROUNDS):  # in turns: the machine may be busy with other work
                bottom.append(floor(film, Path(folder, "floor.mp4")))
                for model in models:
                    for mode in ("off", "fast", "best"):
                        output = Path(folder, "out")
                        shutil.rmtree(output, ignore_errors=True)
                        rows.setdefault((model, mode), []).append(job(clip, output, model, mode))
            print(f"{size[0]}x{size[1]}: floor {np.mean(bottom):.1f} frames/s")
            for (model, mode), speeds in rows.items():
                share = np.mean(speeds) / np.mean(bottom)
                print(f"  {model} {mode}: {np.mean(speeds):.1f} frames/s, {share:.2f} of the floor")
