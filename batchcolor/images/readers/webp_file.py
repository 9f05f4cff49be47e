"""Reads from the chunks of a WebP file how its pixels are compressed (RFC 9649)."""

from __future__ import annotations

import struct

HEADER_SIZE = 12
LOSSY, LOSSLESS = b"VP8 ", b"VP8L"


def is_lossless_webp(data: bytes) -> bool:
    """Whether the pixels of a WebP file, of an animation those of its first frame, are lossless."""
    position = HEADER_SIZE
    while position + 8 <= len(data):
        kind, size = struct.unpack_from("<4sI", data, position)
        if kind in (LOSSY, LOSSLESS):
            return bool(kind == LOSSLESS)
        if kind == b"ANMF":
            position += 8 + 16  # the chunks of a frame follow its position and duration
            continue
        position += 8 + size + size % 2
    return False
