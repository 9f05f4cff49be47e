"""Decodes audio that a container does not accept and encodes it as PCM."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler
from av.audio.stream import AudioStream
from av.container import OutputContainer
from av.packet import Packet
from av.stream import Stream

from batchcolor.images.formats import MKV, MOV, MXF
from batchcolor.video.ffmpeg import DECODE_ERRORS, open_container

PCM_CODEC, SAMPLE_FORMAT = "pcm_s16le", "s16"
MXF_RATE = 48000
"""The only rate of audio in MXF that FFmpeg writes."""
PCM_CONTAINERS = (MKV, MOV, MXF)
"""Containers in which players support PCM."""
USUAL_LAYOUTS = {1: "mono", 2: "stereo", 3: "2.1", 4: "quad", 5: "5.0", 6: "5.1", 8: "7.1"}
"""Of streams that only state their number of channels."""


@dataclass(frozen=True)
class AudioFormat:
    """Sample rate and channel layout of decoded audio."""

    rate: int
    layout: str


def read_audio_format(path: Path, index: int) -> AudioFormat | None:
    """Returns the format of the first frame of an audio stream; None if it cannot be decoded.

    The header may lack it, or state half of the rate. Raises ProcessingError.
    """
    with open_container(path) as container:
        try:
            for packet in container.demux(container.streams[index]):
                try:
                    frames = packet.decode()
                except DECODE_ERRORS:
                    continue
                for frame in frames:
                    return _read_format(frame)
        except DECODE_ERRORS:
            return None
    return None


def _read_format(frame: object) -> AudioFormat | None:
    assert isinstance(frame, AudioFrame)
    layout, count = frame.layout.name, frame.layout.nb_channels
    if layout.endswith("channels"):
        layout = USUAL_LAYOUTS.get(count, "")
    return AudioFormat(frame.sample_rate, layout) if layout and frame.sample_rate else None


class PcmTranscoder:
    """Transcodes one audio stream to 16-bit PCM in the stream `target` of the result.

    Each decoded frame keeps its timestamp, so gaps are preserved. `form` is that of the result;
    frames of another rate or layout are converted.
    """

    def __init__(self, source: AudioStream, container: OutputContainer, form: AudioFormat) -> None:
        self.source, self._form = source, form
        added: Any = container.add_stream(PCM_CODEC, rate=form.rate)
        added.codec_context.layout = form.layout
        self.target: AudioStream = added
        self.damaged_packets = 0
        self._resampler: AudioResampler | None = None
        self._before: tuple[str, str, int] | None = None
        """Format, layout and rate of the last frame."""

    def convert_packet(self, packet: Packet[Stream] | None) -> Iterator[Packet[Any]]:
        """Yields the PCM packets of a source packet; None flushes the decoder."""
        try:
            decoded = self.source.codec_context.decode(packet)
        except DECODE_ERRORS:
            self.damaged_packets += 1
            return
        for frame in decoded:
            assert isinstance(frame, AudioFrame)
            for resampled in self._resample(frame):
                yield from self.target.encode(resampled)

    def _resample(self, frame: AudioFrame) -> list[AudioFrame]:
        """Returns the frame in the format of the result; a resampler takes frames of one format."""
        own = (frame.format.name, frame.layout.name, frame.sample_rate)
        rest: list[AudioFrame] = []
        if self._resampler is None or own != self._before:
            rest = [] if self._resampler is None else self._resampler.resample(None)
            self._resampler = AudioResampler(SAMPLE_FORMAT, self._form.layout, self._form.rate)
            self._before = own
        return rest + self._resampler.resample(frame)
