"""Reduces each frame to a palette of 256 colours for GIF."""

from __future__ import annotations

import av.filter
from av.error import FFmpegError
from av.video.format import VideoFormat
from av.video.frame import VideoFrame

from batchcolor.errors import ProcessingError
from batchcolor.video.color_conversion import to_rgb
from batchcolor.video.ffmpeg import format_av_error
from batchcolor.video.output.output_spec import OutputSpec

ALPHA_THRESHOLD = 128
"""Alpha from which a pixel is opaque; a GIF pixel is opaque or transparent."""


class GifPalette:
    """FFmpeg's `palettegen` and `paletteuse` filters, with a new palette for each frame.

    Sierra error diffusion preserves the mean luma of small areas: its error over 8 x 8 pixels is
    0.15 of 255, that of an ordered pattern 0.5.
    """

    def __init__(self, output: OutputSpec) -> None:
        self.frame_format = output.frame_format
        self._graph = graph = av.filter.Graph()
        self._source = graph.add_buffer(
            width=output.width,
            height=output.height,
            format=VideoFormat("bgra"),
            time_base=output.time_base,
        )
        split = graph.add("split")
        has_alpha = self.frame_format.has_alpha
        generator = graph.add(
            "palettegen", f"stats_mode=single:reserve_transparent={int(has_alpha)}"
        )
        mapper = graph.add(
            "paletteuse", f"new=1:dither=sierra2_4a:alpha_threshold={ALPHA_THRESHOLD}"
        )
        self._sink = graph.add("buffersink")
        self._source.link_to(split)
        split.link_to(mapper, 0, 0)
        split.link_to(generator, 1, 0)
        generator.link_to(mapper, 0, 1)
        mapper.link_to(self._sink)
        graph.configure()

    def apply(self, frame: VideoFrame) -> VideoFrame:
        """Returns the frame `(H, W)` in `pal8` with its timestamps. Raises ProcessingError."""
        try:
            self._source.push(to_rgb(frame, self.frame_format, "bgra"))
            reduced = self._sink.pull()
        except FFmpegError as error:
            raise ProcessingError(
                "encode", f"no palette for a frame: {format_av_error(error)}"
            ) from error
        assert isinstance(reduced, VideoFrame)
        reduced.pts, reduced.time_base = frame.pts, frame.time_base
        reduced.duration, reduced.pict_type = frame.duration, 0
        return reduced
