"""A film's coded picture: each segment is a run of an encoder of its own, kept as its packets."""

from __future__ import annotations

import os
import struct
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
from batchcolor.video.output.codecs import VideoSettings
from batchcolor.video.output.encoders import encoder_for
from batchcolor.video.output.gif_palette import GifPalette
from batchcolor.video.output.segments import Segments, State
from batchcolor.video.output.timestamps import Timeline
from batchcolor.video.source_info import SourceInfo, format_av_error

HEAD = struct.Struct("<qqqq?I")
"""Before each packet's bytes: time told, true time, decoding time, duration, key frame, size."""


@dataclass(frozen=True)
class StoredPacket:
    """One packet as a segment has it; times in ticks of the film."""

    told: int
    pts: int
    dts: int
    duration: int
    key: bool
    data: bytes


class PacketSegments(Segments):
    """A film's packets; `packets` gives all of them when the last segment is closed."""

    def __init__(
        self, folder: Path, film: SourceInfo, settings: VideoSettings, timeline: Timeline
    ) -> None:
        super().__init__(folder, film, timeline)
        self.settings = settings
        self._encoder: VideoCodecContext | None = None
        self._palette: GifPalette | None = None
        self._packets: list[StoredPacket] = []

    def _take(self, frame: VideoFrame) -> None:
        if self._encoder is None:
            self._encoder = encoder_for(self.film, self.settings)
            palette = self.settings.video_codec.palette
            self._palette = GifPalette(self.film) if palette else None
        frame.pict_type = 0  # the encoder decides anew which frames stand for themselves
        if self._palette is not None:
            frame = self._palette.applied(frame)
        self._encode(frame)

    def _seal(self) -> None:
        assert self._encoder is not None
        self._encode(None)
        self._encoder = None
        self._safely(self._segment(self.state.segments), self._segment_bytes())
        self._packets.clear()

    def _holds(self, state: State) -> bool:
        return all(self._segment(number).exists() for number in range(state.segments))

    def _encode(self, frame: VideoFrame | None) -> None:
        assert self._encoder is not None
        try:
            self._keep(self._encoder.encode(frame))
        except FFmpegError as error:  # some are OSErrors, yet the disk has nothing to do with it
            raise ProcessingError(
                "encode", f"{self.settings.codec}: {format_av_error(error)}"
            ) from error

    def _keep(self, packets: list[Packet[Any]]) -> None:
        for packet in packets:
            assert packet.pts is not None
            pts, duration = self.timeline.true(packet.pts)
            dts = packet.dts if packet.dts is not None else pts
            data = bytes(packet)
            self._packets.append(
                StoredPacket(packet.pts, pts, dts, duration, packet.is_keyframe, data)
            )

    def _segment_bytes(self) -> bytes:
        parts = []
        for p in self._packets:
            parts += [HEAD.pack(p.told, p.pts, p.dts, p.duration, p.key, len(p.data)), p.data]
        return b"".join(parts)

    def packets(self) -> Iterator[StoredPacket]:
        """Every packet of the film, in the order of decoding."""
        for number in range(self.state.segments):
            with self._segment(number).open("rb") as file:
                while head := file.read(HEAD.size):
                    told, pts, dts, duration, key, size = HEAD.unpack(head)
                    yield StoredPacket(told, pts, dts, duration, key, file.read(size))

    def times(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """When each packet is shown, and the decoding time that its encoder gave."""
        rows = []
        for number in range(self.state.segments):
            with self._segment(number).open("rb") as file:
                while head := file.read(HEAD.size):
                    _, pts, dts, _, _, size = HEAD.unpack(head)
                    file.seek(size, os.SEEK_CUR)
                    rows.append((pts, dts))
        shown, given = np.array(rows, np.int64).reshape(-1, 2).T
        return shown, given

    def _segment(self, number: int) -> Path:
        return self.folder / f"segment-{number:06d}.packets"
