"""Encoded files have the size of their source and do not depend on other memory."""

import numpy as np
import pytest
from PIL import Image

from batchcolor.images.encode import encode
from batchcolor.images.formats import FORMATS, JPEG
from batchcolor.images.join import join
from batchcolor.images.picture import resize_luma


@pytest.mark.parametrize("size", [(1, 1), (2, 1), (1, 3), (1, 20000), (20000, 1), (17, 5)])
@pytest.mark.parametrize("target", FORMATS, ids=lambda f: f.name)
def test_pictures_of_every_size_keep_their_size(tmp_path, read_picture, colour_file, size, target):
    if target.name == "webp" and max(size) > 16383:
        pytest.skip("WebP supports 16,383 pixels per side")
    path = tmp_path / "in.png"
    Image.new("L", size, 120).save(path)
    assert resize_luma(read_picture(path).luma, 16).shape == (16, 16)
    result = colour_file(path, target)
    assert result.size == size
    assert result.mode == "RGB"


@pytest.mark.parametrize("size", [(9, 9), (9, 8), (8, 9), (31, 17), (400, 301)])
def test_jpeg_of_odd_size_is_deterministic(
    tmp_path, read_picture, random_chroma, grey_picture, size
):
    path = tmp_path / "in.png"
    grey_picture(*size).save(path)
    results = set()
    for seed in range(30):
        picture = read_picture(path)
        freed_memory = [np.random.default_rng(seed + i).bytes(300) for i in range(50)]
        del freed_memory  # a read past the end of a plane would find these bytes
        results.add(encode(join(picture, random_chroma, 1.0, JPEG), picture.metadata, None))
    assert len(results) == 1
