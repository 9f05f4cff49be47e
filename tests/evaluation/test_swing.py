"""Swing: the range of the colours of still areas within one second."""

import math

import numpy as np

from batchcolor.evaluation.swing import SwingMeter
from batchcolor.video.temporal.motion import match_frames

SIDE = 64


def measure(lumas, chromas, rate=10.0, starts=(0,)):
    meter = SwingMeter(rate)
    before = lumas[0]
    for number, (luma, chroma) in enumerate(zip(lumas, chromas, strict=True)):
        meter.add(luma, chroma, None if number in starts else match_frames(before, luma))
        before = luma
    return meter


def flat(value):
    return np.full((SIDE, SIDE), value, np.float32)


def chroma(cb, cr=0.0):
    return np.stack([flat(cb), flat(cr)])


def test_swing_is_the_range_within_one_second_in_levels():
    wandering = [chroma(0.1 * n / 255, -0.3 * n / 255) for n in range(40)]
    meter = measure([flat(0.5)] * 40, wandering)
    assert math.isclose(meter.swing, 9 * 0.3, rel_tol=1e-3)
    assert math.isclose(meter.largest, 9 * 0.3, rel_tol=1e-3)
    assert measure([flat(0.5)] * 40, [chroma(0.2)] * 40).swing == 0


def test_areas_whose_luma_changes_do_not_count():
    lumas, fields = [], []
    for n in range(30):
        luma, field = flat(0.5), chroma(0.0)
        luma[:, :32] = n / 30
        field[:, :, :32] = n / 100
        lumas.append(luma)
        fields.append(field)
    assert measure(lumas, fields).swing == 0
    everything_moves = [flat(n / 30) for n in range(30)]
    assert math.isnan(measure(everything_moves, fields).swing)


def test_a_cut_is_not_a_swing():
    fields = [chroma(0.2 if n < 15 else -0.2) for n in range(30)]
    assert measure([flat(0.5)] * 30, fields, starts=(0, 15)).swing == 0
    assert measure([flat(0.5)] * 30, fields).largest > 100


def test_fields_of_any_side_are_measured():
    fields = [np.full((2, 16, 16), n / 255, np.float32) for n in range(20)]
    assert math.isclose(measure([flat(0.5)] * 20, fields).swing, 9, rel_tol=1e-3)


def test_an_even_wall_that_the_camera_moves_along_does_not_count():
    rng = np.random.default_rng(0)
    scene = rng.uniform(0, 1, (16, 64)).repeat(4, 0).repeat(4, 1).astype(np.float32)
    scene[:32] = 0.5  # the wall, above objects that show the movement
    tint = np.linspace(0, 0.4, scene.shape[1], dtype=np.float32)
    fields = np.broadcast_to(tint, (2, *scene.shape))
    moving = [np.s_[..., :, 2 * n : 2 * n + SIDE] for n in range(30)]
    still = [np.s_[..., :, :SIDE]] * 30
    assert math.isnan(measure([scene[s] for s in moving], [fields[s] for s in moving]).swing)
    assert measure([scene[s] for s in still], [fields[s] for s in moving]).swing > 5
    both = [*still, *moving]
    meter = measure([scene[s] for s in both], [fields[s] for s in both])
    assert meter.swing == 0
