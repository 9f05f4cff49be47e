"""Checks a written file before it gets its final name."""

from __future__ import annotations

from pathlib import Path

from PIL import Image

from batchcolor.errors import ProcessingError
from batchcolor.images.formats import Format
from batchcolor.images.sniff import HEAD_SIZE, sniff


def verify_image(path: Path, expected: Format) -> None:
    """Raises ProcessingError unless the file has the signature and a size of its format."""
    with path.open("rb") as file:
        head = file.read(HEAD_SIZE)
        file.seek(0)
        if sniff(head) != expected:
            raise ProcessingError(
                "commit", f"the written file is not recognized as {expected.name}"
            )
        with Image.open(file) as image:
            if min(image.size) < 1:
                raise ProcessingError("commit", "the written file has no pixels")
