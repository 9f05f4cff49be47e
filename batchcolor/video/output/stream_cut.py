"""Cuts the other streams of a film to the part that a preview shows."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from typing import Any

from av.packet import Packet
from av.stream import Disposition, Stream

COARSEST_TICK, FINE_TICK = Fraction(1, 1000), Fraction(1, 90000)
"""Seconds. Coarser times are converted to finer ones before they are moved."""


class StreamCut:
    """Moves packets so that the second `start` of the source becomes zero.

    Packets are not divided: audio begins with the first packet that starts at or after `start`.
    """

    def __init__(self, start: Fraction) -> None:
        self.start = start
        self._with_key_frame: set[int] = set()
        """Video streams whose first key frame was found."""

    def move(self, packet: Packet[Stream]) -> bool:
        """Changes the times of a packet to those in the result; False if it is not part of it.

        A subtitle that is already shown at the start is shown for the rest of its duration.
        """
        stream, begin = packet.stream, packet.dts if packet.pts is None else packet.pts
        if begin is None or stream.disposition & Disposition.attached_pic:
            return True
        if packet.time_base > COARSEST_TICK:  # AVI counts whole packets of audio
            factor = packet.time_base / FINE_TICK
            packet.pts = None if packet.pts is None else round(packet.pts * factor)
            packet.dts = None if packet.dts is None else round(packet.dts * factor)
            packet.duration = round((packet.duration or 0) * factor)
            packet.time_base, begin = FINE_TICK, round(begin * factor)
        first = round(self.start / packet.time_base)
        if begin < first:
            rest = begin + (packet.duration or 0) - first
            if stream.type != "subtitle" or rest <= 0:
                return False
            packet.pts = packet.dts = 0
            packet.duration = rest
            return True
        if stream.type == "video":
            if packet.is_keyframe:
                self._with_key_frame.add(stream.index)
            elif stream.index not in self._with_key_frame:
                return False
        packet.pts = None if packet.pts is None else packet.pts - first
        packet.dts = None if packet.dts is None else packet.dts - first
        return True


def cut_chapters(chapters: Iterable[Any], start: Fraction, end: Fraction) -> list[Any]:
    """Returns the chapters of the part of a film that begins at second `start`.

    Their times are those of the result, which ends at second `end`.
    """
    kept = []
    for chapter in chapters:
        tick = chapter["time_base"]
        begin = max(0, chapter["start"] - round(start / tick))
        stop = min(chapter["end"] - round(start / tick), round(end / tick))
        if begin < stop:
            kept.append({**chapter, "start": begin, "end": stop})
    return kept
