"""Stabilization: less flicker within a shot; no chroma crosses a cut or stays behind an object."""

import numpy as np
import pytest

from batchcolor.evaluation.flicker import FlickerMeter
from batchcolor.video.temporal.motion import SIDE, match_frames
from batchcolor.video.temporal.shots import ShotTracker, is_cut
from batchcolor.video.temporal.stabilizer import HORIZONS, MODES, Horizon, Stabilizer


def scene(seed, grain=0.0, frame=0):
    """Returns luma of broad shapes, 0..1; each seed is another scene."""
    from PIL import Image

    shapes = np.random.default_rng(seed).random((7, 7), np.float32)
    broad = np.asarray(Image.fromarray(shapes).resize((SIDE, SIDE), Image.Resampling.BICUBIC))
    noise = np.random.default_rng(1000 * seed + frame).normal(0, grain, (SIDE, SIDE))
    return np.clip(0.1 + 0.8 * broad + noise, 0, 1).astype(np.float32)


def flickering_chroma(frame, side=16, centre=(0.1, -0.05), spread=0.05):
    """Returns uniform chroma that differs in each frame."""
    change = np.random.default_rng(frame).normal(0, spread, (2, 1, 1))
    field = np.array(centre).reshape(2, 1, 1) + change
    return np.tile(field, (1, side, side)).astype(np.float32)


def stabilize(mode, guides, fields, every=1):
    stabilizer, shots, returned = Stabilizer(mode, every), ShotTracker(), []
    for index, (guide, field) in enumerate(zip(guides, fields, strict=True)):
        position = shots.track(guide)
        is_colorized = (position.number - position.shot) % every == 0
        returned += stabilizer.add(guide, field if is_colorized else None, index, position.match)
    returned += stabilizer.flush()
    assert [index for index, _ in returned] == list(range(len(guides)))
    return [field for _, field in returned], shots


