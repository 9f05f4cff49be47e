"""Decodes a picture for training, and decides whether it is a photograph in colour."""

from __future__ import annotations

import io
from collections import Counter

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

MIN_CHROMA = 4.0
"""Mean distance from grey in the CbCr plane, in 8-bit steps, below which a picture is grey."""
MIN_CHROMA_STD = 2.0
"""Standard deviation of chroma among pixels of the same luma, in 8-bit steps, below which a picture
is toned, as sepia prints: its chroma follows from its luma."""
MAX_ASPECT = 3.0
FLAT_SHARE = 0.35
"""Share of pixels of one colour from which a picture is a drawing or an object on white."""
MIN_SIDE, ENLARGED_SIDE = 64, 96
"""Shorter side in pixels below which a picture is tiny, and below which it is enlarged twice, as
`train` does not use pictures that are much smaller than its squares."""

BLACK, LIT_SHARE = 24, 0.02
"""Largest value of red, green and blue of a black pixel, and share of pixels above it from which a
row or column does not belong to a black bar."""


class SkippedPictureError(Exception):
    """A picture is not used; the message is the reason, in a word or two."""


def decode(content: bytes, side: int) -> Image.Image:
    """Returns an upright RGB picture whose shorter side is at most `side` pixels.

    Raises SkippedPictureError, or whatever a decoder raises for a broken picture.
    """
    opened = Image.open(io.BytesIO(content))
    shorter, longer = sorted(opened.size)
    if shorter < MIN_SIDE:
        raise SkippedPictureError("tiny")
    if longer > MAX_ASPECT * shorter:
        raise SkippedPictureError("narrow")
    if opened.mode in ("1", "L", "I", "I;16", "F"):
        raise SkippedPictureError("grey")
    if opened.format == "JPEG":
        opened.draft("RGB", (side, side))  # decodes at 1/2, 1/4 or 1/8, not below `side`
    image: Image.Image = ImageOps.exif_transpose(opened)
    if image.mode in ("RGBA", "LA", "PA", "P"):
        image = image.convert("RGBA")
        if int(np.asarray(image.getchannel("A")).min()) < 255:
            raise SkippedPictureError("transparent")
    image = trim_bars(image.convert("RGB"))
    if min(image.size) < MIN_SIDE:
        raise SkippedPictureError("tiny")
    if min(image.size) < ENLARGED_SIDE:
        image = image.resize((2 * image.width, 2 * image.height), Image.Resampling.LANCZOS)
    if min(image.size) > side:
        size = [max(side, round(edge * side / min(image.size))) for edge in image.size]
        image = image.resize((size[0], size[1]), Image.Resampling.LANCZOS)
    return image


def trim_bars(image: Image.Image) -> Image.Image:
    """Returns the picture without black bars on two opposite sides, as of letterboxed pictures.

    A dark edge on one side only belongs to the picture. A black picture is returned as it is.
    """
    lit = np.asarray(image).max(axis=2) > BLACK
    rows = np.flatnonzero(lit.mean(axis=1) > LIT_SHARE)
    columns = np.flatnonzero(lit.mean(axis=0) > LIT_SHARE)
    if not rows.size or not columns.size:
        return image
    left, top, right, bottom = 0, 0, image.width, image.height
    if rows[0] > 0 and rows[-1] < image.height - 1:
        top, bottom = int(rows[0]), int(rows[-1]) + 1
    if columns[0] > 0 and columns[-1] < image.width - 1:
        left, right = int(columns[0]), int(columns[-1]) + 1
    return image.crop((left, top, right, bottom))


def check_content(image: Image.Image) -> None:
    """Raises SkippedPictureError for a grey or toned picture or a flat graphic."""
    small = image.resize((64, 64), Image.Resampling.BOX)
    planes: NDArray[np.uint8] = np.asarray(small.convert("YCbCr"))
    chroma = planes[..., 1:].astype(np.float32) - 128
    if float(np.hypot(chroma[..., 0], chroma[..., 1]).mean()) < MIN_CHROMA:
        raise SkippedPictureError("grey")
    if np.bincount(planes[..., 0].ravel() // 4).max() > FLAT_SHARE * planes[..., 0].size:
        colours = Counter(map(bytes, (np.asarray(small) // 4).reshape(-1, 3)))
        if colours.most_common(1)[0][1] > FLAT_SHARE * planes[..., 0].size:
            raise SkippedPictureError("flat")
    if chroma_std_at_equal_luma(planes[..., 0], chroma) < MIN_CHROMA_STD:
        raise SkippedPictureError("toned")


def chroma_std_at_equal_luma(luma: NDArray[np.uint8], chroma: NDArray[np.float32]) -> float:
    """Returns the standard deviation of chroma `(H, W, 2)` within 16 bins of luma `(H, W)`."""
    bins, values = luma.ravel() // 16, chroma.reshape(-1, 2)
    counts = np.maximum(np.bincount(bins, minlength=16), 1)
    squares = 0.0
    for channel in (values[:, 0], values[:, 1]):
        means = np.bincount(bins, channel, 16) / counts
        squares += float(((channel - means[bins]) ** 2).sum())
    return float(np.sqrt(squares / bins.size))
