"""Reads the size and the loop count of a GIF from its blocks; no pixel is decompressed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from batchcolor.video.source_info import PLAY_ONCE

HEADER_SIZE = 13
"""Bytes of signature and logical screen descriptor (GIF89a, section 18)."""
EXTENSION, IMAGE, APPLICATION = 0x21, 0x2C, 0xFF
LOOP_EXTENSIONS = (b"NETSCAPE2.0", b"ANIMEXTS1.0")
LOOP_BLOCK = 1


@dataclass(frozen=True)
class GifHeader:
    """`width` and `height` are those of the canvas that holds every frame.

    Frames may not leave the logical screen, but some do, and decoders enlarge the canvas to them.
    """

    width: int
    height: int
    loop: int


def is_gif(path: Path) -> bool:
    """Whether a file has the signature of a GIF."""
    with path.open("rb") as file:
        return file.read(6) in (b"GIF87a", b"GIF89a")


def read_gif_header(path: Path) -> GifHeader:
    """Returns the canvas of a GIF and how often it repeats; of a truncated one up to its end."""
    with path.open("rb") as file:
        header = file.read(HEADER_SIZE).ljust(HEADER_SIZE, b"\0")
        width, height = _read_pairs(header[6:10])
        _skip_color_table(file, header[10])
        loop = PLAY_ONCE
        while kind := file.read(1):
            if kind[0] == EXTENSION:
                count = _read_extension(file)
                loop = count if count is not None and loop == PLAY_ONCE else loop
            elif kind[0] == IMAGE:
                descriptor = file.read(9).ljust(9, b"\0")
                left, top, columns, rows = _read_pairs(descriptor[:8])
                width, height = max(width, left + columns), max(height, top + rows)
                _skip_color_table(file, descriptor[8])
                file.read(1)  # LZW minimum code size
                _skip_blocks(file)
            else:  # the trailer, or damage
                break
    return GifHeader(width, height, loop)


def _read_pairs(data: bytes) -> list[int]:
    return [int.from_bytes(data[i : i + 2], "little") for i in range(0, len(data), 2)]


def _skip_color_table(file: BinaryIO, flags: int) -> None:
    if flags & 0x80:
        file.seek(3 << ((flags & 7) + 1), 1)


def _read_extension(file: BinaryIO) -> int | None:
    """Returns the loop count if this is the extension that holds it."""
    label = file.read(1)
    name = _read_block(file)
    if not name:
        return None
    loop = None
    if label == bytes((APPLICATION,)) and name in LOOP_EXTENSIONS:
        block = _read_block(file)
        if len(block) == 3 and block[0] == LOOP_BLOCK:
            loop = int.from_bytes(block[1:], "little")
        if not block:
            return loop
    _skip_blocks(file)
    return loop


def _read_block(file: BinaryIO) -> bytes:
    size = file.read(1)
    return file.read(size[0]) if size else b""


def _skip_blocks(file: BinaryIO) -> None:
    while (size := file.read(1)) and size[0]:
        file.seek(size[0], 1)
