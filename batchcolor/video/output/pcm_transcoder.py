"""Sound that a result's container cannot hold, decoded and kept as plain samples (PCM)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler
from av.audio.stream import AudioStream
from av.container import OutputContainer
from av.packet import Packet
from av.stream import Stream

from batchcolor.images.formats import MKV, MOV
from batchcolor.video.source_info import DECODE_ERRORS

PCM_CODEC = "pcm_s16le"
PCM_CONTAINERS = (MKV, MOV)
"""Containers whose players know plain samples."""


class PcmTranscoder:
    """One track as samples of 16 bits; `target` is that of the result.

    Each piece of sound keeps its time, so that gaps stay, and no frame of an encoder smooths them.
    """

    def __init__(self, source: AudioStream, target: OutputContainer) -> None:
        self.source = source
        context = source.codec_context
        placed: Any = target.add_stream(PCM_CODEC, rate=context.sample_rate)
        placed.codec_context.layout = context.layout
        self.target: AudioStream = placed
        self.damaged_packets = 0
        self._resampler = AudioResampler("s16", context.layout, context.sample_rate)

    def packets(self, packet: Packet[Stream] | None) -> Iterator[Packet[Any]]:
        """What one packet of the source becomes; None for what its decoder still holds."""
        try:
            decoded = self.source.codec_context.decode(packet)
        except DECODE_ERRORS:
            self.damaged_packets += 1
            return
        for frame in decoded:
            assert isinstance(frame, AudioFrame)
            for plain in self._resampler.resample(frame):
                yield from self.target.encode(plain)
