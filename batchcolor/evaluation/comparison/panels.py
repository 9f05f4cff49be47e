"""A row of a comparison: one picture's panels, brought to the size that they are shown at."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from PIL import Image

from batchcolor.errors import ProcessingError
from batchcolor.evaluation.inference import RGB, make_gray
from batchcolor.hooks.manager import Plugins
from batchcolor.images import metadata
from batchcolor.images.decode import decode, estimate_memory
from batchcolor.images.formats import JPEG, PNG
from batchcolor.images.picture import Picture
from batchcolor.images.pixel_modes import ORIENTATION_TRANSFORMS
from batchcolor.images.scan import ScannedFile
from batchcolor.pipeline.settings import MAX_PIXELS
from batchcolor.training.store import GREY

COLOUR_MODES = frozenset({"RGB", "RGBA", "RGBX", "RGBa", "P", "PA", "CMYK", "YCbCr", "HSV"})
SQUARE = 64
"""Side at which a picture is judged grey or not, as training judges it."""
TONED = 2.2
"""Spread of Cb, Cr among pixels of one luma, in 8-bit steps, below which a picture is toned.

Of 200 colour photographs two lie below, a toned one and one on white; of 30 old prints, one above.
"""

Output = RGB | ProcessingError


@dataclass(frozen=True)
class ComparisonRow:
    """One picture: all panels of one size, or `failure`, why it could not be read.

    `size` is the file's own width and height; `true` is None where there is no truth;
    `outputs` is by model and strength, a ProcessingError where that one failed.
    """

    name: str
    size: tuple[int, int] = (0, 0)
    grey: RGB | None = None
    true: RGB | None = None
    outputs: dict[tuple[str, float], Output] = field(default_factory=dict)
    failure: str = ""

    def fitted(self, side: int) -> ComparisonRow:
        """The row with panels whose long side is about `side`."""

        def fit(panel: Output | None) -> Any:
            return (
                panel
                if panel is None or isinstance(panel, ProcessingError)
                else fitted(panel, side)
            )

        outputs = {key: fit(output) for key, output in self.outputs.items()}
        return replace(self, grey=fit(self.grey), true=fit(self.true), outputs=outputs)

    def failures(self) -> Iterator[tuple[str, str]]:
        """The name with the reason, once a reason."""
        if self.failure:
            yield self.name, self.failure
        reasons = [it.reason for it in self.outputs.values() if isinstance(it, ProcessingError)]
        for reason in dict.fromkeys(reasons):
            yield self.name, reason


def difference(one: RGB, other: RGB) -> RGB:
    """Absolute difference of RGB, times 2, on black."""
    apart = np.abs(one.astype(np.int16) - other.astype(np.int16))
    doubled: RGB = np.minimum(2 * apart, 255).astype(np.uint8)
    return doubled


def grey_of(picture: Picture) -> RGB:
    """The picture's 8-bit luma as RGB."""
    return np.repeat(picture.luma[..., None], 3, axis=2).astype(np.uint8)


def fitted(rgb: RGB, side: int) -> RGB:
    """Shrunk so that the long side is `side`; small pictures enlarged by whole pixels."""
    height, width = rgb.shape[:2]
    long = max(height, width)
    if long > side:
        size = (max(1, round(width * side / long)), max(1, round(height * side / long)))
        return np.asarray(_shrunk(Image.fromarray(rgb), size))
    times = side // long
    return rgb.repeat(times, axis=0).repeat(times, axis=1)


def colourful(rgb: RGB) -> bool:
    """Whether a picture is one in colour: neither grey, by the rule of training, nor toned.

    In a sepia print or a tinted scan colour follows from luma alone: pixels of one luma have
    nearly one colour, which they never have in a colour photograph.
    """
    square = Image.fromarray(rgb).resize((SQUARE, SQUARE), Image.Resampling.LANCZOS)
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
    return bool(spread >= TONED**2)


def load(
    found: ScannedFile, side: int, least: int, plugins: Plugins
) -> tuple[Picture, RGB | None, tuple[int, int]]:
    """The grey picture for the models, its truth or None, its own width and height.

    Both are shrunk so far that the panel, and what a model looks at, lose nothing.
    """
    readers = plugins.readers()
    estimate_memory(found, MAX_PIXELS, readers)
    luma = decode(found, MAX_PIXELS, readers).luma
    height, width = luma.shape
    scale = min(1.0, max(side / max(width, height), least / min(width, height)))
    small = (max(1, round(width * scale)), max(1, round(height * scale)))
    true = _colours(found, small, plugins)
    if true is not None and colourful(true):
        return make_gray(true, found.path), true, (width, height)
    if luma.dtype == np.uint16:
        luma = (luma >> 8).astype(np.uint8)
    shrunk = np.asarray(_shrunk(Image.fromarray(luma), small))
    return Picture(found.path, shrunk, None, PNG), None, (width, height)


def _colours(found: ScannedFile, size: tuple[int, int], plugins: Plugins) -> RGB | None:
    """The file's own RGB, upright, as large as asked; None for kinds that have no colour."""
    for reader in plugins.readers():
        if found.format and not found.format.writable and reader.name == found.format.name:
            pixels: Any = np.asarray(reader.decode(found.path))
            if pixels.ndim == 2:
                return None
            if pixels.dtype == np.uint16:
                pixels = pixels >> 8
            rgb = Image.fromarray(np.ascontiguousarray(pixels[..., :3].astype(np.uint8)))
            return np.asarray(_shrunk(rgb, size))
    try:
        with Image.open(found.path) as image:
            if image.mode not in COLOUR_MODES:
                return None
            _, orientation = metadata.read(image, [])
            turned = orientation >= 5
            size = size[::-1] if turned else size
            if found.format == JPEG:
                image.draft("RGB", (2 * size[0], 2 * size[1]))
            stored = np.asarray(_shrunk(image.convert("RGB"), size))
    except (OSError, ValueError, SyntaxError) as error:
        raise ProcessingError("decode", f"its colours cannot be read: {error}") from error
    turn = ORIENTATION_TRANSFORMS.get(orientation)
    if turn is None:
        return stored
    return np.stack([turn(stored[..., band]) for band in range(3)], axis=2)


def _shrunk(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    if image.size == size:
        return image
    return image.resize(size, Image.Resampling.LANCZOS, reducing_gap=3.0)
