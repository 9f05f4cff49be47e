"""Colours across the shots of a film: scenes that return, references, one palette for all."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from batchcolor.images.chroma_moments import measure_moments
from batchcolor.inference.reference_library import ReferenceLibrary
from batchcolor.video.temporal.film_colors import ColorRules
from batchcolor.video.temporal.motion import SIDE, Field
from batchcolor.video.temporal.scenes import MAX_SCENES, ScenePalettes
from batchcolor.video.temporal.shot_palette import ShotReference
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


def add_bars(guide: Field) -> Field:
    """The frame in letterbox format: a quarter of it is black."""
    small = Image.fromarray(guide).resize((SIDE, 48), Image.Resampling.BILINEAR)
    framed = np.zeros((SIDE, SIDE), np.float32)
    framed[8:56] = np.asarray(small)
    return framed


def test_bars_do_not_make_shots_alike():
    palettes = ScenePalettes()
    chroma = np.zeros((2, SIDE, SIDE), np.float32)
    for shot, seed in enumerate((1, 2, 3, 4, 5, 6, 1)):
        guide = add_bars(make_luma(seed, shot))
        palettes = palettes.begin_shot(shot, [guide], [chroma]).observe(guide, chroma)
        assert (palettes.change is not None) == (shot == 6)


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
    guides, fields = make_film(length=40)

    def run(start: int, state: dict) -> list[tuple[int, Field, dict]]:
        stabilizer: Stabilizer[int] = Stabilizer("fast")
        stabilizer.restore(state)
        first = max(start - 1, 0)
        tracker, returned = ShotTracker(first, first // 40 * 40), []
        for number in range(first, len(guides)):
            match = tracker.track(guides[number]).match
            if number >= start:
                block = stabilizer.add(guides[number], fields[number], number, match)
                returned += [(owner, field, stabilizer.state()) for owner, field in block]
        last = stabilizer.flush()
        return returned + [(owner, field, stabilizer.state()) for owner, field in last]

    whole = run(0, {})
    for start in (8, 80, 88):  # the first frames of blocks of the first shot and of the last one
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


TINTS = [(0.10, 0.10), (-0.06, -0.02), (0.02, -0.08), (-0.10, 0.04)]
"""Chroma of dark and bright areas of four shots of different scenes."""


def make_tinted_film(length: int = 9) -> tuple[list[Field], list[Field]]:
    guides = [make_luma(10 + n // length, n) for n in range(length * len(TINTS))]
    return guides, [tint_by_luma(it, *TINTS[n // length]) for n, it in enumerate(guides)]


def run_film(
    guides: list[Field], fields: list[Field], rules: ColorRules, start: int = 0, state=None
) -> list[tuple[Field, dict]]:
    stabilizer: Stabilizer[int] = Stabilizer("fast", 1, rules)
    stabilizer.restore(state or {})
    first = max(start - 1, 0)
    tracker, returned = ShotTracker(first, first), []
    for number in range(first, len(guides)):
        match = tracker.track(guides[number]).match
        if number >= start:
            block = stabilizer.add(guides[number], fields[number], number, match)
            returned += [(field, stabilizer.state()) for _, field in block]
    last = stabilizer.flush()
    return returned + [(field, stabilizer.state()) for _, field in last]


def measure_spread(fields: list[Field]) -> float:
    """The standard deviation of the mean Cb and Cr over the shots."""
    return float(np.std([field.mean(axis=(1, 2)) for field in fields[4::9]], axis=0).mean())


def test_palette_lock_brings_all_shots_to_one_palette_and_resumes_with_the_same():
    guides, fields = make_tinted_film()
    free = run_film(guides, fields, ColorRules())
    locked = run_film(guides, fields, ColorRules(is_locked=True))
    assert measure_spread([it for it, _ in locked]) < 0.4 * measure_spread([it for it, _ in free])
    assert np.array_equal(locked[4][0], free[4][0])  # the first shot decides
    for start in (9, 27):
        resumed = run_film(guides, fields, ColorRules(is_locked=True), start, locked[start][1])
        for one, other in zip(locked[start:], resumed, strict=True):
            assert np.array_equal(one[0], other[0])


def draw_disc(column: float) -> tuple[Field, Field]:
    """Luma with a bright disc at a column, and 1 within the disc."""
    rows, columns = np.indices((SIDE, SIDE))
    disc = np.clip(9 - np.hypot(rows - 32, columns - column), 0, 1).astype(np.float32)
    return (0.6 * make_luma(3) + 0.4 * disc).astype(np.float32), disc


def test_colours_of_a_reference_that_shows_the_shot_follow_the_motion_through_it():
    """The model leaves all grey; the reference, frame 10, has a blue disc."""
    frames = [draw_disc(14 + n) for n in range(36)]
    blue = np.stack([0.2 * frames[10][1], -0.1 * frames[10][1]])
    luma = frames[10][0]
    reference = ShotReference(measure_moments(luma.ravel(), blue.reshape(2, -1)), luma, blue)
    grey = [np.zeros((2, SIDE, SIDE), np.float32)] * len(frames)
    rules = ColorRules(lambda first, lumas: reference)
    result = run_film([guide for guide, _ in frames], grey, rules)
    for number in (0, 10, 20, 32):
        field, inside = result[number][0][0], frames[number][1] > 0.9
        assert field[inside].mean() > 0.12
        assert np.abs(field[frames[number][1] == 0]).mean() < 0.03


def test_the_reference_of_a_shot_may_be_like_any_of_its_frames(tmp_path):
    for name, seed in (("first", 21), ("last", 22)):
        Image.fromarray((255 * make_luma(seed)).astype(np.uint8)).save(tmp_path / f"{name}.png")
    library = ReferenceLibrary(tmp_path)
    shot = [make_luma(30), make_luma(31), make_luma(22)]
    path, correlation = library.find_nearest_to_shot(shot)
    assert path.name == "last.png"
    assert correlation > 0.9
    assert library.find_nearest_to_shot(shot[:2])[1] < 0.7


BY_SHOT = """
    import batchcolor

    def by_shot(luma):
        import torch
        tint = (luma[:, :, :4].mean(dim=(1, 2, 3)) - 0.5) * 1.5
        return torch.stack([tint, -tint], 1)[:, :, None, None].expand(-1, 2, 8, 8)

    @batchcolor.hookimpl
    def batchcolor_colorizers():
        return [batchcolor.ColorizerSpec("by-shot", "b", 16, lambda options: by_shot)]
