"""Colours pictures in memory with the steps of a job."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from batchcolor.color import rgb_to_luma
from batchcolor.errors import ProcessingError
from batchcolor.hooks.manager import Plugins
from batchcolor.images.formats import PNG
from batchcolor.images.join import join
from batchcolor.images.picture import Picture, RgbArray, resize_luma
from batchcolor.inference.runner import Runner


def make_gray(rgb: RgbArray, path: Path = Path("picture")) -> Picture:
    """Returns the grey picture with the luma of a colour picture (BT.601, 8 bits)."""
    return Picture(path, rgb_to_luma(rgb), None, PNG)


def colorize_batches(
    pictures: Iterable[Picture], runner: Runner, plugins: Plugins, strength: float = 1.0
) -> Iterator[RgbArray | ProcessingError]:
    """Yields each picture in colour, or its failure, in order; one batch is in memory at a time.

    The steps of `pipeline/stages.py`: luma square, batch, chroma, filters of plugins, join.
    """
    remaining = iter(pictures)
    while batch := list(islice(remaining, runner.squares_at_once)):
        squares = [resize_luma(picture.luma, runner.working_size) for picture in batch]
        fields = runner.run(squares)
        for picture, square, chroma in zip(batch, squares, fields, strict=True):
            yield _apply_filtered_chroma(picture, square, chroma, plugins, strength)


def apply_constant_chroma(
    pictures: Iterable[Picture], chroma: tuple[float, float]
) -> Iterator[RgbArray | ProcessingError]:
    """Yields each picture with one Cb and Cr everywhere: a baseline for every colorizer."""
    field = np.array(chroma, np.float32).reshape(2, 1, 1)
    for picture in pictures:
        try:
            yield apply_chroma(picture, field, 1.0)
        except ProcessingError as error:
            yield error


def _apply_filtered_chroma(
    picture: Picture,
    square: NDArray[np.float32],
    chroma: NDArray[np.float32] | ProcessingError,
    plugins: Plugins,
    strength: float,
) -> RgbArray | ProcessingError:
    if isinstance(chroma, ProcessingError):
        return chroma
    try:
        if plugins.filters_chroma:
            chroma = plugins.filter_chroma(chroma, square, picture)
        return apply_chroma(picture, chroma, strength)
    except ProcessingError as error:
        return error


def apply_chroma(picture: Picture, chroma: NDArray[np.float32], strength: float) -> RgbArray:
    """Returns a picture with the chroma `(2, s, s)`, 8 bits a sample, as a job would write it."""
    rgb = join(picture, chroma, strength, PNG).rgb
    assert rgb is not None
    if rgb.dtype == np.uint16:
        rgb = (rgb >> 8).astype(np.uint8)
    return rgb[..., :3].astype(np.uint8, copy=False)
