"""Decides which colours the three components of a lossless JPEG are.

ITU-T T.81 does not state them. Sources: the markers of JFIF and of Adobe (Technical Note 5116),
the rules of libjpeg-turbo (`default_decompress_parms`) and those of FFmpeg (`mjpegdec.c`).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from batchcolor.errors import ProcessingError
from batchcolor.images.jpeg_stream.jpeg_frame import JpegFrame

COMPONENTS_OFFSET, COMPONENT_SIZE = 10, 3
RGB_IDENTIFIERS = tuple(b"RGB")
TRANSFORM_BITS = 9
"""Bits of a component where RGB of 8 bits is stored as sum and differences."""
LIMITED_RANGE = b"CS=ITU601"
"""FFmpeg's comment for luma of 16..235."""
FFMPEG = b"Lavc"
BLACK, WHITE = 16, 235


class JpegColors(Enum):
    """What three components are."""

    RGB = auto()
    YCBCR = auto()
    REVERSIBLE_TRANSFORM = auto()
    """FFmpeg's and Pegasus' transform of RGB: (R + 2 G + B) / 4, B - G, R - G."""


@dataclass(frozen=True)
class ColorStatement:
    """The colours of a file, and whether its luma is 16..235. `note` is not empty for a guess."""

    colors: JpegColors
    is_limited: bool = False
    note: str = ""


def read_colors(data: bytes, frame: JpegFrame, header: Image.Image) -> ColorStatement:
    """Returns the colours of a lossless frame of three components.

    Raises ProcessingError where its first component has fewer samples than the others.
    """
    start = frame.offset + COMPONENTS_OFFSET
    table = data[start : start + COMPONENT_SIZE * frame.components]
    identifiers, factors = tuple(table[::COMPONENT_SIZE]), table[1::COMPONENT_SIZE]
    comments = [content for name, content in getattr(header, "applist", ()) if name == "COM"]
    is_limited = frame.precision == 8 and any(text.startswith(LIMITED_RANGE) for text in comments)
    ycbcr = ColorStatement(JpegColors.YCBCR, is_limited)
    if len(set(factors)) > 1:
        _check_luma_is_largest(frame, factors)
        return ycbcr
    transform = header.info.get("adobe_transform")
    if transform == 1 or "jfif" in header.info:
        return ycbcr
    if transform == 0 or identifiers == RGB_IDENTIFIERS:
        return ColorStatement(JpegColors.RGB)
    if frame.precision == TRANSFORM_BITS:
        return ColorStatement(JpegColors.REVERSIBLE_TRANSFORM)
    if any(text.startswith(FFMPEG) for text in comments):
        return ycbcr
    return ColorStatement(JpegColors.RGB, note="its colour space is not stated: read as RGB")


def undo_reversible_transform(samples: NDArray[Any]) -> NDArray[np.uint8]:
    """Returns RGB `(H, W, 3)` of sum and differences, whose predictions wrap at 9 bits."""
    size = 1 << TRANSFORM_BITS
    values = samples.astype(np.int32) % size
    blue, red = (values[..., index] - size // 2 for index in (1, 2))
    green = values[..., 0] - ((blue + red) >> 2)
    rgb = np.stack([red + green, green, blue + green], -1)
    pixels: NDArray[np.uint8] = np.clip(rgb, 0, 255).astype(np.uint8)
    return pixels


def expand_limited_range(luma: NDArray[Any]) -> NDArray[np.uint8]:
    """Returns luma 0..255 of luma 16..235."""
    table = (np.arange(256, dtype=np.float64) - BLACK) * 255 / (WHITE - BLACK)
    expanded: NDArray[np.uint8] = np.clip(table + 0.5, 0, 255).astype(np.uint8)[luma]
    return expanded


def _check_luma_is_largest(frame: JpegFrame, factors: bytes) -> None:
    pairs = [(factor >> 4, factor & 15) for factor in factors]
    if pairs[0] != (max(h for h, _ in pairs), max(v for _, v in pairs)):
        reason = f"{frame.process} whose first component is subsampled: no decoder here reads it"
        raise ProcessingError("decode", reason)
