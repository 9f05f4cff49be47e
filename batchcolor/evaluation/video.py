"""`batchcolor evaluate --video`: measures how stable and how true colours of films are.

The luma of a film is colorized with the steps of a job. The chroma is measured before it is
encoded: without stabilization, with `fast` and with `best`; so is the chroma of the film itself.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image

from batchcolor.color import rgb_to_ycbcr
from batchcolor.errors import ProcessingError
from batchcolor.evaluation.flicker import FlickerMeter
from batchcolor.evaluation.halo import HaloMeter
from batchcolor.evaluation.inference import apply_chroma, make_gray
from batchcolor.evaluation.metrics import colorfulness, measure_lab_errors
from batchcolor.evaluation.shot_consistency import SceneMeter, ShotMeter
from batchcolor.evaluation.swing import SwingMeter
from batchcolor.hooks.manager import Plugins
from batchcolor.images.picture import RgbArray
from batchcolor.inference.runner import Runner
from batchcolor.pipeline.options.settings import MAX_PIXELS
from batchcolor.video.color_conversion import to_upright_rgb
from batchcolor.video.input.decoder import VideoDecoder
from batchcolor.video.planes import read_luma
from batchcolor.video.probe import probe
from batchcolor.video.source_info import SourceInfo
from batchcolor.video.temporal.motion import SIDE, Field
from batchcolor.video.temporal.shots import ShotPosition, ShotTracker
from batchcolor.video.temporal.stabilizer import MODES, Stabilize, Stabilizer

REFERENCE_ROW = "truth"
"""Name of the row of the film's own colours."""
WIDTH = 160
"""Width in pixels at which colours are compared; predicted chroma has no finer detail."""
COMPARED_INTERVAL = 5
"""Every fifth frame is compared with its reference, as neighbouring frames are similar."""
MIN_COLORFULNESS = 3.0
"""A film with a lower colorfulness is grey and has no colour error."""


@dataclass
class VideoScores:
    """One model with one stabilization mode on one film; `model` is `truth` for its own colours.

    `delta_e` and `colorful` are means over the frames that were compared; `delta_e` is NaN for a
    grey film. `swing`, `largest_swing`, `shot_difference`, `scene_difference` and `halo` are in
    8-bit levels, NaN where the film has nothing to measure.
    """

    film: Path
    model: str
    stabilize: str
    frames: int
    flicker: float
    drift: float
    swing: float
    largest_swing: float
    shot_difference: float
    scene_difference: float
    halo: float
    delta_e: float
    colorful: float


@dataclass
class _RowMeter:
    """Accumulates the measurements of one row."""

    stabilizer: Stabilizer[_ReferenceFrame]
    swing: SwingMeter
    shot: ShotMeter
    scene: SceneMeter = field(default_factory=SceneMeter)
    halo: HaloMeter = field(default_factory=HaloMeter)
    flicker: FlickerMeter = field(default_factory=FlickerMeter)
    delta_e: list[float] = field(default_factory=list)
    colorful: list[float] = field(default_factory=list)
    frames: int = 0

    def add(self, stabilized: Iterable[tuple[_ReferenceFrame, Field]]) -> None:
        """Measures frames with their final chroma."""
        for frame, chroma in stabilized:
            self.flicker.add(frame.guide, chroma)
            is_shot_start = frame.position.is_shot_start
            self.swing.add(frame.guide, chroma, frame.position.match)
            self.shot.add(frame.guide, chroma, frame.position.match)
            self.scene.add(frame.guide, chroma, is_shot_start=is_shot_start)
            if self.frames % COMPARED_INTERVAL == 0:
                self.halo.add(frame.guide, chroma)
                output = apply_chroma(make_gray(frame.rgb), chroma, 1.0)[None]
                self.delta_e.append(float(measure_lab_errors(frame.rgb[None], output)[1][0]))
                self.colorful.append(float(colorfulness(output)[0]))
            self.frames += 1

    def finish(self) -> None:
        """Measures the frames that are still buffered, and ends the last shot."""
        self.add(self.stabilizer.flush())
        self.shot.finish()
        self.scene.finish()


@dataclass(frozen=True)
class _ReferenceFrame:
    """One upright frame: reduced luma for motion estimation, reduced RGB, its shot position."""

    guide: Field
    rgb: RgbArray
    position: ShotPosition


