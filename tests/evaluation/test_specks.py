"""Specks: what counts as one, on pictures made for it."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from batchcolor.color import ycbcr_to_rgb
from batchcolor.evaluation.specks import find_specks, speck_area

RED, GREEN = (-0.04, 0.1), (-0.08, -0.07)


def paint(
    patch: NDArray[np.bool_],
    inside: tuple[float, float],
    outside: tuple[float, float] = (0.0, 0.0),
    luma_inside: float = 0.5,
) -> NDArray[np.uint8]:
    """A picture of luma 0.5 with a slight slope, chroma `outside`, and `inside` in a patch."""
    slope = np.linspace(-0.04, 0.04, patch.shape[1], dtype=np.float32)
    luma = np.where(patch, np.float32(luma_inside), np.float32(0.5)) + slope
    planes = [
        np.where(patch, *pair).astype(np.float32) for pair in zip(inside, outside, strict=True)
    ]
    rgb = np.stack(ycbcr_to_rgb(luma, *planes), axis=2)
    return (rgb.clip(0, 1) * 255).round().astype(np.uint8)


def disc(side: int = 128, radius: float = 6, x: float = 0.4, y: float = 0.6) -> NDArray[np.bool_]:
    rows, columns = np.mgrid[:side, :side]
    found: NDArray[np.bool_] = np.hypot(rows - y * side, columns - x * side) < radius
    return found


@pytest.mark.parametrize(("inside", "outside"), [(RED, (0.0, 0.0)), (GREEN, RED), (RED, GREEN)])
def test_a_patch_of_another_hue_and_the_same_luma_is_a_speck(inside, outside):
    specks = find_specks(paint(disc(), inside, outside))
    overlap = (specks & disc()).sum() / (specks | disc()).sum()
    assert overlap > 0.7


@pytest.mark.parametrize(
    ("what", "picture"),
    [
        ("grey everywhere", paint(disc(), (0.0, 0.0))),
        ("one colour everywhere", paint(disc(), RED, RED)),
        ("a paler patch of the same hue", paint(disc(), (-0.02, 0.05), RED)),
        ("a grey patch in colour", paint(disc(), (0.0, 0.0), RED)),
        ("an object that is brighter", paint(disc(), RED, luma_inside=0.75)),
        ("half of the picture", paint(np.mgrid[:128, :128][0] < 64, RED)),
        ("one pixel", paint(disc(radius=0.8), RED)),
    ],
)
def test_what_is_no_speck(what, picture):
    assert not find_specks(picture).any(), what


def test_a_patch_that_the_reference_has_as_well_is_no_speck():
    output = paint(disc(), RED)
    assert speck_area(paint(disc(), (-0.02, 0.06))[None], output[None])[0] == 0
    assert speck_area(paint(disc(), (0.0, 0.0))[None], output[None])[0] > 0.4
    opposite = paint(disc(), (0.04, -0.1))
    assert speck_area(opposite[None], output[None])[0] > 0.4


def test_the_area_does_not_depend_on_the_size_of_the_picture_and_grows_with_the_specks():
    small, large = (
        speck_area(*(paint(disc(side, side / 20), it)[None] for it in ((0.0, 0.0), RED)))[0]
        for side in (128, 512)
    )
    assert large == pytest.approx(small, rel=0.25)
    two = disc() | disc(x=0.8, y=0.2)
    assert find_specks(paint(two, RED)).sum() > 1.6 * find_specks(paint(disc(), RED)).sum()


@pytest.mark.parametrize("shape", [(1, 1), (1, 300), (300, 1), (3, 2), (7, 900)])
def test_pictures_of_any_shape_are_measured(shape):
    noise = np.random.default_rng(0).integers(0, 256, (2, *shape, 3)).astype(np.uint8)
    assert np.isfinite(speck_area(noise, noise[::-1])).all()
