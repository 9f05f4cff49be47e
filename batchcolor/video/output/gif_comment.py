"""Adds a comment to a GIF, which FFmpeg reads and does not write (GIF89a, section 24)."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import BinaryIO

from batchcolor.storage.atomic import temporary_path
from batchcolor.video.gif_structure import HEADER_SIZE, SIGNATURES, table_size

APPLICATION, COMMENT = b"\x21\xff", b"\x21\xfe"
MAX_BLOCK = 255


def add_comment(path: Path, text: str) -> None:
    """Inserts a comment (UTF-8) before the first frame, after the loop count.

    The file is copied and replaced. Raises ValueError for another file, OSError.
    """
    with path.open("rb") as file, temporary_path(path) as other:
        place = _find_place(file)
        file.seek(0)
        with other.open("wb") as result:
            result.write(file.read(place))
            result.write(_build_comment(text.encode("utf-8", "replace")))
            shutil.copyfileobj(file, result)
        other.replace(path)


def _find_place(file: BinaryIO) -> int:
    """Returns the offset of the first block behind the tables and application extensions."""
    head = file.read(HEADER_SIZE)
    if len(head) < HEADER_SIZE or not head.startswith(SIGNATURES):
        raise ValueError("not a GIF")
    place = HEADER_SIZE + table_size(head[10])
    while True:
        file.seek(place)
        if file.read(2) != APPLICATION:
            return place
        size = file.read(1)
        while size and size != b"\0":
            file.seek(size[0], 1)
            size = file.read(1)
        if not size:
            raise ValueError("truncated GIF")
        place = file.tell()


def _build_comment(content: bytes) -> bytes:
    blocks = [content[i : i + MAX_BLOCK] for i in range(0, len(content), MAX_BLOCK)]
    return COMMENT + b"".join(bytes([len(block)]) + block for block in blocks) + b"\0"