"""


def test_command_holds_a_film_to_one_palette(plugin, command, tmp_path):
    plugin("byshotpack", BY_SHOT)
    lumas = [make_luma(10 + n // 6, n) for n in range(18)]
    source, spread = write_film(tmp_path / "film.mkv", lumas), {}
    for name, given in (("free", ()), ("locked", ("--palette-lock",))):
        arguments = ("-m", "by-shot", "--codec", "ffv1", "-o", tmp_path / name, *given)
        done = command("run", source, *arguments)
        assert done.returncode == 0, done.stderr
        spread[name] = float(np.ptp(read_chroma(tmp_path / name / "film.mkv")[3::6], axis=0).max())
    assert spread["free"] > 6
    assert spread["locked"] < 0.5 * spread["free"]
    counts = [
        json.loads(command("run", source, *given, "--json").stdout)
        for given in (arguments, arguments[:-1])
    ]
    assert [it["existed"] for it in counts] == [0, 1]  # made with other settings


@pytest.mark.parametrize("given", [("--stabilize", "off"), ("--references", ".")])
def test_palette_lock_without_effect_is_refused(command, tmp_path, given):
    done = command("run", tmp_path, "--palette-lock", *given)
    assert done.returncode == 2
    assert "--palette-lock" in done.stderr
