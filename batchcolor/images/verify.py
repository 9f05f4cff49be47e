"""A cheap check of a file that was just written, before it may take its final name."""

from __future__ import annotations

from pathlib import Path

from PIL import Image

from batchcolor.errors import ProcessingError
from batchcolor.images.formats import Format
from batchcolor.images.sniff import HEAD_SIZE, sniff


def verify_image(path: Path, expected: Format) -> None:
    """Read the signature and the size back from the file. Raises ProcessingError."""
    with path.open("rb") as file:
        head = file.read(HEAD_SIZE)
        file.seek(0)
        if sniff(head) != expected:
            raise ProcessingError(
                "commit", f"what was written does not read back as {expected.name}"
            )
        with Image.open(file) as image:
            if min(image.size) < 1:
                raise ProcessingError("commit", "what was written has no size")
