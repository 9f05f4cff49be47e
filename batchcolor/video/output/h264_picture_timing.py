"""Sets the picture structure that H.264 states for a frame (ITU-T H.264, D.1.3 and table D-1).

x264 states one field order for all frames of an encoder. Its picture timing message is one byte,
because it writes no clock timestamps and no buffering times: four bits of structure, one zero bit
for each clock timestamp, and the alignment.
"""

from __future__ import annotations

from batchcolor.video.frame_format import FieldOrder

SEI_NAL = 6
PICTURE_TIMING = b"\x01\x01"
"""Payload type 1 and size 1."""
PAYLOADS = {
    FieldOrder.PROGRESSIVE: 0b0000_0_100,
    FieldOrder.TOP_FIRST: 0b0011_00_10,
    FieldOrder.BOTTOM_FIRST: 0b0100_00_10,
}
"""`pic_struct` 0, 3 and 4, with one and twice two clock timestamp flags."""
START_CODE = b"\0\0\1"


def set_picture_structure(packet: bytes, order: FieldOrder) -> bytes:
    """Returns an H.264 packet (Annex B) whose picture timing message states a field order.

    A packet without such a message of one byte is returned unchanged.
    """
    message = START_CODE + bytes([SEI_NAL]) + PICTURE_TIMING
    place = packet.find(message)
    if place < 0:
        return packet
    payload = place + len(message)
    return packet[:payload] + bytes([PAYLOADS[order]]) + packet[payload + 1 :]
