"""Panels of a comparison: the source, results, true colours and differences of one picture."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from PIL import Image

from batchcolor.errors import ProcessingError
from batchcolor.evaluation.inference import make_gray
from batchcolor.hooks.manager import Plugins, format_error
from batchcolor.hooks.types import Reader, ReadImage
from batchcolor.images.decode import decode
from batchcolor.images.formats import JPEG, PNG
from batchcolor.images.header import estimate_memory
from batchcolor.images.metadata.pillow import read_metadata
from batchcolor.images.picture import Picture, RgbArray
from batchcolor.images.pixel_modes import ORIENTATION_TRANSFORMS
from batchcolor.images.scan import ScannedFile
from batchcolor.pipeline.options.settings import MAX_PIXELS
from batchcolor.training.store import GREY

COLOUR_MODES = frozenset({"RGB", "RGBA", "RGBX", "RGBa", "P", "PA", "CMYK", "YCbCr", "HSV"})
COLOUR_CHECK_SIDE = 64
"""Side in pixels at which a picture is classified as grey or in colour, as in training."""
MIN_CHROMA_SPREAD = 2.2
"""Spread of Cb, Cr among pixels of equal luma, in 8-bit steps, below which a picture is toned.

Of 200 colour photographs two are below, a toned one and one on white; of 30 old prints one is
above.
"""

Panel = RgbArray | ProcessingError
"""Pixels, or the reason why there are none."""


@dataclass(frozen=True)
class ComparisonRow:
    """One picture with its panels, all of one size; `failure` if it could not be read.

    `size` is the width and height of the file; `true` is None for a source without colours;
    `outputs` has a panel for each model and strength.
    """

    name: str
    size: tuple[int, int] = (0, 0)
    grey: RgbArray | None = None
    true: RgbArray | None = None
    outputs: dict[tuple[str, float], Panel] = field(default_factory=dict)
    failure: str = ""

    def resize_panels(self, side: int) -> ComparisonRow:
        """Returns the row with panels resized by `fit_panel`."""

        def resize(panel: Panel | None) -> Any:
            return fit_panel(panel, side) if isinstance(panel, np.ndarray) else panel

        outputs = {key: resize(output) for key, output in self.outputs.items()}
        return replace(self, grey=resize(self.grey), true=resize(self.true), outputs=outputs)

    def list_failures(self) -> Iterator[tuple[str, str]]:
        """Yields the name with each reason once."""
        if self.failure:
            yield self.name, self.failure
        reasons = [
            output.reason for output in self.outputs.values() if isinstance(output, ProcessingError)
        ]
        for reason in dict.fromkeys(reasons):
            yield self.name, reason


def render_difference(output: RgbArray, true: RgbArray) -> RgbArray:
    """Returns twice the absolute difference of RGB; 0 is black."""
    absolute = np.abs(output.astype(np.int16) - true.astype(np.int16))
    doubled: RgbArray = np.minimum(2 * absolute, 255).astype(np.uint8)
    return doubled


def luma_to_rgb(picture: Picture) -> RgbArray:
    """Returns the 8-bit luma of a picture as RGB."""
    return np.repeat(picture.luma[..., None], 3, axis=2).astype(np.uint8)


def fit_panel(rgb: RgbArray, side: int) -> RgbArray:
    """Returns a picture reduced to a long side of `side`, or enlarged by an integer factor."""
    height, width = rgb.shape[:2]
    long = max(height, width)
    if long > side:
        size = (max(1, round(width * side / long)), max(1, round(height * side / long)))
        return np.asarray(_resize(Image.fromarray(rgb), size))
    factor = side // long
    return rgb.repeat(factor, axis=0).repeat(factor, axis=1)


def has_colour(rgb: RgbArray) -> bool:
    """Returns whether a picture is in colour: neither grey, by the rule of training, nor toned.

    In a sepia print or a tinted scan chroma is a function of luma: pixels of equal luma have
    nearly equal chroma. In a colour photograph they have not.
    """
    size = (COLOUR_CHECK_SIDE, COLOUR_CHECK_SIDE)
    square = Image.fromarray(rgb).resize(size, Image.Resampling.LANCZOS)
    planes = np.asarray(square.convert("YCbCr"), np.float64).reshape(-1, 3)
    chroma = planes[:, 1:] - 128
    if float(np.hypot(chroma[:, 0], chroma[:, 1]).mean()) < GREY:
        return False
    level = (planes[:, 0] / 16).astype(np.int64)
    counts = np.maximum(np.bincount(level), 1)
    spread = 0.0
    for plane in chroma.T:
        mean = np.bincount(level, plane) / counts
        spread += float(((plane - mean[level]) ** 2).mean())
    return bool(spread >= MIN_CHROMA_SPREAD**2)


def load_picture(
    source: ScannedFile, side: int, min_short_side: int, plugins: Plugins
) -> tuple[Picture, RgbArray | None, tuple[int, int]]:
    """Returns the grey picture for the models, its true colours or None, and width and height.

    Both are reduced to a long side of `side`, but not below a short side of `min_short_side`.
    Raises ProcessingError.
    """
    readers = plugins.readers()
    estimate_memory(source, MAX_PIXELS, readers)
    luma = decode(source, MAX_PIXELS, readers).luma
    height, width = luma.shape
    scale = min(1.0, max(side / max(width, height), min_short_side / min(width, height)))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    true = _read_colours(source, size, plugins)
    if true is not None and has_colour(true):
        return make_gray(true, source.path), true, (width, height)
    if luma.dtype == np.uint16:
        luma = (luma >> 8).astype(np.uint8)
    reduced = np.asarray(_resize(Image.fromarray(luma), size))
    return Picture(source.path, reduced, None, PNG), None, (width, height)


def _read_colours(source: ScannedFile, size: tuple[int, int], plugins: Plugins) -> RgbArray | None:
    """Returns the RGB of a file, upright, in this width and height; None if it has one channel."""
    for reader in plugins.readers():
        if source.format and not source.format.is_writable and reader.name == source.format.name:
            return _read_plugin_colours(source, reader, size)
    try:
        with Image.open(source.path) as image:
            if image.mode not in COLOUR_MODES:
                return None
            _, orientation = read_metadata(image, [])
            is_rotated = orientation >= 5
            size = size[::-1] if is_rotated else size
            if source.format == JPEG:
                image.draft("RGB", (2 * size[0], 2 * size[1]))
            stored = np.asarray(_resize(image.convert("RGB"), size))
    except (OSError, ValueError, SyntaxError) as error:
        raise ProcessingError("decode", f"the colours cannot be read: {error}") from error
    transform = ORIENTATION_TRANSFORMS.get(orientation)
    if transform is None:
        return stored
    return np.stack([transform(stored[..., band]) for band in range(3)], axis=2)


def _read_plugin_colours(
    source: ScannedFile, reader: Reader, size: tuple[int, int]
) -> RgbArray | None:
    """Returns what `_read_colours` does, through a plugin's reader that `decode` has checked."""
    try:
        read: Any = reader.decode(source.path)
    except Exception as error:  # a plugin may raise any error; only this picture fails
        reason = f"the colours cannot be read: {format_error(error)}"
        raise ProcessingError("decode", reason) from error
    pixels: Any = np.asarray(read.pixels if isinstance(read, ReadImage) else read)
    if pixels.ndim == 2 or pixels.shape[2] == 1:
        return None
    if pixels.dtype == np.uint16:
        pixels = pixels >> 8
    rgb = Image.fromarray(np.ascontiguousarray(pixels.astype(np.uint8)))
    return np.asarray(_resize(rgb, size))


def _resize(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    if image.size == size:
        return image
    return image.resize(size, Image.Resampling.LANCZOS, reducing_gap=3.0)
