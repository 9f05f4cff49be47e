"""Whether the end of a picture file is there: a file that is still being copied lacks it."""

from __future__ import annotations

from pathlib import Path

from batchcolor.images.formats import JPEG, PNG, WEBP, Format

TAIL_SIZE = 4096
"""Bytes at the end that are searched: other data may follow the end of a picture."""
END_MARKERS = {JPEG: b"\xff\xd9", PNG: b"IEND"}
"""End of image of ITU-T T.81, and the last chunk of a PNG."""


def has_end(path: Path, kind: Format) -> bool:
    """Whether the end of a JPEG, PNG or WebP is there; true for other formats.

    Of a file with other data after the picture it may be false. Raises OSError.
    """
    with path.open("rb") as file:
        if kind == WEBP:
            head = file.read(8)
            return len(head) == 8 and int.from_bytes(head[4:], "little") + 8 <= _size(path)
        marker = END_MARKERS.get(kind)
        if marker is None:
            return True
        file.seek(max(0, _size(path) - TAIL_SIZE))
        return marker in file.read()


def _size(path: Path) -> int:
    return path.stat().st_size
