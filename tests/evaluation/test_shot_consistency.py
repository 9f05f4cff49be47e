"""The figures of `evaluate --video` for shots, scenes and halos, with known colours."""

from __future__ import annotations

import math

import numpy as np
import pytest
from PIL import Image

from batchcolor.evaluation.halo import HaloMeter
from batchcolor.evaluation.shot_consistency import SceneMeter, ShotMeter
from batchcolor.video.temporal.motion import SIDE, Field
from batchcolor.video.temporal.shots import ShotTracker

RATE = 12.0


def make_luma(seed: int) -> Field:
    shapes = np.random.default_rng(seed).random((7, 7), np.float32)
    broad = Image.fromarray(shapes).resize((SIDE, SIDE), Image.Resampling.BICUBIC)
    return np.clip(np.asarray(broad), 0, 1).astype(np.float32)


def make_disc(column: float, softness: float = 1.0) -> Field:
    """1 within a disc and 0 outside; `softness` is the width of its outline in samples."""
    rows, columns = np.indices((SIDE, SIDE))
    distance = np.hypot(rows - 32, columns - column)
    return np.clip((11 - distance) / softness + 0.5, 0, 1).astype(np.float32)


def tint(field: Field, cb: float, cr: float) -> Field:
    """Chroma of `cb` and `cr` 8-bit levels where `field` is 1."""
    return np.stack([field * cb, field * cr]).astype(np.float32) / 255


def measure_shot(change: float) -> float:
    """A coloured disc moves over a background; its colour changes by so many levels."""
    meter, tracker = ShotMeter(RATE), ShotTracker()
    for number in range(24):
        disc = make_disc(16 + number)
        luma = (0.5 * make_luma(1) + 0.5 * disc).astype(np.float32)
        meter.add(luma, tint(disc, 40 + change * number / 23, 0), tracker.track(luma).match)
    meter.finish()
    return meter.difference


def test_colours_that_follow_the_motion_have_no_difference_in_a_shot():
    assert measure_shot(0) < 1.5


def test_a_colour_that_wanders_through_a_shot_is_measured_in_its_area():
    """The background is a part of the mean, and samples at the outline are lost on the way."""
    share = float(make_disc(40).mean())
    assert 0.3 * 30 * share < measure_shot(30) - measure_shot(0) < 1.1 * 30 * share


def test_a_change_of_the_whole_frame_is_measured_in_full_and_not_over_a_cut():
    meter = ShotMeter(RATE)
    tracker = ShotTracker()
    for number in range(40):
        luma = make_luma(1 + number // 20)
        offset = 100 * (number // 20) + number % 20 / 19 * 10
        meter.add(
            luma, tint(np.ones_like(luma), 0.6 * offset, 0.8 * offset), tracker.track(luma).match
        )
    meter.finish()
    assert meter.difference == pytest.approx(10, abs=0.1)


def test_a_shot_of_less_than_half_a_second_has_no_difference():
    meter, tracker = ShotMeter(RATE), ShotTracker()
    for number in range(4):
        luma = make_luma(1)
        meter.add(luma, tint(luma, number, 0), tracker.track(luma).match)
    meter.finish()
    assert math.isnan(meter.difference)


@pytest.mark.parametrize(("seeds", "expected"), [((1, 2, 1), 10.0), ((1, 2, 3), math.nan)])
def test_shots_of_one_scene_are_compared(seeds, expected):
    meter = SceneMeter()
    for shot, seed in enumerate(seeds):
        for number in range(15):
            luma = make_luma(seed)
            shift = 1.0 if shot == 2 else 0.0
            chroma = tint(luma, 50, 0) + shift * tint(np.ones_like(luma), 6, 8)
            meter.add(luma, chroma, is_shot_start=number == 0)
    meter.finish()
    assert meter.difference == pytest.approx(expected, abs=0.3, nan_ok=True)


def measure_halo(softness: float) -> float:
    meter = HaloMeter()
    disc = make_disc(32)
    luma = (0.2 + 0.6 * disc).astype(np.float32)
    meter.add(luma, tint(make_disc(32, softness), 60, 0))
    return meter.halo


def test_colours_that_end_at_the_outline_have_no_halo():
    assert measure_halo(1) < 0.5


def test_the_halo_grows_with_the_reach_of_a_colour_over_its_outline():
    assert measure_halo(4) > 3
    assert measure_halo(12) > 1.5 * measure_halo(4)


def test_a_picture_without_edges_has_no_halo():
    meter = HaloMeter()
    meter.add(np.full((SIDE, SIDE), 0.5, np.float32), tint(make_luma(1), 60, 0))
    assert math.isnan(meter.halo)
