"""Joins the frames of several encoders, one a segment, to one GIF."""

from __future__ import annotations

from batchcolor.video.gif_structure import (
    DEPTH,
    DESCRIPTOR_SIZE,
    HAS_TABLE,
    HEADER_SIZE,
    SIGNATURES,
    find_image,
    table_size,
)


class GifJoiner:
    """Removes the headers of later encoders; their colour tables move to the frames."""

    def __init__(self) -> None:
        self._is_begun = False
        self._table = b""
        self._depth = 0
        """The global table of a later encoder, for its frames without one of their own."""

    def join(self, packet: bytes) -> bytes:
        """Returns the next packet as the muxer appends it: the first one alone has a header."""
        if packet.startswith(SIGNATURES):
            if not self._is_begun:
                self._is_begun = True
                return packet
            flags = packet[HEADER_SIZE - 3]
            end = HEADER_SIZE + table_size(flags)
            self._table, self._depth = packet[HEADER_SIZE:end], flags & DEPTH
            packet = packet[end:]
        start = find_image(packet) if self._table else None
        if start is None:
            return packet
        end = start + DESCRIPTOR_SIZE
        if packet[end - 1] & HAS_TABLE:
            return packet
        flags = packet[end - 1] & ~DEPTH | HAS_TABLE | self._depth
        return packet[: end - 1] + bytes((flags,)) + self._table + packet[end:]
