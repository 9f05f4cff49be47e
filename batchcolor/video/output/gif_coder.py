"""Codes the frames of a GIF: of each the rectangle that has changed (GIF 89a, sections 18 to 23).

Within it, pixels that are shown already are transparent. FFmpeg's encoder does so only for frames
that have the global palette.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

import numpy as np
from av.video.frame import VideoFrame
from numpy.typing import NDArray
from PIL import GifImagePlugin, Image

from batchcolor.video.color_conversion import to_rgb
from batchcolor.video.output.changed_area import Area, find_area
from batchcolor.video.output.frame_coder import CodedFrame
from batchcolor.video.output.gif_palette import ALPHA_THRESHOLD, TRANSPARENT, GifPalette, Palette
from batchcolor.video.output.output_spec import OutputSpec

KEEP, CLEAR = 1, 2
"""Disposal methods: the frame stays, or its rectangle becomes transparent after it."""
MAX_UNSEEN_CHANGE = 3
"""Levels by which a pixel may differ from the one that is shown, in any channel. Error diffusion
moves pixels by more."""
TABLE_OF_256 = 0xF7
"""Flags of a logical screen with a global table of 256 colours."""


@dataclass(frozen=True)
class _Frame:
    pts: int
    pixels: NDArray[np.uint8]
    """`(height, width, 4)`, in the order B, G, R, A."""

    @property
    def is_opaque(self) -> NDArray[np.bool_]:
        return self.pixels[..., 3] >= ALPHA_THRESHOLD


class GifCoder:
    """Codes the frames of one segment, with a delay of one frame.

    Where a pixel becomes transparent, all that is shown has to be cleared before, so the next frame
    decides about the disposal of each. The first packet has the header, with the first palette.
    """

    def __init__(self, output: OutputSpec) -> None:
        self._output = output
        self._palette = GifPalette(output.width, output.height)
        self._global: Palette | None = None
        self._waiting: _Frame | None = None
        self._shown = np.zeros((output.height, output.width, 3), np.int16)
        self._is_shown = np.zeros((output.height, output.width), bool)
        """Where something is shown before the waiting frame."""

    def encode(self, frame: VideoFrame | None) -> list[CodedFrame]:
        """As `FrameCoder.encode`."""
        following = None
        if frame is not None:
            assert frame.pts is not None
            converted = to_rgb(frame, self._output.frame_format, "bgra")
            pixels = converted.to_ndarray().astype(np.uint8, copy=False)
            following = _Frame(frame.pts, pixels)
        current, self._waiting = self._waiting, following
        return [] if current is None else [self._code(current, following)]

    def _code(self, frame: _Frame, following: _Frame | None) -> CodedFrame:
        """Codes a frame; `following` is None for the last of a segment."""
        is_opaque = frame.is_opaque
        if following is None:
            is_cleared = self._output.frame_format.has_alpha
        else:
            is_cleared = bool((is_opaque & ~following.is_opaque).any())
        colors = frame.pixels[..., :3].astype(np.int16)
        is_near = (np.abs(colors - self._shown) <= MAX_UNSEEN_CHANGE).all(axis=2)
        is_drawn = is_opaque & ~(self._is_shown & is_near)
        # What is cleared is a rectangle, and all that is shown has to be in it.
        area = find_area(is_opaque if is_cleared else is_drawn)
        reduced = np.where(is_drawn, self._palette.reduce(frame.pixels), TRANSPARENT)
        is_first = self._global is None
        data = self._build(area, area.crop(reduced), CLEAR if is_cleared else KEEP)
        self._shown = np.where(is_drawn[..., None], colors, self._shown)
        self._is_shown = np.zeros_like(is_opaque) if is_cleared else self._is_shown | is_opaque
        return CodedFrame(frame.pts, data, is_first)

    def _build(self, area: Area, reduced: NDArray[np.uint8], disposal: int) -> bytes:
        """Returns the packet of a frame: control, descriptor, table and compressed pixels."""
        palette, header = self._palette.colors, b""
        assert palette is not None
        if self._global is None:
            self._global, header = palette, self._build_header(palette)
        image = Image.fromarray(np.ascontiguousarray(reduced))
        image.putpalette(_list_colors(palette))
        blocks = GifImagePlugin.getdata(
            image,
            (area.left, area.top),
            transparency=TRANSPARENT,
            disposal=disposal,
            duration=0,
            include_color_table=palette is not self._global,
        )
        return header + b"".join(blocks)

    def _build_header(self, palette: Palette) -> bytes:
        size = struct.pack("<HH", self._output.width, self._output.height)
        flags = bytes((TABLE_OF_256, TRANSPARENT, 0))
        return b"GIF89a" + size + flags + _list_colors(palette)


def _list_colors(palette: Palette) -> bytes:
    """Returns R, G and B of all colours."""
    return np.ascontiguousarray(palette[:, 2::-1]).tobytes()
