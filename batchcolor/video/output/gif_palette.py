"""Reduces frames to a palette of 255 colours and transparency, for GIF."""

from __future__ import annotations

from fractions import Fraction

import av.filter
import numpy as np
from av.error import FFmpegError
from av.filter.context import FilterContext
from av.video.format import VideoFormat
from av.video.frame import VideoFrame
from numpy.typing import NDArray

from batchcolor.errors import ProcessingError
from batchcolor.video.ffmpeg import format_av_error
from batchcolor.video.planes import view_plane

ALPHA_THRESHOLD = 128
"""Alpha from which a pixel is opaque; a GIF pixel is opaque or transparent."""
TRANSPARENT = 255
"""Place of the transparent colour in the palette."""
SIDE = 16
"""FFmpeg's palettes are pictures of 16 x 16 pixels."""
TICK = Fraction(1, 1000)
SAMPLES = 4096
"""Pixels of a frame whose error decides whether a palette still fits."""
MAX_RATIO, MAX_EXCESS = 1.25, 0.75
"""A palette fits a frame while its mean error, in levels, is at most so many times that of the
frame's own palette, and so much more."""

Palette = NDArray[np.uint8]
"""Colours `(256, 4)` in the order B, G, R, A."""
Pixels = NDArray[np.uint8]
"""A frame `(height, width, 4)` in the order B, G, R, A."""


class GifPalette:
    """FFmpeg's `palettegen` and `paletteuse` filters; a palette is kept while it fits.

    Sierra error diffusion preserves the mean luma of small areas: its error over 8 x 8 pixels is
    0.15 of 255, that of an ordered pattern 0.5.
    """

    def __init__(self, width: int, height: int) -> None:
        self._size = width, height
        self.colors: Palette | None = None
        """The palette of the frame that was reduced last."""
        self._generator = _Filter("palettegen", "stats_mode=single:reserve_transparent=1")
        self._generator.open([self._size])
        self._mapper = _Filter("paletteuse", f"dither=sierra2_4a:alpha_threshold={ALPHA_THRESHOLD}")

    def reduce(self, pixels: Pixels) -> NDArray[np.uint8]:
        """Returns the places of the colours in the palette `(height, width)`.

        Raises ProcessingError.
        """
        own = self._generator.apply(_make_frame(pixels))
        colors = own.to_ndarray().reshape(-1, 4).astype(np.uint8, copy=False)
        if self.colors is None or not _fits(pixels, self.colors, colors):
            self.colors = colors
            self._mapper.open([self._size, (SIDE, SIDE)])
            self._mapper.push(1, own)
        reduced = self._mapper.apply(_make_frame(pixels))
        return view_plane(reduced, 0).copy()


class _Filter:
    """One filter of FFmpeg whose frames go in and come out one by one."""

    def __init__(self, name: str, arguments: str) -> None:
        self._name, self._arguments = name, arguments
        self._time = 0

    def open(self, sizes: list[tuple[int, int]]) -> None:
        """Begins anew, with an input of each size."""
        self._graph = graph = av.filter.Graph()
        step, self._sink = graph.add(self._name, self._arguments), graph.add("buffersink")
        self._inputs: list[FilterContext] = []
        for number, (width, height) in enumerate(sizes):
            source = graph.add_buffer(
                width=width, height=height, format=VideoFormat("bgra"), time_base=TICK
            )
            source.link_to(step, 0, number)
            self._inputs.append(source)
        step.link_to(self._sink)
        graph.configure()
        self._time = 0

    def push(self, number: int, frame: VideoFrame) -> None:
        """Gives an input its only frame."""
        frame.pts, frame.time_base = 0, TICK
        self._inputs[number].push(frame)
        self._inputs[number].push(None)

    def apply(self, frame: VideoFrame) -> VideoFrame:
        """Returns the frame of the first input after the filter. Raises ProcessingError."""
        frame.pts, frame.time_base = self._time, TICK
        self._time += 1
        try:
            self._inputs[0].push(frame)
            result = self._sink.pull()
        except FFmpegError as error:
            reason = f"no palette for a frame: {format_av_error(error)}"
            raise ProcessingError("encode", reason) from error
        assert isinstance(result, VideoFrame)
        return result


def _make_frame(pixels: Pixels) -> VideoFrame:
    return VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="bgra")


def _fits(pixels: Pixels, kept: Palette, own: Palette) -> bool:
    """Whether a frame is shown about as well with the palette `kept` as with its own."""
    flat = pixels.reshape(-1, 4)
    sample = flat[:: max(1, len(flat) // SAMPLES)]
    sample = sample[sample[:, 3] >= ALPHA_THRESHOLD]
    if not len(sample):
        return True
    return _measure_error(sample, kept) <= MAX_RATIO * _measure_error(sample, own) + MAX_EXCESS


def _measure_error(sample: NDArray[np.uint8], palette: Palette) -> float:
    """Returns the mean distance of pixels to their nearest colours, in levels."""
    colors = palette[palette[:, 3] >= ALPHA_THRESHOLD][:, :3].astype(np.float32)
    values = sample[:, :3].astype(np.float32)
    squares = (values**2).sum(1)[:, None] + (colors**2).sum(1) - 2 * values @ colors.T
    return float(np.sqrt(np.maximum(squares.min(axis=1), 0)).mean())
