"""Converts QuickTime timed text (3GPP TS 26.245) to SubRip, which Matroska stores."""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from typing import Any

from av.container import OutputContainer
from av.packet import Packet
from av.stream import Stream

LENGTH_BYTES = 2
"""A sample begins with the length of its text, 16 bits; boxes of styles may follow the text."""


class TimedTextConverter:
    """Converts one stream of timed text to the SubRip stream `target` of the result.

    Times and text stay as they are; styles are dropped and counted in `styled`.
    """

    def __init__(self, source: Stream, container: OutputContainer) -> None:
        self.target: Any = container.add_mux_stream("subrip", metadata={})
        self.target.time_base = source.time_base
        self.styled = 0
        """Packets with styles."""

    def convert_packet(self, packet: Packet[Stream] | None) -> Iterator[Packet[Any]]:
        """Yields the text of a packet; nothing for an empty one and for None, the end."""
        if packet is None:
            return
        data = bytes(packet)
        end = LENGTH_BYTES + int.from_bytes(data[:LENGTH_BYTES], "big")
        self.styled += len(data) > end
        text = _decode_text(data[LENGTH_BYTES:end])
        if not text:
            return
        converted: Packet[Any] = Packet(text.encode())
        converted.stream, converted.time_base = self.target, packet.time_base
        converted.pts, converted.dts, converted.duration = packet.pts, packet.dts, packet.duration
        yield converted


def _decode_text(data: bytes) -> str:
    """Decodes UTF-8, or UTF-16 if it starts with a byte order mark (TS 26.245, 5.17)."""
    is_utf16 = data.startswith((codecs.BOM_UTF16_BE, codecs.BOM_UTF16_LE))
    return data.decode("utf-16" if is_utf16 else "utf-8", errors="replace")
