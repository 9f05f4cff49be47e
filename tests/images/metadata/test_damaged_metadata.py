"""Metadata that is damaged anywhere."""

from __future__ import annotations

import io
import random
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from batchcolor.images.encode import encode
from batchcolor.images.formats import FORMATS, JPEG, PNG, TIFF, WEBP
from batchcolor.images.join import join
from batchcolor.images.metadata.read import read_blocks
from batchcolor.images.metadata.upright import mark_as_upright
from batchcolor.images.picture import Picture

SOURCES = (JPEG, PNG, WEBP, TIFF)


@pytest.mark.parametrize("source", SOURCES, ids=lambda kind: kind.name)
def test_damaged_metadata_never_prevents_a_result(source, kit):
    numbers = random.Random(1)
    data = kit.BUILDERS[source]()
    luma = np.full((8, 12), 100, np.uint8)
    for _ in range(60):
        damaged = bytearray(data)
        for _ in range(numbers.choice((1, 3, 20))):
            damaged[numbers.randrange(len(data))] = numbers.choice((0, 1, 127, 255))
        notes: list[str] = []
        metadata, _ = mark_as_upright(read_blocks(bytes(damaged), source.name, notes), notes)
        metadata = replace(metadata, icc=b"")
        for target in FORMATS:
            picture = Picture(Path("damaged"), luma, None, target, metadata, notes)
            image = join(picture, np.zeros((2, 2, 2), np.float32), 1.0, target)
            assert Image.open(io.BytesIO(encode(image, metadata, None, notes))).size == (12, 8)
