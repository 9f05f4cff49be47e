"""Reads an uncompressed film (YUV4MPEG2) from a pipe, which cannot be opened a second time.

The header is one line of tags: `YUV4MPEG2 W720 H576 F25:1 Ip A16:15 C420jpeg`. FFmpeg reads it and
the frames; the tags are kept, so that the result can have the same.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
from av.container import InputContainer
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from batchcolor.errors import ProcessingError
from batchcolor.storage.standard_input import StandardInput
from batchcolor.video.ffmpeg import DECODE_ERRORS, format_av_error
from batchcolor.video.fields import DISPLAY_ORDERS
from batchcolor.video.frame_conversion import fit_frame
from batchcolor.video.frame_format import FieldOrder, Fields
from batchcolor.video.probe import check_frame_size, read_frame_format
from batchcolor.video.source_info import SourceInfo

STREAM_NAME = Path("-")
FRAME_HEADER = len(b"FRAME\n")


class Y4mReader:
    """Iterates over the frames of a film on a pipe, converted to `source.frame_format`.

    `tags` are those of its header. Raises ProcessingError for a header that cannot be read and for
    frames of more than `max_pixels`.
    """

    def __init__(self, file: StandardInput, max_pixels: int) -> None:
        self.tags = file.peek_line().decode("ascii", "replace").split()[1:]
        self.notes: list[str] = []
        self.damage = ""
        """Why the film ends before its end, after the last frame."""
        self._file = file
        self.source, self._container, self._first = self._open(max_pixels)

    def _open(
        self, max_pixels: int
    ) -> tuple[SourceInfo, InputContainer, Packet[VideoStream] | None]:
        try:
            container = av.open(self._file, "r", format="yuv4mpegpipe")
            stream = container.streams.video[0]
            check_frame_size(stream.width, stream.height, max_pixels, None)
            packet = next(container.demux(stream))
            frame = next(iter(packet.decode()), None) if packet.size else None
        except DECODE_ERRORS as error:
            reason = f"the film on standard input cannot be read: {format_av_error(error)}"
            raise ProcessingError("decode", reason) from error
        if not isinstance(frame, VideoFrame):
            raise ProcessingError("decode", "the film on standard input has no frame")
        order = DISPLAY_ORDERS.get(stream.codec_context.field_order, FieldOrder.PROGRESSIVE)
        frame_format = read_frame_format(frame, stream, self.notes, is_gif=False)
        source = SourceInfo(
            path=STREAM_NAME,
            stream=0,
            frame_format=replace(frame_format, fields=Fields(order)),
            rate=stream.average_rate or Fraction(25),
            time_base=stream.time_base or Fraction(1, 25),
            is_rgb=frame.format.is_rgb,
            notes=tuple(self.notes),
        )
        return source, container, packet

    def __iter__(self) -> Iterator[VideoFrame]:
        frame_format, packet, count, end = self.source.frame_format, self._first, 0, 0
        packets = self._container.demux(self._container.streams.video[0])
        while packet is not None and packet.size:
            end = (packet.pos or 0) + FRAME_HEADER + packet.size
            for frame in packet.decode():
                count += 1
                yield fit_frame(
                    frame,
                    frame_format,
                    is_rgb=self.source.is_rgb,
                    is_full_range=frame_format.is_full_range,
                )
            try:
                packet = next(packets, None)
            except DECODE_ERRORS as error:
                self.damage = f"standard input cannot be read: {format_av_error(error)}"
                packet = None
        if self._file.position > end:
            self.damage = self.damage or "standard input ends within a frame"
        if self.damage:
            self.damage += f"; the {count} frames before it are coloured"
