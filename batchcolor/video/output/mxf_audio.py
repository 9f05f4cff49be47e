"""Makes the audio of an MXF as long as its picture.

An edit unit of MXF has a frame and the audio of its time. FFmpeg's muxer drops units that are not
complete, so frames after the end of the audio would be lost.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Any

from av.container import OutputContainer
from av.packet import Packet

SAMPLE_BYTES = {"pcm_s16le": 2, "pcm_s24le": 3}


class MxfAudio:
    """The end of each audio stream of a result, and silence up to that of its picture."""

    def __init__(self) -> None:
        self._ends: dict[int, Fraction] = {}
        """Second at which each stream ends so far, by its index in the result."""

    def count(self, stream: Any, packet: Packet[Any]) -> None:
        """Notes the time of a packet of the source that goes to `stream`."""
        if stream.type == "audio" and packet.pts is not None:
            end = (packet.pts + (packet.duration or 0)) * packet.time_base
            self._ends[stream.index] = max(end, self._ends.get(stream.index, Fraction(0)))

    def pad(self, target: OutputContainer, end: Fraction, tolerance: Fraction) -> list[str]:
        """Appends silence to streams that end before `end`, in seconds.

        Returns notes about audio that lasts longer, by more than `tolerance`, and is dropped.
        """
        notes = []
        for stream in target.streams.audio:
            last = self._ends.get(stream.index, Fraction(0))
            if last > end + tolerance:
                rest = float(last - end)
                notes.append(
                    f"mxf ends with the picture: the audio after it ({rest:.2f} s) dropped"
                )
            context = stream.codec_context
            samples = round((end - last) * context.sample_rate)
            if samples > 0:
                size = samples * context.layout.nb_channels * SAMPLE_BYTES[context.name]
                packet: Packet[Any] = Packet(bytes(size))
                packet.stream, packet.time_base = stream, Fraction(1, context.sample_rate)
                packet.pts = packet.dts = round(last * context.sample_rate)
                packet.duration = samples
                target.mux(packet)
        return list(dict.fromkeys(notes))