@pytest.mark.parametrize("every", [1, 4])
@pytest.mark.parametrize("mode", ["off", "fast", "best"])
def test_state_continues_with_the_same_chroma(mode, every):
    """A film resumes with the first frame of the block that was returned last."""
    cut, count = 40, HORIZONS["best"].frames + 60
    guides = [scene(1 if n < cut else 2, 0.01, n) for n in range(count)]
    fields = [flickering_chroma(n) for n in range(count)]

    def run(start, shot, state):
        """Yields each block, and the state after it."""
        first = max(start - 1, 0)
        stabilizer, shots = Stabilizer(mode, every), ShotTracker(first, shot)
        stabilizer.restore(state)
        for number in range(first, count):
            position = shots.track(guides[number])
            if number >= start:
                field = None if (number - position.shot) % every else fields[number]
                block = stabilizer.add(guides[number], field, number, position.match)
                if block:
                    yield block, stabilizer.state()
        yield stabilizer.flush(), stabilizer.state()

    whole = [(block, state) for block, state in run(0, 0, {}) if block]
    everything = [pair for block, _ in whole for pair in block]
    assert [number for number, _ in everything] == list(range(count))
    for block, state in (whole[1], whole[len(whole) // 2], whole[-1]):
        start = block[0][0]
        resumed = [
            pair for some, _ in run(start, cut if start >= cut else 0, state) for pair in some
        ]
        assert [number for number, _ in resumed] == list(range(start, count))
        for one, other in zip(everything[start:], resumed, strict=True):
            assert (one[1] == other[1]).all()


@pytest.mark.parametrize("mode", ["fast", "best"])
def test_the_buffer_is_bounded(mode):
    stabilizer, shots = Stabilizer(mode), ShotTracker()
    waiting = 0
    for number in range(400):
        guide = scene(1, 0.01, number)
        match = shots.track(guide).match
        waiting += 1 - len(stabilizer.add(guide, flickering_chroma(number), number, match))
        assert waiting <= HORIZONS[mode].frames


def test_colour_that_wanders_within_a_shot_stands_still():
    """The colour of the model goes from blue to red within two seconds."""
    guides = [scene(1, 0.005, n) for n in range(50)]
    wandering = [flickering_chroma(0, centre=(0.1 - n / 250, n / 250), spread=0) for n in range(50)]
    swings = {}
    for mode in MODES:
        stable, _ = stabilize(mode, guides, wandering)
        swings[mode] = np.abs(stable[25].mean(axis=(1, 2)) - stable[0].mean(axis=(1, 2))).max()
    assert swings["fast"] < 0.75 * swings["off"]
    assert swings["best"] < 0.2 * swings["off"]


def slow_edge(frame):
    """Returns luma of a bright area whose edge moves by a quarter of a sample each frame."""
    position = 16 + frame / 4
    columns = np.clip(np.arange(SIDE) + 1 - position, 0, 1)
    guide = 0.25 + 0.5 * (1 - columns)
    return np.tile(guide, (SIDE, 1)).astype(np.float32), np.arange(SIDE) < position


@pytest.mark.parametrize("mode", ["fast", "best"])
def test_an_edge_that_moves_slower_than_a_sample_leaves_no_trail(mode):
    guides, fields, areas = [], [], []
    for frame in range(100):
        guide, area = slow_edge(frame)
        guides.append(guide)
        areas.append(area)
        fields.append(np.tile(np.where(area, 0.2, -0.2), (2, SIDE, 1)).astype(np.float32))
    stable, _ = stabilize(mode, guides, fields)
    for frame in range(10, 90, 10):
        for shift in (-4, 4):  # chroma is blurred nearer to the edge
            column = int(areas[frame].sum()) + shift
            own = fields[frame][0, SIDE // 2, column]
            assert abs(stable[frame][0, SIDE // 2, column] - own) < 0.1


def flicker_of(guides, fields):
    figure = FlickerMeter()
    for guide, field in zip(guides, fields, strict=True):
        figure.add(guide, field)
    return figure


@pytest.mark.parametrize("mode", ["fast", "best"])
def test_flicker_is_at_most_half_and_mean_colour_is_kept(mode):
    guides = [scene(1, 0.01, n) for n in range(40)]
    fields = [flickering_chroma(n) for n in range(40)]
    stable, _ = stabilize(mode, guides, fields)
    assert flicker_of(guides, stable).flicker < 0.5 * flicker_of(guides, fields).flicker
    assert flicker_of(guides, stable).drift < flicker_of(guides, fields).drift
    assert np.abs(np.mean(stable, axis=(0, 2, 3)) - np.mean(fields, axis=(0, 2, 3))).max() < 0.02


def test_mode_off_changes_no_frame():
    guides, fields = [scene(1)] * 5, [flickering_chroma(n) for n in range(5)]
    stable, _ = stabilize("off", guides, fields)
    assert all(a is b for a, b in zip(stable, fields, strict=True))


@pytest.mark.parametrize("mode", ["fast", "best"])
def test_no_colour_crosses_a_cut(mode):
    guides = [scene(1 if n < 10 else 2) for n in range(20)]
    blue, red = (
        flickering_chroma(0, centre=(0.3, 0), spread=0),
        flickering_chroma(0, centre=(0, 0.3), spread=0),
    )
    stable, shots = stabilize(mode, guides, [blue if n < 10 else red for n in range(20)])
    assert shots.cuts == 1
    for index, field in enumerate(stable):
        own = blue if index < 10 else red
        assert np.abs(field - own[:, :1, :1]).max() < 1e-6


@pytest.mark.parametrize("change", [(1.0, 0.25), (0.6, 0.0), (1.4, -0.1), (1.0, -0.2)])
def test_exposure_flicker_is_not_a_cut_and_is_matched(change):
    gain, offset = change
    plain = scene(1)
    flashed = np.clip(plain * gain + offset, 0, 1).astype(np.float32)
    matched = match_frames(plain, flashed)
    assert not is_cut(matched)
    assert matched.confidence.mean() > 0.5


@pytest.mark.parametrize("seeds", [(1, 2), (3, 4), (5, 6), (7, 8)])
def test_different_scenes_are_separated_by_a_cut(seeds):
    one, other = (scene(seed) for seed in seeds)
    assert is_cut(match_frames(one, other))


def test_no_colour_crosses_black_frames():
    black = np.full((SIDE, SIDE), 0.01, np.float32)
    guides = [scene(1)] * 3 + [black] * 3 + [scene(2)] * 3
    blue, grey = flickering_chroma(0, centre=(0.3, 0), spread=0), np.zeros((2, 16, 16), np.float32)
    stable, _ = stabilize("fast", guides, [blue] * 3 + [grey] * 6)
    assert np.abs(np.stack(stable[6:])).max() < 1e-6


def moving(frame, step=2):
    """Returns luma of a bright figure that moves over a still background, and the figure's mask."""
    guide = 0.3 * scene(4) + 0.1
    left = 4 + step * frame
    figure = np.zeros((SIDE, SIDE), bool)
    figure[16:48, left : left + 12] = True
    textured = 0.75 + 0.2 * scene(9)[16:48, :12]
    guide[16:48, left : left + 12] = textured
    return guide.astype(np.float32), figure


def red_figure():
    """Returns luma, chroma and masks of sixteen frames with a moving red figure."""
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
def test_colour_moves_with_a_figure_and_leaves_no_trail(mode):
    guides, fields, figures = red_figure()
    stable, shots = stabilize(mode, guides, fields)
    assert shots.cuts == 0
    for field, figure in list(zip(stable, figures, strict=True))[4:12]:
        inside = figure.copy()
        inside[:, 1:] &= figure[:, :-1]
        inside[:, :-1] &= figure[:, 1:]
        assert field[1][inside].mean() > 0.25
        far = ~figure
        for shift in (-2, -1, 1, 2):  # chroma is blurred at edges, as in the frame itself
            far &= ~np.roll(figure, shift, axis=1) & ~np.roll(figure, shift, axis=0)
        assert field[1][far].mean() < 0.01
        assert np.quantile(field[1][far], 0.99) < 0.1


def test_detail_finer_than_the_motion_grid_is_kept():
    guides = [scene(1)] * 4
    fine = np.zeros((2, 128, 128), np.float32)
    fine[:, ::2] = 0.1
    stable, _ = stabilize("fast", guides, [fine] * 4)
    assert all(field.shape == fine.shape for field in stable)
    assert all(np.abs(field - fine).max() < 0.01 for field in stable)


@pytest.mark.parametrize("mode", ["fast", "best"])
def test_colour_of_every_fourth_frame_moves_with_a_figure(mode):
    guides, fields, figures = red_figure()
    stable, _ = stabilize(mode, guides, fields, every=4)
    for field, figure in list(zip(stable, figures, strict=True))[4:12]:
        assert field[1][figure].mean() > 0.2
        assert field[1][~figure].mean() < 0.02


@pytest.mark.parametrize("mode", ["fast", "best"])
def test_with_every_fourth_frame_no_colour_crosses_a_cut_and_mean_colour_is_kept(mode):
    guides = [scene(1 if n < 10 else 2, 0.01, n) for n in range(40)]
    fields = [
        flickering_chroma(n, centre=(0.1, -0.05) if n < 10 else (-0.1, 0.1)) for n in range(40)
    ]
    all_colorized, shots = stabilize(mode, guides, fields)
    stable, _ = stabilize(mode, guides, fields, every=4)
    assert shots.cuts == 1
    figures = [flicker_of(guides, some).flicker for some in (stable, fields)]
    assert figures[0] < 0.5 * figures[1]
    for part in (slice(0, 10), slice(10, 40)):
        means = [np.mean(some[part], axis=(0, 2, 3)) for some in (stable, all_colorized)]
        assert np.abs(means[0] - means[1]).max() < 0.06
        assert (np.sign(means[0]) == np.sign(means[1])).all()


@pytest.mark.parametrize("mode", MODES)
def test_film_has_all_frames_and_flickers_only_with_mode_off(
    command, plugin, make_clip, tmp_path, mode
):
    import av

    plugin(
        "flickering",
        """
        import batchcolor

        class Flickering:
            calls = 0
            def __call__(self, luma):
                import torch
                Flickering.calls += 1
                generator = torch.Generator().manual_seed(Flickering.calls)
                value = torch.rand((len(luma), 2, 1, 1), generator=generator)
                return (0.3 * value - 0.15).expand(-1, 2, 4, 4)

        @batchcolor.hookimpl
        def batchcolor_colorizers():
            build = lambda options: Flickering()
            return [batchcolor.ColorizerSpec("flickering", "random colours", 16, build)]
        """,
    )
    clip = make_clip(tmp_path / "film.mp4", frames=30)
    result = command("run", clip, "-m", "flickering", "-o", "out", "--stabilize", mode)
    assert result.returncode == 0, result.stderr
    with av.open(str(tmp_path / "out" / "film.mp4")) as film:
        means = [f.to_ndarray(format="yuv444p")[1].mean() for f in film.decode(video=0)]
    assert len(means) == 30
    changes = np.abs(np.diff(means)).mean()
    assert changes > 10 if mode == "off" else changes < 5


def test_frames_that_do_not_fit_into_memory_are_decoded_again(
    command, make_clip, tmp_path, monkeypatch
):
    """The result is the same, with as many frames."""
    import av

    from batchcolor.pipeline.films import video_admission

    clip = make_clip(tmp_path / "film.mkv", frames=60)
    options = ("-m", "beta", "--codec", "ffv1", "--stabilize", "fast")
    assert command("run", clip, "-o", "kept", *options).returncode == 0
    unaffordable = {**HORIZONS, "fast": Horizon(8, 10**9)}
    monkeypatch.setattr(video_admission, "HORIZONS", unaffordable)
    result = command("run", clip, "-o", "again", *options)
    assert result.returncode == 0, result.stderr
    frames = []
    for folder in ("kept", "again"):
        with av.open(str(tmp_path / folder / "film.mkv")) as film:
            frames.append([f.to_ndarray().tobytes() for f in film.decode(video=0)])
    assert len(frames[0]) == 60
    assert frames[0] == frames[1]


def test_colour_lasts_through_many_frames_without_a_match():
    rng = np.random.default_rng(1)
    every, stabilizer = 40, Stabilizer("fast", every=40)
    finished, before = [], None
    for number in range(2 * every + 1):  # unlike scenes that a tracker of cuts took for one shot
        guide = np.kron(rng.random((8, 8)), np.ones((8, 8))).astype(np.float32)
        own = np.full((2, SIDE, SIDE), 0.2, np.float32) if number % every == 0 else None
        motion = None if before is None else match_frames(before, guide)
        finished += stabilizer.add(guide, own, number, motion)
        before = guide
    finished += stabilizer.flush()
    assert len(finished) == 2 * every + 1
    for _, chroma in finished:
        assert np.abs(chroma - 0.2).max() < 1e-3


def measure_beside(fields, column):
    return float(np.abs(np.stack(fields)[5, :, 20:44, column]).max())


@pytest.mark.parametrize("mode", ["fast", "best"])
def test_the_colour_of_an_object_does_not_reach_far_over_its_outline(mode):
    """A dark area ends at column 30; the model colours it and, as a ramp, 5 samples beside it."""
    columns = np.arange(SIDE)
    guide = np.tile(np.where(columns < 30, 0.2, 0.7), (SIDE, 1)).astype(np.float32)
    ramp = 0.2 * np.clip((35 - columns) / 5, 0, 1)
    blurred = np.tile(ramp, (2, SIDE, 1)).astype(np.float32)
    plain, _ = stabilize("off", [guide] * 10, [blurred] * 10)
    stable, _ = stabilize(mode, [guide] * 10, [blurred] * 10)
    assert measure_beside(stable, 31) < 0.8 * measure_beside(plain, 31)
    assert measure_beside(stable, 20) > 0.95 * measure_beside(plain, 20)
