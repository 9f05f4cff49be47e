"""Conversions agree with published values and with Pillow."""

import numpy as np
import pytest
import torch
from PIL import Image

from batchcolor.color import (
    compute_gamut_scale,
    lab_to_cbcr,
    luma_to_lightness,
    rgb_to_luma,
    rgb_to_ycbcr,
    ycbcr_to_rgb,
)

PUBLISHED_LAB = {
    (255, 0, 0): (53.24, 80.09, 67.20),
    (0, 255, 0): (87.73, -86.18, 83.18),
    (0, 0, 255): (32.30, 79.19, -107.86),
    (255, 255, 0): (97.14, -21.55, 94.48),
    (128, 128, 128): (53.59, 0.0, 0.0),
}
"""L*, a*, b* (D65) by sRGB: corners of the RGB cube and middle grey (CIE 15:2004)."""


@pytest.mark.parametrize(("rgb", "lab"), PUBLISHED_LAB.items())
def test_lab_to_cbcr_gives_the_chroma_of_the_same_colour(rgb, lab):
    lightness = torch.tensor(lab[0]).view(1, 1, 1, 1)
    ab = torch.tensor(lab[1:]).view(1, 2, 1, 1)
    cb, cr = lab_to_cbcr(lightness, ab).flatten().tolist()
    _, true_cb, true_cr = rgb_to_ycbcr(*(value / 255 for value in rgb))
    assert cb == pytest.approx(true_cb, abs=0.006)
    assert cr == pytest.approx(true_cr, abs=0.006)


def test_lightness_of_grey_agrees_with_published_values():
    grey = torch.tensor([0.0, 128 / 255, 1.0])
    assert luma_to_lightness(grey).tolist() == pytest.approx([0.0, 53.59, 100.0], abs=0.02)


def test_ycbcr_round_trip_is_exact_and_chroma_is_in_range():
    rgb = np.random.default_rng(0).random((3, 1000))
    luma, cb, cr = rgb_to_ycbcr(*rgb)
    assert np.abs(np.stack(ycbcr_to_rgb(luma, cb, cr)) - rgb).max() < 1e-12
    assert max(np.abs(cb).max(), np.abs(cr).max()) <= 0.5


def test_rgb_to_luma_is_bit_identical_to_pillow():
    rgb = np.random.default_rng(4).integers(0, 256, (50, 60, 3), dtype=np.uint8)
    assert np.array_equal(rgb_to_luma(rgb), np.asarray(Image.fromarray(rgb).convert("L")))


def test_scaled_chroma_is_inside_rgb_and_reduced_chroma_at_its_limit():
    generator = np.random.default_rng(5)
    luma = generator.random(5000).astype(np.float32)
    cb, cr = generator.uniform(-0.5, 0.5, (2, 5000)).astype(np.float32)
    scale = compute_gamut_scale(luma, luma, cb, cr)
    channels = np.stack(ycbcr_to_rgb(luma, cb * scale, cr * scale))
    assert channels.min() >= -1e-5
    assert channels.max() <= 1 + 1e-5
    is_reduced = scale < 1
    is_at_limit = (channels.min(0) < 1e-4) | (channels.max(0) > 1 - 1e-4)
    assert is_at_limit[is_reduced].all()


def test_scaled_chroma_is_inside_rgb_for_the_darkest_and_the_brightest_luma():
    generator = np.random.default_rng(6)
    bounds = np.sort(generator.integers(0, 256, (2, 5000)), axis=0).astype(np.float32) / 255
    cb, cr = generator.uniform(-0.5, 0.5, (2, 5000)).astype(np.float32)
    scale = compute_gamut_scale(*bounds, cb, cr)
    each = [compute_gamut_scale(luma, luma, cb, cr) for luma in bounds]
    assert np.allclose(scale, np.minimum(*each), atol=1e-6)
