"""Pictures through a colorizer as a job sends them, but kept in memory: nothing is written."""

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
from batchcolor.images.picture import Picture, resize_luma
from batchcolor.inference.runner import Runner

RGB = NDArray[np.uint8]
"""`(H, W, 3)`, 8 bits a sample, gamma-encoded as stored."""


def make_gray(rgb: RGB, path: Path = Path("picture")) -> Picture:
    """The picture that a colour picture becomes by its own luma (BT.601, 8 bit)."""
    return Picture(path, rgb_to_luma(rgb), None, PNG)


def colorize_batches(
    pictures: Iterable[Picture], runner: Runner, plugins: Plugins, strength: float = 1.0
) -> Iterator[RGB | ProcessingError]:
    """Each picture in colour, or why it has none, in order; a batch at a time is held.

    The steps of `job/pipeline.py`: small square, batch, chroma, plugins' filters, join.
    """
    line = iter(pictures)
    while batch := list(islice(line, runner.batch_size)):
        squares = [resize_luma(picture.luma, runner.working_size) for picture in batch]
        fields = runner.run(squares)
        for picture, square, chroma in zip(batch, squares, fields, strict=True):
            yield _apply_filtered_chroma(picture, square, chroma, plugins, strength)


def apply_constant_chroma(
    pictures: Iterable[Picture], chroma: tuple[float, float]
) -> Iterator[RGB | ProcessingError]:
    """Each picture with one chroma, Cb and Cr, all over: what a colorizer must be better than."""
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
) -> RGB | ProcessingError:
    if isinstance(chroma, ProcessingError):
        return chroma
    try:
        if plugins.filters_chroma:
            chroma = plugins.filter_chroma(chroma, square, picture)
        return apply_chroma(picture, chroma, strength)
    except ProcessingError as error:
        return error


def apply_chroma(picture: Picture, chroma: NDArray[np.float32], strength: float) -> RGB:
    """A picture with this small chroma `(2, s, s)`, as a job would write it."""
    rgb = join(picture, chroma, strength, PNG).rgb
    assert rgb is not None
    if rgb.dtype == np.uint16:
        rgb = (rgb >> 8).astype(np.uint8)
    return rgb[..., :3].astype(np.uint8, copy=False)
