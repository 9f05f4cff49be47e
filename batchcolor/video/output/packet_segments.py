"""Encoded video of a film: each segment is the output of its own encoder, stored as packets."""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from av.error import FFmpegError
from av.packet import Packet
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame
from numpy.typing import NDArray

from batchcolor.errors import ProcessingError
from batchcolor.images.metadata.model import Metadata
from batchcolor.storage.atomic import write_atomic
from batchcolor.video.ffmpeg import format_av_error
from batchcolor.video.fields import read_field_order, set_field_order
from batchcolor.video.frame_format import FieldOrder
from batchcolor.video.output.animation_coder import AnimationCoder
from batchcolor.video.output.encoders import create_encoder
from batchcolor.video.output.frame_coder import CodedFrame, FrameCoder
from batchcolor.video.output.gif_coder import GifCoder
from batchcolor.video.output.h264_picture_timing import set_picture_structure
from batchcolor.video.output.output_spec import OutputSpec
from batchcolor.video.output.segments import Segments
from batchcolor.video.output.thread_scheduling import keep_scheduling
from batchcolor.video.output.timestamps import Timeline

PACKET_HEADER = struct.Struct("<qqqq?I")
"""Precedes each packet: encoder_pts, pts, dts, duration, is_keyframe, size in bytes."""


@dataclass(frozen=True)
class StoredPacket:
    """One packet of a segment file; times in ticks of the stream's time base.

    `encoder_pts` is the increasing timestamp that the encoder received, `pts` that of the source.
    """

    encoder_pts: int
    pts: int
    dts: int
    duration: int
    is_keyframe: bool
    data: bytes


class PacketSegments(Segments):
    """Segments of encoded packets; call `read_packets` after the last one is closed."""

    def __init__(
        self, folder: Path, output: OutputSpec, timeline: Timeline, quality: int | None = None
    ) -> None:
        super().__init__(folder, output, timeline)
        self.metadata = Metadata()
        """Written to the first picture of an animation; `quality` is that of its pictures."""
        self._quality = quality
        self._encoder: VideoCodecContext | FrameCoder | None = None
        self._packets: list[StoredPacket] = []
        self._field_orders: dict[int, FieldOrder] = {}
        """Of H.264 frames in the encoder, by their timestamps."""

    def _encode_frame(self, frame: VideoFrame) -> None:
        if self._encoder is None:
            self._encoder = self._make_encoder()
        frame = self._set_fields(frame)
        frame.pict_type = 0  # the encoder chooses keyframes; those of the source do not count
        self._encode(frame)

    def _make_encoder(self) -> VideoCodecContext | FrameCoder:
        codec = self.output.settings.video_codec
        if codec.uses_palette:
            return GifCoder(self.output)
        if codec.is_animation:
            metadata = Metadata() if self.state.segments else self.metadata
            return AnimationCoder(self.output, metadata, self._quality)
        return create_encoder(self.output)

    def _set_fields(self, frame: VideoFrame) -> VideoFrame:
        """Returns the frame with its field order, which encoders write into the bitstream."""
        fields = self.output.frame_format.fields
        if not self.output.frame_format.is_interlaced:
            return frame
        order = read_field_order(frame) if fields.is_flagged else fields.order
        if self.output.settings.codec == "h264":
            assert frame.pts is not None
            self._field_orders[frame.pts] = order
            # The order of a progressive frame is not shown; a change would cost compression.
            order = fields.order if order is FieldOrder.PROGRESSIVE else order
        return set_field_order(frame, order)

    def _flush(self) -> dict[str, int]:
        assert self._encoder is not None
        self._encode(None)
        self._encoder = None
        path, data = self._make_segment_path(self.state.segments), self._serialize_packets()
        write_atomic(path, data)
        self._packets.clear()
        return {path.name: zlib.crc32(data)}

    def _discard_unfinished(self, finished: set[str]) -> None:
        """Does nothing: the file of an unfinished segment is replaced."""

    def _encode(self, frame: VideoFrame | None) -> None:
        assert self._encoder is not None
        if not isinstance(self._encoder, VideoCodecContext):
            self._store_coded(self._encoder.encode(frame))
            return
        try:
            with keep_scheduling():
                packets = self._encoder.encode(frame)
            self._store(packets)
        except FFmpegError as error:  # some are OSErrors, which would count as errors of the disk
            raise ProcessingError(
                "encode", f"{self.output.settings.codec}: {format_av_error(error)}"
            ) from error

    def _store_coded(self, frames: list[CodedFrame]) -> None:
        for frame in frames:
            pts, duration = self.timeline.source_pts(frame.pts)
            self._packets.append(
                StoredPacket(frame.pts, pts, pts, duration, frame.is_keyframe, frame.data)
            )

    def _store(self, packets: list[Packet[Any]]) -> None:
        for packet in packets:
            assert packet.pts is not None
            pts, duration = self.timeline.source_pts(packet.pts)
            dts = packet.dts if packet.dts is not None else pts
            data = bytes(packet)
            if packet.pts in self._field_orders:
                data = set_picture_structure(data, self._field_orders.pop(packet.pts))
            self._packets.append(
                StoredPacket(packet.pts, pts, dts, duration, packet.is_keyframe, data)
            )

    def _serialize_packets(self) -> bytes:
        parts = []
        for p in self._packets:
            parts += [
                PACKET_HEADER.pack(
                    p.encoder_pts, p.pts, p.dts, p.duration, p.is_keyframe, len(p.data)
                ),
                p.data,
            ]
        return b"".join(parts)

    def read_packets(self) -> Iterator[StoredPacket]:
        """Yields every packet of the film in decoding order."""
        for number in range(self.state.segments):
            with self._make_segment_path(number).open("rb") as file:
                while head := file.read(PACKET_HEADER.size):
                    encoder_pts, pts, dts, duration, is_keyframe, size = PACKET_HEADER.unpack(head)
                    yield StoredPacket(
                        encoder_pts, pts, dts, duration, is_keyframe, file.read(size)
                    )

    def read_packet_times(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Returns the presentation time of each packet and the decoding time from its encoder."""
        rows = []
        for number in range(self.state.segments):
            with self._make_segment_path(number).open("rb") as file:
                while head := file.read(PACKET_HEADER.size):
                    _, pts, dts, _, _, size = PACKET_HEADER.unpack(head)
                    file.seek(size, os.SEEK_CUR)
                    rows.append((pts, dts))
        pts_column, dts_column = np.array(rows, np.int64).reshape(-1, 2).T
        return pts_column, dts_column

    def _make_segment_path(self, number: int) -> Path:
        return self.folder / f"segment-{number:06d}.packets"
