"""Format of video frames: size, pixel format, colour, fields and display geometry."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum
from fractions import Fraction

from batchcolor.color import BT601, BT709, BT2020, Matrix
from batchcolor.video.hdr import HLG, PQ, DynamicRange

LIMITED_RANGE, FULL_RANGE = 1, 2
"""AVCOL_RANGE_MPEG, AVCOL_RANGE_JPEG."""
MATRIX_BT709, MATRIX_BT601 = 1, 6
"""Matrix coefficients of ITU-T H.273, table 4."""
MATRICES = {1: BT709, 5: BT601, 6: BT601, 9: BT2020, 10: BT2020}
"""Supported matrix coefficients, by the same code points."""
HD_WIDTH, HD_HEIGHT = 1280, 576
"""Frames at least so wide, or higher than this, are BT.709 if untagged, as in players."""
BIT_DEPTHS = (8, 10, 12, 14, 16)
"""Bits per sample of planar YUV pixel formats that FFmpeg names and encoders offer."""
SAMPLES_PER_PIXEL = {"411": 1.5, "420": 1.5, "422": 2.0, "444": 3.0}


class FieldOrder(Enum):
    """Which field of a frame is shown first; the value is the mode of FFmpeg's `setfield`."""

    PROGRESSIVE = "prog"
    TOP_FIRST = "tff"
    BOTTOM_FIRST = "bff"


@dataclass(frozen=True)
class Fields:
    """Whether and how frames are interlaced."""

    order: FieldOrder = FieldOrder.PROGRESSIVE
    """That of the film, or of most of its first frames if it changes."""
    is_flagged: bool = False
    """Whether the frames state it; else only the header of the stream does."""
    is_mixed: bool = False
    """Whether it changes between frames, as in films with pulldown."""
    header_code: int = 0
    """AVFieldOrder that the header of a result states; 0 where nothing is known."""


@dataclass(frozen=True)
class ColorTags:
    """Colour description of a stream, in code points of ITU-T H.273 (`range` in FFmpeg's)."""

    range: int = 0
    matrix: int = 2
    primaries: int = 2
    transfer: int = 2


@dataclass(frozen=True)
class FrameFormat:
    """Format of planar YUV frames as they are stored, before rotation.

    `pixel_format` is FFmpeg's name of a planar YUV format of 8 to 16 bits. `matrix` is the one that
    `tags` name or, without a tag, the one that players assume.
    """

    width: int
    height: int
    pixel_format: str
    matrix: Matrix
    tags: ColorTags = ColorTags()
    rotation: int = 0
    """Degrees, 0, 90, 180 or 270, by which players rotate frames counterclockwise."""
    display_matrix: tuple[int, ...] = ()
    """Its nine numbers; empty if there is none."""
    sample_aspect_ratio: Fraction | None = None
    """Width of a sample divided by its height; None if unknown."""
    fields: Fields = Fields()

    @property
    def bits(self) -> int:
        """Bits per sample, one of `BIT_DEPTHS`."""
        depth = re.search(r"p(\d+)le$", self.pixel_format)
        return int(depth[1]) if depth else 8

    @property
    def chroma(self) -> str:
        """Chroma subsampling: 411, 420, 422 or 444."""
        return self.pixel_format.removeprefix("yuv").removeprefix("a")[:3]

    @property
    def has_alpha(self) -> bool:
        """Whether a fourth plane holds transparency."""
        return self.pixel_format.startswith("yuva")

    @property
    def is_full_range(self) -> bool:
        """Whether samples use the full range instead of 16 to 235 (at 8 bits)."""
        return self.tags.range == FULL_RANGE

    @property
    def dynamic_range(self) -> DynamicRange | None:
        """High dynamic range of PQ or HLG; None for standard range."""
        if self.tags.transfer not in (PQ, HLG):
            return None
        return DynamicRange(self.tags.transfer, self.tags.primaries)

    @property
    def is_interlaced(self) -> bool:
        """Whether a frame holds two fields of different times."""
        return self.fields.order is not FieldOrder.PROGRESSIVE

    @property
    def frame_bytes(self) -> int:
        """Memory of one frame."""
        samples = SAMPLES_PER_PIXEL[self.chroma] + self.has_alpha
        return int(self.width * self.height * samples * (2 if self.bits > 8 else 1))


def name_pixel_format(chroma: str, bits: int, *, has_alpha: bool = False) -> str:
    """Returns FFmpeg's name of a planar YUV format; `chroma` is 411, 420, 422 or 444."""
    return f"yuv{'a' * has_alpha}{chroma}p{f'{bits}le' if bits > 8 else ''}"


def choose_default_matrix(width: int, height: int) -> tuple[Matrix, int]:
    """Returns the matrix that players assume for untagged frames, and its H.273 code point."""
    if width >= HD_WIDTH or height > HD_HEIGHT:
        return BT709, MATRIX_BT709
    return BT601, MATRIX_BT601
