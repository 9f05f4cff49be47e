"""Shots of one scene have one palette: a shot that returns gets the colours it had before."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from batchcolor.video.temporal.motion import SIDE, Field
from batchcolor.video.temporal.scenes import MAX_SCENES, ScenePalettes
from batchcolor.video.temporal.shots import ShotTracker
from batchcolor.video.temporal.stabilizer import Stabilizer


def make_luma(seed: int, frame: int = 0) -> Field:
    """Luma of broad shapes with a little grain; each seed is another scene."""
    shapes = np.random.default_rng(seed).random((7, 7), np.float32)
    broad = np.asarray(Image.fromarray(shapes).resize((SIDE, SIDE), Image.Resampling.BICUBIC))
    grain = np.random.default_rng(1000 * seed + frame).normal(0, 0.01, (SIDE, SIDE))
    return np.clip(0.1 + 0.8 * broad + grain, 0, 1).astype(np.float32)


def tint_by_luma(guide: Field, dark: float, bright: float) -> Field:
    """Chroma that goes from `dark` to `bright` with luma; Cr is the negative of Cb."""
    cb = dark + (bright - dark) * guide
    return np.stack([cb, -cb]).astype(np.float32)


SHOTS = [(1, 0.02, 0.10), (2, -0.05, -0.05), (1, 0.10, -0.02)]
"""Seed and chroma of dark and bright areas: the third shot is the first one in other colours."""


def make_film(length: int = 12) -> tuple[list[Field], list[Field]]:
    guides, fields = [], []
    for number, (seed, dark, bright) in enumerate(SHOTS):
        for frame in range(length):
            guides.append(make_luma(seed, number * length + frame))
            fields.append(tint_by_luma(guides[-1], dark, bright))
    return guides, fields


def stabilize(mode: str, guides: list[Field], fields: list[Field]) -> list[Field]:
    stabilizer: Stabilizer[int] = Stabilizer(mode)  # type: ignore[arg-type]
    tracker, returned = ShotTracker(), []
    for index, (guide, field) in enumerate(zip(guides, fields, strict=True)):
        returned += stabilizer.add(guide, field, index, tracker.track(guide).match)
    return [field for _, field in returned + stabilizer.flush()]


@pytest.mark.parametrize("mode", ["fast", "best"])
def test_a_shot_that_returns_gets_its_former_colours_in_dark_and_bright_areas(mode):
    guides, fields = make_film()
    before = tint_by_luma(guides[30], *SHOTS[0][1:])
    assert np.abs(fields[30] - before).mean() > 0.03
    assert np.abs(stabilize(mode, guides, fields)[30] - before).mean() < 0.01


def test_off_changes_no_shot():
    guides, fields = make_film()
    result = stabilize("off", guides, fields)
    assert all((one == other).all() for one, other in zip(result, fields, strict=True))


def test_a_new_shot_keeps_its_colours():
    guides, fields = make_film()
    alone = stabilize("fast", guides[12:24], fields[12:24])
    assert np.array_equal(stabilize("fast", guides, fields)[12:24], alone)


def test_flat_frames_are_no_scene_that_returns():
    flat = [np.full((SIDE, SIDE), level, np.float32) for level in (0.2, 0.9)]
    palettes = ScenePalettes()
    for shot, guide in enumerate(flat * 2):
        chroma = np.full((2, SIDE, SIDE), 0.1 * shot - 0.1, np.float32)
        palettes = palettes.begin_shot(shot, [guide], [chroma]).observe(guide, chroma)
        assert palettes.change is None
    assert len(palettes.scenes) == 4


def test_the_number_of_scenes_is_bounded_and_the_one_seen_last_is_kept():
    palettes = ScenePalettes()
    chroma = np.zeros((2, SIDE, SIDE), np.float32)
    for seed in range(MAX_SCENES + 2):
        guides = [make_luma(0 if seed % 10 == 0 else seed)]
        palettes = palettes.begin_shot(seed, guides, [chroma]).observe(guides[0], chroma)
    assert len(palettes.scenes) <= MAX_SCENES
    assert palettes.begin_shot(999, [make_luma(0)], [chroma]).scenes[-1].shot == 0


def test_a_film_that_is_resumed_in_a_shot_that_returned_has_the_same_chroma():
    guides, fields = make_film(length=30)

    def run(start: int, state: dict) -> list[tuple[int, Field, dict]]:
        stabilizer: Stabilizer[int] = Stabilizer("fast")
        stabilizer.restore(state)
        first = max(start - 1, 0)
        tracker, returned = ShotTracker(first, first // 30 * 30), []
        for number in range(first, len(guides)):
            match = tracker.track(guides[number]).match
            if number >= start:
                block = stabilizer.add(guides[number], fields[number], number, match)
                returned += [(owner, field, stabilizer.state()) for owner, field in block]
        last = stabilizer.flush()
        return returned + [(owner, field, stabilizer.state()) for owner, field in last]

    whole = run(0, {})
    for start in (8, 60, 68):  # the first frames of blocks of the first shot and of the last one
        resumed = run(start, whole[start][2])
        for one, other in zip(whole[start:], resumed, strict=True):
            assert one[0] == other[0]
            assert np.array_equal(one[1], other[1])


EXPOSURE = """
    import batchcolor

    def exposure(luma):
        import torch
        tint = (luma.mean(dim=(1, 2, 3)) - 0.45) * 2
        return torch.stack([tint, -tint], 1)[:, :, None, None].expand(-1, 2, 8, 8)

    @batchcolor.hookimpl
    def batchcolor_colorizers():
        return [batchcolor.ColorizerSpec("exposure", "e", 16, lambda options: exposure)]
