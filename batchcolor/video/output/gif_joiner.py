"""Joins the frames of several encoders, one a segment, to one GIF."""

from __future__ import annotations

from batchcolor.video.gif_structure import (
    DEPTH,
    DESCRIPTOR_SIZE,
    HAS_TABLE,
    HEADER_SIZE,
    SIGNATURES,
    find_control,
    find_image,
    table_size,
)

DISPOSAL, TO_BACKGROUND = 0b11100, 0b01000
"""Bits of flags, and their value where the area of the frame becomes transparent after it."""


class GifJoiner:
    """Removes the headers of later encoders; their colour tables move to the frames.

    With `has_alpha` every frame is removed before the next: FFmpeg keeps one that is opaque, and
    it would be seen through the transparent pixels of the next.
    """

    def __init__(self, *, has_alpha: bool) -> None:
        self._has_alpha = has_alpha
        self._is_begun = False
        self._table = b""
        self._depth = 0
        """The global table of a later encoder, for its frames without one of their own."""

    def join(self, packet: bytes) -> bytes:
        """Returns the next packet as the muxer appends it: the first one alone has a header."""
        packet = self._join(packet)
        place = find_control(packet) if self._has_alpha else None
        if place is None:
            return packet
        flags = packet[place] & ~DISPOSAL | TO_BACKGROUND
        return packet[:place] + bytes((flags,)) + packet[place + 1 :]

    def _join(self, packet: bytes) -> bytes:
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
