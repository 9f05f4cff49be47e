"""Detects damaged pixels of GIF frames, which FFmpeg's decoder shows without an error.

Pillow fails for codes of LZW that are not valid and for missing data. Source: GIF 89a, sections 15
to 23.
"""

from __future__ import annotations

import io
import os
import struct
from pathlib import Path

from PIL import Image

from batchcolor.video.gif_structure import (
    DEPTH,
    DESCRIPTOR_SIZE,
    HAS_TABLE,
    HEADER_SIZE,
    IMAGE,
    SIGNATURES,
    find_image,
    table_size,
)

PIXELS_DAMAGED = "its pixels are damaged"
MAX_PIXELS = 2**26
"""Of a larger frame, a check would take more memory than was reserved."""
TRAILER_WINDOW = 64
"""Bytes at the end of a GIF in which its trailer is searched; some programs append zeros."""
PALETTE = bytes(3 * 256)
"""Any colours: only the codes are checked."""


class GifInspector:
    """Describes the damage of frames, whose packets are passed in order."""

    def __init__(self) -> None:
        self._has_global_table = False
        self._canvas = (0, 0)

    def find_damage(self, packet: bytes) -> str:
        """Returns what is wrong with the frame of a packet of FFmpeg's demuxer, or nothing.

        The pixels of a frame of more than `MAX_PIXELS` are not checked.
        """
        if packet.startswith(SIGNATURES) and len(packet) >= HEADER_SIZE:
            *canvas, flags = struct.unpack_from("<HHB", packet, len(SIGNATURES[0]))
            self._canvas, self._has_global_table = (canvas[0], canvas[1]), bool(flags & HAS_TABLE)
        start = find_image(packet)
        if start is None:
            return ""  # extensions after the last frame
        if start + DESCRIPTOR_SIZE > len(packet):
            return PIXELS_DAMAGED
        left, top, width, height, flags = struct.unpack_from("<HHHHB", packet, start + 1)
        if not (self._has_global_table or flags & HAS_TABLE):
            return "it has no colour table, which is not read"
        if left >= self._canvas[0] or top >= self._canvas[1]:
            return "it lies outside the canvas"
        if width * height > MAX_PIXELS:
            return ""
        data = packet[start + DESCRIPTOR_SIZE + table_size(flags) :]
        flags &= ~(HAS_TABLE | DEPTH)
        return "" if _is_decodable(data, width, height, flags) else PIXELS_DAMAGED


def _is_decodable(data: bytes, width: int, height: int, flags: int) -> bool:
    """Whether Pillow decodes a frame; `flags` without a colour table."""
    screen = SIGNATURES[1] + struct.pack("<HHBBB", width, height, HAS_TABLE | DEPTH, 0, 0) + PALETTE
    descriptor = struct.pack("<BHHHHB", IMAGE, 0, 0, width, height, flags)
    try:
        still = io.BytesIO(screen + descriptor + data + b";")
        with Image.open(still, formats=("GIF",)) as image:
            image.load()
    except Exception:  # of any type
        return False
    return bool(width and height)


def is_truncated_gif(path: Path) -> bool:
    """Whether it is a GIF without its trailer; its header has no number of frames to check."""
    with path.open("rb") as file:
        if file.read(4) != b"GIF8":
            return False
        file.seek(-min(TRAILER_WINDOW, path.stat().st_size), os.SEEK_END)
        return not file.read().rstrip(b"\0").endswith(b";")