"""


def write_film(path: Path, lumas: list[Field]) -> Path:
    with av.open(str(path), "w") as film:
        stream = film.add_stream("ffv1", rate=Fraction(12))
        stream.width, stream.height, stream.pix_fmt = 96, 96, "yuv420p"
        for luma in lumas:
            grey = Image.fromarray((16 + 219 * luma).astype(np.uint8)).resize((96, 96))
            frame = av.VideoFrame.from_ndarray(np.full((144, 96), 128, np.uint8), format="yuv420p")
            plane = np.frombuffer(frame.planes[0], np.uint8).reshape(96, -1)
            plane[:, :96] = np.asarray(grey)
            film.mux(stream.encode(frame))
        film.mux(stream.encode())
    return path


def read_chroma(path: Path) -> np.ndarray:
    with av.open(str(path)) as film:
        frames = [frame.to_ndarray(format="yuv444p") for frame in film.decode(video=0)]
    return np.stack([frame[1:].astype(float).mean(axis=(1, 2)) - 128 for frame in frames])


def test_command_gives_a_darker_shot_of_the_same_scene_the_same_colours(plugin, command, tmp_path):
    plugin("exposurepack", EXPOSURE)
    lumas = [make_luma(1, n) for n in range(10)] + [make_luma(2, n) for n in range(10)]
    lumas += [0.8 * make_luma(1, n) for n in range(10)]
    source, chroma = write_film(tmp_path / "film.mkv", lumas), {}
    for mode in ("off", "fast"):
        arguments = ("-m", "exposure", "--codec", "ffv1", "--stabilize", mode)
        done = command("run", source, "-o", tmp_path / mode, *arguments)
        assert done.returncode == 0, done.stderr
        chroma[mode] = read_chroma(tmp_path / mode / "film.mkv")
    assert np.abs(chroma["off"][25] - chroma["off"][5]).max() > 10
    assert np.abs(chroma["fast"][25] - chroma["fast"][5]).max() < 4
    assert np.abs(chroma["fast"][15] - chroma["off"][15]).max() < 2
