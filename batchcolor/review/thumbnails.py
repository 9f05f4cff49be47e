"""Thumbnails of items, cached in `OUT/.batchcolor/thumbs`."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence

from PIL import Image

from batchcolor.errors import OutputError, ProcessingError
from batchcolor.hooks.types import Reader
from batchcolor.pipeline.previews import encode_preview, read_result, read_source
from batchcolor.review.review_files import ReviewFiles
from batchcolor.review.review_item import ReviewItem
from batchcolor.storage.atomic import write_atomic
from batchcolor.storage.journal import STATE_FOLDER

SIDE, QUALITY = 400, 80
MAX_BYTES = 512 * 2**20
"""Of the folder; the oldest thumbnails are removed when it is exceeded."""
CACHED = "*.jpg", "*.json"
"""The lists of the shots of films as well."""
CHECK_EVERY = 500
"""Thumbnails written between two checks of the size."""


class Thumbnails:
    """Makes and caches thumbnails. Thread-safe."""

    def __init__(
        self, files: ReviewFiles, readers: Sequence[Reader], max_bytes: int = MAX_BYTES
    ) -> None:
        self._files = files
        self.folder = files.output / STATE_FOLDER / "thumbs"
        self._readers, self._max_bytes = readers, max_bytes
        self._written = 0
        self.remove_oldest()

    def get(self, item: ReviewItem) -> bytes:
        """A JPEG of the result, or of the source where there is none. Raises ProcessingError."""
        path = self.folder / f"{item.id}-{self._files.find_version(item)}.jpg"
        with contextlib.suppress(OSError):
            return path.read_bytes()
        data = encode_preview(self._read(item), QUALITY)
        with contextlib.suppress(OutputError):  # a full or read-only disk costs only time
            write_atomic(path, data)
            self._written += 1
            if self._written % CHECK_EVERY == 0:
                self.remove_oldest()
        return data

    def _read(self, item: ReviewItem) -> Image.Image:
        if self._files.describe_result(item):
            try:
                with self._files.open_result(item) as path:
                    return read_result(path, SIDE)
            except ProcessingError:
                pass  # a result that was damaged since: the source is shown
        with self._files.open_source(item) as path:
            return read_source(path, SIDE, self._readers).convert("RGB")

    def remove_oldest(self) -> None:
        """Removes the thumbnails that were not written for the longest time, beyond the limit."""
        with contextlib.suppress(OSError):
            paths = [path for kind in CACHED for path in self.folder.glob(kind)]
            files = [(path, path.stat()) for path in paths]
            files.sort(key=lambda pair: pair[1].st_mtime_ns, reverse=True)
            total = 0
            for path, status in files:
                total += status.st_size
                if total > self._max_bytes:
                    path.unlink(missing_ok=True)
