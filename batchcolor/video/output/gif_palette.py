"""A frame's colours brought to the 256 of a GIF's palette, made anew for each frame."""

from __future__ import annotations

import av.filter
from av.error import FFmpegError
from av.video.format import VideoFormat
from av.video.frame import VideoFrame

from batchcolor.errors import ProcessingError
from batchcolor.video.color_conversion import to_rgb
from batchcolor.video.source_info import SourceInfo

OPAQUE = 128
"""Alpha from which a pixel is shown: a GIF knows no more than shown and not shown."""


class GifPalette:
    """Gives frames a palette. Errors are spread to neighbours (Sierra), which keeps the luma of
    small places: 0.15 of 255 off over 8 x 8 pixels, where an ordered pattern is 0.5 off.
    """

    def __init__(self, film: SourceInfo) -> None:
        self.film = film
        self._graph = graph = av.filter.Graph()
        self._source = graph.add_buffer(
            width=film.width,
            height=film.height,
            format=VideoFormat("bgra"),
            time_base=film.time_base,
        )
        split = graph.add("split")
        made = graph.add(
            "palettegen", f"stats_mode=single:reserve_transparent={int(film.has_alpha)}"
        )
        used = graph.add("paletteuse", f"new=1:dither=sierra2_4a:alpha_threshold={OPAQUE}")
        self._sink = graph.add("buffersink")
        self._source.link_to(split)
        split.link_to(used, 0, 0)
        split.link_to(made, 1, 0)
        made.link_to(used, 0, 1)
        used.link_to(self._sink)
        graph.configure()

    def apply(self, frame: VideoFrame) -> VideoFrame:
        """The frame `(H, W)` in `pal8`, its time kept. Raises ProcessingError."""
        try:
            self._source.push(to_rgb(frame, self.film, "bgra"))
            small = self._sink.pull()
        except FFmpegError as error:
            raise ProcessingError("encode", f"no palette for a frame: {error.strerror}") from error
        assert isinstance(small, VideoFrame)
        small.pts, small.time_base, small.duration = frame.pts, frame.time_base, frame.duration
        small.pict_type = 0
        return small
