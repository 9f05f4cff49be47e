"""Decodes audio that a container does not accept and encodes it as PCM."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler
from av.audio.stream import AudioStream
from av.container import OutputContainer
from av.packet import Packet
from av.stream import Stream

from batchcolor.images.formats import MKV, MOV, MXF
from batchcolor.video.ffmpeg import DECODE_ERRORS

PCM_CODEC = "pcm_s16le"
PCM_CONTAINERS = (MKV, MOV, MXF)
"""Containers in which players support PCM."""


class PcmTranscoder:
    """Transcodes one audio stream to 16-bit PCM in the stream `target` of the result.

    Each decoded frame keeps its timestamp, so gaps are preserved.
    """

    def __init__(self, source: AudioStream, container: OutputContainer) -> None:
        self.source = source
        context = source.codec_context
        added: Any = container.add_stream(PCM_CODEC, rate=context.sample_rate)
        added.codec_context.layout = context.layout
        self.target: AudioStream = added
        self.damaged_packets = 0
        self._resampler = AudioResampler("s16", context.layout, context.sample_rate)

    def convert_packet(self, packet: Packet[Stream] | None) -> Iterator[Packet[Any]]:
        """Yields the PCM packets of a source packet; None flushes the decoder."""
        try:
            decoded = self.source.codec_context.decode(packet)
        except DECODE_ERRORS:
            self.damaged_packets += 1
            return
        for frame in decoded:
            assert isinstance(frame, AudioFrame)
            for resampled in self._resampler.resample(frame):
                yield from self.target.encode(resampled)
