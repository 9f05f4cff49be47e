"""Steady colours: less flicker within a shot, nothing carried over a cut or behind a figure."""

import numpy as np
import pytest

from batchcolor.evaluation.flicker import FlickerMeter
from batchcolor.video.temporal.motion import SIDE, match_frames
from batchcolor.video.temporal.shots import ShotTracker, is_cut
from batchcolor.video.temporal.stabilizer import MODES, Stabilizer


def scene(seed, grain=0.0, frame=0):
    """Broad shapes, 0..1, as another scene for each seed."""
    from PIL import Image

    shapes = np.random.default_rng(seed).random((7, 7), np.float32)
    broad = np.asarray(Image.fromarray(shapes).resize((SIDE, SIDE), Image.Resampling.BICUBIC))
    noise = np.random.default_rng(1000 * seed + frame).normal(0, grain, (SIDE, SIDE))
    return np.clip(0.1 + 0.8 * broad + noise, 0, 1).astype(np.float32)


def unsteady(frame, side=16, centre=(0.1, -0.05), spread=0.05):
    """Chroma that is another in every frame."""
    change = np.random.default_rng(frame).normal(0, spread, (2, 1, 1))
    field = np.array(centre).reshape(2, 1, 1) + change
    return np.tile(field, (1, side, side)).astype(np.float32)


def stabilized(mode, guides, fields, every=1):
    line, shots, given = Stabilizer(mode, every), ShotTracker(), []
    for index, (guide, field) in enumerate(zip(guides, fields, strict=True)):
        place = shots.track(guide)
        asked = (place.number - place.shot) % every == 0
        given += line.add(guide, field if asked else None, index, place.match)
    given += line.flush()
    assert [index for index, _ in given] == list(range(len(guides)))
    return [field for _, field in given], shots


def flicker_of(guides, fields):
    figure = FlickerMeter()
    for guide, field in zip(guides, fields, strict=True):
        figure.add(guide, field)
    return figure


@pytest.mark.parametrize("mode", ["fast", "best"])
def test_flicker_is_at_most_half_and_the_mean_colour_stays(mode):
    guides = [scene(1, 0.01, n) for n in range(40)]
    fields = [unsteady(n) for n in range(40)]
    steady, _ = stabilized(mode, guides, fields)
    assert flicker_of(guides, steady).flicker < 0.5 * flicker_of(guides, fields).flicker
    assert flicker_of(guides, steady).drift < flicker_of(guides, fields).drift
    assert np.abs(np.mean(steady, axis=(0, 2, 3)) - np.mean(fields, axis=(0, 2, 3))).max() < 0.02


def test_off_leaves_every_frame_as_it_is():
    guides, fields = [scene(1)] * 5, [unsteady(n) for n in range(5)]
    steady, _ = stabilized("off", guides, fields)
    assert all(a is b for a, b in zip(steady, fields, strict=True))


@pytest.mark.parametrize("mode", ["fast", "best"])
def test_no_colour_crosses_a_cut(mode):
    guides = [scene(1 if n < 10 else 2) for n in range(20)]
    blue, red = unsteady(0, centre=(0.3, 0), spread=0), unsteady(0, centre=(0, 0.3), spread=0)
    steady, shots = stabilized(mode, guides, [blue if n < 10 else red for n in range(20)])
    assert shots.cuts == 1
    for index, field in enumerate(steady):
        own = blue if index < 10 else red
        assert np.abs(field - own[:, :1, :1]).max() < 1e-6


@pytest.mark.parametrize("change", [(1.0, 0.25), (0.6, 0.0), (1.4, -0.1), (1.0, -0.2)])
def test_flicker_of_exposure_is_no_cut_and_does_not_stop_stabilizing(change):
    gain, offset = change
    plain = scene(1)
    flashed = np.clip(plain * gain + offset, 0, 1).astype(np.float32)
    found = match_frames(plain, flashed)
    assert not is_cut(found)
    assert found.confidence.mean() > 0.5


@pytest.mark.parametrize("seeds", [(1, 2), (3, 4), (5, 6), (7, 8)])
def test_another_scene_is_a_cut(seeds):
    one, other = (scene(seed) for seed in seeds)
    assert is_cut(match_frames(one, other))


def test_black_between_two_scenes_lets_nothing_through():
    black = np.full((SIDE, SIDE), 0.01, np.float32)
    guides = [scene(1)] * 3 + [black] * 3 + [scene(2)] * 3
    blue, grey = unsteady(0, centre=(0.3, 0), spread=0), np.zeros((2, 16, 16), np.float32)
    steady, _ = stabilized("fast", guides, [blue] * 3 + [grey] * 6)
    assert np.abs(np.stack(steady[6:])).max() < 1e-6


