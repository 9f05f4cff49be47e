"""Colour conversions against figures that others published."""

import numpy as np
import pytest
import torch

from batchcolor.color import lab_to_cbcr, luma_to_lightness, rgb_to_ycbcr, ycbcr_to_rgb

# L*, a*, b* (D65) of sRGB's corners and middle grey, as tables of the standard give them.
PUBLISHED = {
    (255, 0, 0): (53.24, 80.09, 67.20),
    (0, 255, 0): (87.73, -86.18, 83.18),
    (0, 0, 255): (32.30, 79.19, -107.86),
    (255, 255, 0): (97.14, -21.55, 94.48),
    (128, 128, 128): (53.59, 0.0, 0.0),
}


@pytest.mark.parametrize(("rgb", "lab"), PUBLISHED.items())
def test_lab_becomes_the_chroma_of_the_same_colour(rgb, lab):
    lightness = torch.tensor(lab[0]).view(1, 1, 1, 1)
    ab = torch.tensor(lab[1:]).view(1, 2, 1, 1)
    cb, cr = lab_to_cbcr(lightness, ab).flatten().tolist()
    _, true_cb, true_cr = rgb_to_ycbcr(*(value / 255 for value in rgb))
    assert cb == pytest.approx(true_cb, abs=0.006)
    assert cr == pytest.approx(true_cr, abs=0.006)


def test_lightness_of_grey_is_as_published():
    grey = torch.tensor([0.0, 128 / 255, 1.0])
    assert luma_to_lightness(grey).tolist() == pytest.approx([0.0, 53.59, 100.0], abs=0.02)


def test_ycbcr_there_and_back_is_the_same_and_stays_in_its_range():
    rgb = np.random.default_rng(0).random((3, 1000))
    luma, cb, cr = rgb_to_ycbcr(*rgb)
    assert np.abs(np.stack(ycbcr_to_rgb(luma, cb, cr)) - rgb).max() < 1e-12
    assert max(np.abs(cb).max(), np.abs(cr).max()) <= 0.5
