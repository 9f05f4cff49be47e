"""Upsampling of small fields: equal to Pillow's bilinear filter."""

import numpy as np
import pytest
from PIL import Image

from batchcolor.video.upsample import Upsampled


@pytest.mark.parametrize("side", [1, 2, 16, 64])
@pytest.mark.parametrize("size", [(320, 240), (64, 64), (65, 97), (1, 64), (200, 3), (7, 5)])
def test_upsampled_rows_are_those_of_pillow(side, size):
    field = np.random.default_rng(side).random((side, side), np.float32) - np.float32(0.5)
    expected = np.asarray(Image.fromarray(field).resize(size, Image.Resampling.BILINEAR))
    upsampled = Upsampled(field, size)
    strips = [upsampled.read_rows(slice(start, start + 13)) for start in range(0, size[1], 13)]
    np.testing.assert_allclose(np.concatenate(strips), expected, atol=1e-6)


def test_rows_are_independent_of_each_other_and_of_the_field():
    field = np.zeros((4, 4), np.float32)
    for size in ((8, 8), (2, 2)):
        upsampled = Upsampled(field, size)
        upsampled.read_rows(slice(0, 2))[...] = 9
        assert not upsampled.read_rows(slice(0, 2)).any()