def moving(frame, step=2):
    """A bright figure that walks over a still background, and where it is."""
    guide = 0.3 * scene(4) + 0.1
    left = 4 + step * frame
    figure = np.zeros((SIDE, SIDE), bool)
    figure[16:48, left : left + 12] = True
    textured = 0.75 + 0.2 * scene(9)[16:48, :12]
    guide[16:48, left : left + 12] = textured
    return guide.astype(np.float32), figure


def red_figure():
    """Guides, fields and places of sixteen frames in which a red figure walks by."""
    guides, fields, figures = [], [], []
    for frame in range(16):
        guide, figure = moving(frame)
        red = np.zeros((2, SIDE, SIDE), np.float32)
        red[1][figure] = 0.3
        guides.append(guide)
        fields.append(red)
        figures.append(figure)
    return guides, fields, figures


@pytest.mark.parametrize("mode", ["fast", "best"])
def test_a_figure_takes_its_colour_along_and_leaves_no_ghost_behind(mode):
    guides, fields, figures = red_figure()
    steady, shots = stabilized(mode, guides, fields)
    assert shots.cuts == 0
    for field, figure in list(zip(steady, figures, strict=True))[4:12]:
        inside = figure.copy()
        inside[:, 1:] &= figure[:, :-1]
        inside[:, :-1] &= figure[:, 1:]
        assert field[1][inside].mean() > 0.25
        far = ~figure
        for shift in (-2, -1, 1, 2):  # colour is soft at the edge, as it is in the frame itself
            far &= ~np.roll(figure, shift, axis=1) & ~np.roll(figure, shift, axis=0)
        assert field[1][far].mean() < 0.01
        assert np.quantile(field[1][far], 0.99) < 0.1


def test_detail_finer_than_the_grid_stays_the_frames_own():
    guides = [scene(1)] * 4
    fine = np.zeros((2, 128, 128), np.float32)
    fine[:, ::2] = 0.1
    steady, _ = stabilized("fast", guides, [fine] * 4)
    assert all(field.shape == fine.shape for field in steady)
    assert all(np.abs(field - fine).max() < 1e-6 for field in steady)


@pytest.mark.parametrize("mode", ["fast", "best"])
def test_a_figure_takes_along_the_colour_of_every_fourth_frame(mode):
    guides, fields, figures = red_figure()
    steady, _ = stabilized(mode, guides, fields, every=4)
    for field, figure in list(zip(steady, figures, strict=True))[4:12]:
        assert field[1][figure].mean() > 0.2
        assert field[1][~figure].mean() < 0.02


@pytest.mark.parametrize("mode", ["fast", "best"])
def test_with_every_fourth_frame_no_colour_crosses_a_cut_and_the_mean_stays(mode):
    guides = [scene(1 if n < 10 else 2, 0.01, n) for n in range(40)]
    fields = [unsteady(n, centre=(0.1, -0.05) if n < 10 else (-0.1, 0.1)) for n in range(40)]
    all_asked, shots = stabilized(mode, guides, fields)
    steady, _ = stabilized(mode, guides, fields, every=4)
    assert shots.cuts == 1
    figures = [flicker_of(guides, some).flicker for some in (steady, all_asked, fields)]
    assert figures[0] < 1.5 * figures[1]
    assert figures[0] < 0.5 * figures[2]
    for part in (slice(0, 10), slice(10, 40)):
        means = [np.mean(some[part], axis=(0, 2, 3)) for some in (steady, all_asked)]
        assert np.abs(means[0] - means[1]).max() < 0.06
        assert (np.sign(means[0]) == np.sign(means[1])).all()


@pytest.mark.parametrize("mode", MODES)
def test_a_film_has_all_its_frames_with_every_mode(command, plugin, make_clip, tmp_path, mode):
    import av

    plugin(
        "moody",
        """
        import batchcolor

        class Moody:
            calls = 0
            def __call__(self, luma):
                import torch
                Moody.calls += 1
                chance = torch.Generator().manual_seed(Moody.calls)
                mood = torch.rand((len(luma), 2, 1, 1), generator=chance)
                return (0.3 * mood - 0.15).expand(-1, 2, 4, 4)

        @batchcolor.hookimpl
        def batchcolor_colorizers():
            build = lambda options: Moody()
            return [batchcolor.ColorizerSpec("moody", "never the same", 16, build)]
        """,
    )
    clip = make_clip(tmp_path / "film.mp4", frames=30)
    result = command("run", clip, "-m", "moody", "-o", "out", "--stabilize", mode)
    assert result.returncode == 0, result.stderr
    with av.open(str(tmp_path / "out" / "film.mp4")) as film:
        means = [f.to_ndarray(format="yuv444p")[1].mean() for f in film.decode(video=0)]
    assert len(means) == 30
    changes = np.abs(np.diff(means)).mean()
    assert changes > 10 if mode == "off" else changes < 5