def evaluate_video(
    films: Sequence[Path],
    runners: Sequence[Runner],
    plugins: Plugins,
    report_progress: Callable[[str, int, int], None],
    *,
    strength: float = 1.0,
) -> tuple[list[VideoScores], list[tuple[str, str]]]:
    """Measures every film; returns the rows, and the films that failed with the reason."""
    rows: list[VideoScores] = []
    failures: list[tuple[str, str]] = []
    for path in films:
        try:
            film = probe(path, MAX_PIXELS)
            for index, runner in enumerate(runners):
                film_rows = _evaluate_film(
                    film, runner, plugins, report_progress, np.float32(strength)
                )
                rows += film_rows[1:] if index else film_rows  # one reference row for each film
        except ProcessingError as error:
            failures.append((str(path), error.reason))
    return rows, failures


def _evaluate_film(
    film: SourceInfo,
    runner: Runner,
    plugins: Plugins,
    report_progress: Callable[[str, int, int], None],
    strength: np.float32,
) -> list[VideoScores]:
    """Returns the row of the reference, then one for each stabilization mode."""
    rate = float(film.rate)
    reference = _make_meter("off", rate)
    meters = {mode: _make_meter(mode, rate) for mode in MODES}
    for batch in _read_batches(film, runner):
        shot_starts = [frame.position.is_shot_start for frame, _ in batch]
        fields = runner.run_frames([square for _, square in batch], shot_starts)
        for (frame, square), chroma in zip(batch, fields, strict=True):
            if isinstance(chroma, ProcessingError):
                raise chroma
            if plugins.filters_chroma:
                chroma = plugins.filter_chroma(chroma, square, film)
            motion = frame.position.match
            true_chroma = _compute_chroma(frame.rgb)
            reference.add(reference.stabilizer.add(frame.guide, true_chroma, frame, motion))
            for meter in meters.values():
                scaled = chroma * strength
                meter.add(meter.stabilizer.add(frame.guide, scaled, frame, motion))
        done = reference.frames
        report_progress(f"{runner.name}: {film.path.name}", done, film.frames or done)
    for meter in (reference, *meters.values()):
        meter.finish()
    has_colour = float(np.mean(reference.colorful)) >= MIN_COLORFULNESS
    reference.delta_e = [0.0]  # exact, without the rounding of its own chroma
    return [
        _make_row(film, REFERENCE_ROW, "", reference, has_colour),
        *(_make_row(film, runner.name, mode, meter, has_colour) for mode, meter in meters.items()),
    ]


def _make_meter(mode: Stabilize, rate: float) -> _RowMeter:
    return _RowMeter(Stabilizer(mode), SwingMeter(rate), ShotMeter(rate))


def _make_row(
    film: SourceInfo, model: str, mode: str, meter: _RowMeter, has_colour: bool
) -> VideoScores:
    return VideoScores(
        *(film.path, model, mode, meter.frames, meter.flicker.flicker, meter.flicker.drift),
        swing=meter.swing.swing,
        largest_swing=meter.swing.largest if math.isfinite(meter.swing.swing) else float("nan"),
        shot_difference=meter.shot.difference,
        scene_difference=meter.scene.difference,
        halo=meter.halo.halo,
        delta_e=float(np.mean(meter.delta_e)) if has_colour else float("nan"),
        colorful=float(np.mean(meter.colorful)),
    )


def _read_batches(
    film: SourceInfo, runner: Runner
) -> Iterator[list[tuple[_ReferenceFrame, Field]]]:
    """Yields batches of frames with the luma square that the model gets."""
    batch: list[tuple[_ReferenceFrame, Field]] = []
    shots = ShotTracker()
    for frame in VideoDecoder(film, strict=False):
        guide = read_luma(frame, film.frame_format, SIDE)
        rgb = to_upright_rgb(frame, film.frame_format, WIDTH)
        reference = _ReferenceFrame(guide, rgb, shots.track(guide))
        batch.append((reference, read_luma(frame, film.frame_format, runner.working_size)))
        if len(batch) == runner.squares_at_once:
            yield batch
            batch = []
    if batch:
        yield batch


def _compute_chroma(rgb: RgbArray) -> Field:
    """Returns Cb and Cr `(2, SIDE, SIDE)` of 8-bit RGB."""
    reduced = Image.fromarray(rgb).resize((SIDE, SIDE), Image.Resampling.BILINEAR)
    red, green, blue = np.moveaxis(np.asarray(reduced, np.float32) / 255, -1, 0)
    _, cb, cr = rgb_to_ycbcr(red, green, blue)
    chroma: Field = np.stack([cb, cr]).astype(np.float32)
    return chroma
