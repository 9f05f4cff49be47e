"""`batchcolor evaluate --video`: flicker, drift and colour error of a model on films in colour.

The luma of a film is colorized with the steps of a job. The chroma is measured before it is
encoded: without stabilization, with `fast` and `best`, and beside the film's own chroma.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image

from batchcolor.color import rgb_to_ycbcr
from batchcolor.errors import ProcessingError
from batchcolor.evaluation.flicker import Flicker
from batchcolor.evaluation.inference import RGB, apply_chroma, make_gray
from batchcolor.evaluation.metrics import colorfulness, measure_lab_errors
from batchcolor.hooks.manager import Plugins
from batchcolor.inference.runner import Runner
from batchcolor.pipeline.settings import MAX_PIXELS
from batchcolor.video.color_conversion import to_upright_rgb
from batchcolor.video.input.decoder import VideoDecoder
from batchcolor.video.planes import frame_luma
from batchcolor.video.probe import probe
from batchcolor.video.source_info import SourceInfo
from batchcolor.video.temporal.motion import SIDE, Field
from batchcolor.video.temporal.shots import ShotPosition, ShotTracker
from batchcolor.video.temporal.stabilizer import MODES, Stabilizer

TRUTH = "truth"
WIDTH = 160
"""Width in pixels at which colours are compared; predicted chroma has no finer detail."""
EVERY = 5
"""Every fifth frame is compared with the truth, as neighbouring frames hardly differ."""
GREY = 3.0
"""A film with a lower colorfulness is grey: there is no colour to compare with."""


@dataclass
class VideoScores:
    """One model with one stabilization mode on one film; `model` is `truth` for its own colours.

    `delta_e` and `colorful` are means over the frames that were compared; `delta_e` is NaN where
    the film has no colours.
    """

    film: Path
    model: str
    stabilize: str
    frames: int
    flicker: float
    drift: float
    delta_e: float
    colorful: float


@dataclass
class _Sum:
    """Accumulates the measurements of one row."""

    steady: Stabilizer[_Seen]
    flicker: Flicker = field(default_factory=Flicker)
    delta_e: list[float] = field(default_factory=list)
    colorful: list[float] = field(default_factory=list)
    frames: int = 0

    def take(self, ready: Sequence[tuple[_Seen, Field]]) -> None:
        """Measure frames with their final chroma."""
        for seen, chroma in ready:
            self.flicker.add(seen.guide, chroma)
            if self.frames % EVERY == 0:
                shown = apply_chroma(make_gray(seen.truth), chroma, 1.0)[None]
                self.delta_e.append(float(measure_lab_errors(seen.truth[None], shown)[1][0]))
                self.colorful.append(float(colorfulness(shown)[0]))
            self.frames += 1


@dataclass(frozen=True)
class _Seen:
    """One upright frame: small luma for motion estimation, small RGB, and its shot position."""

    guide: Field
    truth: RGB
    place: ShotPosition


def evaluate_video(
    films: Sequence[Path],
    runners: Sequence[Runner],
    plugins: Plugins,
    watch: Callable[[str, int, int], None],
    *,
    strength: float = 1.0,
) -> tuple[list[VideoScores], list[tuple[str, str]]]:
    """Measure every film; return the rows, and the films that failed with the reason."""
    rows: list[VideoScores] = []
    failures: list[tuple[str, str]] = []
    for path in films:
        try:
            film = probe(path, MAX_PIXELS)
            truth = None
            for runner in runners:
                found = list(_measured(film, runner, plugins, watch, np.float32(strength)))
                rows += found if truth is None else found[1:]
                truth = found[0]
        except ProcessingError as error:
            failures.append((str(path), error.reason))
    return rows, failures


def _measured(
    film: SourceInfo,
    runner: Runner,
    plugins: Plugins,
    watch: Callable[[str, int, int], None],
    strength: np.float32,
) -> Iterator[VideoScores]:
    """Yield the row of the truth, then one for each stabilization mode."""
    own = _Sum(Stabilizer("off"))
    sums = {mode: _Sum(Stabilizer(mode)) for mode in MODES}
    for batch in _batches(film, runner):
        begins = [seen.place.is_shot_start for seen, _ in batch]
        fields = runner.run_frames([square for _, square in batch], begins)
        for (seen, square), chroma in zip(batch, fields, strict=True):
            if isinstance(chroma, ProcessingError):
                raise chroma
            if plugins.filters_chroma:
                chroma = plugins.filter_chroma(chroma, square, film)
            found = seen.place.match
            own.take(own.steady.add(seen.guide, _chroma_of(seen.truth), seen, found))
            for row in sums.values():
                row.take(row.steady.add(seen.guide, chroma * strength, seen, found))
        watch(f"{runner.name}: {film.path.name}", own.frames, film.frames or own.frames)
    for row in sums.values():
        row.take(row.steady.flush())
    coloured = float(np.mean(own.colorful)) >= GREY
    yield _row(film, TRUTH, "", own, coloured)
    for mode, row in sums.items():
        yield _row(film, runner.name, mode, row, coloured)


def _row(film: SourceInfo, model: str, mode: str, row: _Sum, coloured: bool) -> VideoScores:
    delta_e = float(np.mean(row.delta_e)) if coloured else float("nan")
    return VideoScores(
        *(film.path, model, mode, row.frames, row.flicker.flicker, row.flicker.drift),
        delta_e=delta_e if model != TRUTH else 0.0 if coloured else delta_e,
        colorful=float(np.mean(row.colorful)),
    )


def _batches(film: SourceInfo, runner: Runner) -> Iterator[list[tuple[_Seen, Field]]]:
    """Yield batches of frames with the luma square that the model gets."""
    batch: list[tuple[_Seen, Field]] = []
    shots = ShotTracker()
    for frame in VideoDecoder(film, strict=False):
        guide = frame_luma(frame, film.frame_format, SIDE)
        seen = _Seen(guide, to_upright_rgb(frame, film.frame_format, WIDTH), shots.track(guide))
        batch.append((seen, frame_luma(frame, film.frame_format, runner.working_size)))
        if len(batch) == runner.batch_size:
            yield batch
            batch = []
    if batch:
        yield batch


def _chroma_of(rgb: RGB) -> Field:
    """Cb and Cr `(2, SIDE, SIDE)` of 8-bit RGB."""
    small = Image.fromarray(rgb).resize((SIDE, SIDE), Image.Resampling.BILINEAR)
    red, green, blue = np.moveaxis(np.asarray(small, np.float32) / 255, -1, 0)
    _, cb, cr = rgb_to_ycbcr(red, green, blue)
    chroma: Field = np.stack([cb, cr]).astype(np.float32)
    return chroma
