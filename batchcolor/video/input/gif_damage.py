"""Detects damaged pixels of GIF frames, which FFmpeg's decoder shows without an error.

Pillow fails for codes of LZW that are not valid and for missing data. Source: GIF 89a, sections 15
to 23.
"""

from __future__ import annotations

import io
import struct

from PIL import Image

SIGNATURES = (b"GIF87a", b"GIF89a")
HEADER_SIZE, DESCRIPTOR_SIZE = 13, 10
EXTENSION, IMAGE = 0x21, 0x2C
HAS_TABLE = 0x80
DEPTH = 0x07
"""Bits of flags: whether a colour table follows, and its size."""
MAX_PIXELS = 2**26
"""Of a larger frame, a check would take more memory than was reserved."""
PALETTE = bytes(3 * 256)
"""Any colours: only the codes are checked."""


def is_gif_frame_damaged(packet: bytes) -> bool:
    """Whether the pixels of a frame are damaged; `packet` is as FFmpeg's demuxer returns it.

    False also for a packet without a frame, and for one of more than `MAX_PIXELS`.
    """
    start = _find_image(packet)
    if start is None:
        return False  # extensions after the last frame
    if start + DESCRIPTOR_SIZE > len(packet):
        return True
    width, height, flags = struct.unpack_from("<HHB", packet, start + 5)
    if not width or not height:
        return True
    if width * height > MAX_PIXELS:
        return False
    data = start + DESCRIPTOR_SIZE + _table_size(flags)
    screen = SIGNATURES[1] + struct.pack("<HHBBB", width, height, HAS_TABLE | DEPTH, 0, 0) + PALETTE
    interlaced = flags & ~(HAS_TABLE | DEPTH)
    descriptor = struct.pack("<BHHHHB", IMAGE, 0, 0, width, height, interlaced)
    still = screen + descriptor + packet[data:] + b";"
    try:
        with Image.open(io.BytesIO(still), formats=("GIF",)) as image:
            image.load()
    except Exception:  # of any type
        return True
    return False


def _find_image(packet: bytes) -> int | None:
    """Returns the offset of the image descriptor, after a header and extensions."""
    position = 0
    if packet.startswith(SIGNATURES):
        position = HEADER_SIZE + _table_size(packet[10]) if len(packet) > HEADER_SIZE else 0
    while position < len(packet):
        if packet[position] == IMAGE:
            return position
        if packet[position] != EXTENSION:
            return None
        position += 2
        while position < len(packet) and packet[position]:
            position += 1 + packet[position]
        position += 1
    return None


def _table_size(flags: int) -> int:
    """Returns the bytes of a colour table."""
    return 3 << ((flags & DEPTH) + 1) if flags & HAS_TABLE else 0
