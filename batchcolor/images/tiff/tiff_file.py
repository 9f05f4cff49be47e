"""Opens TIFF files with tifffile: which directories are pages, their size, what is not readable.

Sources: TIFF 6.0, TIFF Technical Notes 1 to 3, and the tag registry of libtiff.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from batchcolor.errors import ProcessingError
from batchcolor.images.picture import check_size

if TYPE_CHECKING:
    import tifffile

REDUCED, TRANSPARENCY_MASK = 1, 4
"""Bits of NewSubfileType: a thumbnail or pyramid level, and a mask of another page."""
DNG_VERSION, ORIENTATION, PHOTOMETRIC_TAG = 50706, 274, 262
MASK, CFA, LINEAR_RAW = 4, 32803, 34892
"""PhotometricInterpretation of a transparency mask and of samples of camera raw."""
JPEG_COMPRESSIONS = frozenset({7, 33007, 34892})
RAW_ADVICE = "give it the suffix of its raw format (.dng, .nef, ...)"
PREVIEW = f"its first picture is a preview, as in camera raw files; {RAW_ADVICE}"
SENSOR_SAMPLES = f"holds samples of a camera's sensor, as camera raw files do; {RAW_ADVICE}"
RESULT_BYTES = 12
"""Bytes per pixel and byte of a sample: luma, alpha, the joined RGB image and the encoded file."""


@dataclass(frozen=True)
class PageHeader:
    """What the directory of a page says about its size."""

    width: int
    height: int
    memory: int
    """Bytes that its decoding and its result need at the peak."""
    result_size: int
    """Bytes of the samples of its result."""
    offset: int
    """Of its directory in the file."""
    order: str
    """The byte order of the file, `<` or `>`."""


class _MessageCollector(logging.Handler):
    """Collects the warnings that tifffile logs, by thread, instead of printing them."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self._local = threading.local()

    def start(self) -> None:
        self._local.messages = []

    def finish(self) -> list[str]:
        messages, self._local.messages = getattr(self._local, "messages", []), []
        return messages

    def emit(self, record: logging.LogRecord) -> None:
        messages = getattr(self._local, "messages", None)
        if messages is not None:
            messages.append(record.getMessage())


_collector = _MessageCollector()


@contextmanager
def open_tiff(path: Path, notes: list[str]) -> Iterator[tifffile.TiffFile]:
    """Opens a TIFF or BigTIFF without decoding pixels.

    Adds a note where tifffile finds a directory that is not as it should be. Raises
    tifffile.TiffFileError for a damaged file.
    """
    import tifffile

    logger = tifffile.logger()
    if _collector not in logger.handlers:
        logger.addHandler(_collector)
        logger.propagate = False
    _collector.start()
    with tifffile.TiffFile(path) as file:
        yield file
        messages = _collector.finish()
        if messages:
            notes.append(f"its TIFF directory is damaged: {_shorten(messages[0])}")


def _shorten(message: str) -> str:
    """Returns a message of tifffile without the object that begins it."""
    text = message.split("> ", 1)[-1] if message.startswith("<") else message
    return text if len(text) <= 120 else text[:119] + "…"


def list_pages(file: tifffile.TiffFile) -> list[tifffile.TiffPage]:
    """Returns the pages in order, without thumbnails, pyramid levels and masks.

    Raises ProcessingError for camera raw in a TIFF structure and for a file without a page.
    """
    directories: list[Any] = list(file.pages)
    if not directories:
        raise ProcessingError("decode", "damaged: it has no image directory")
    if DNG_VERSION in directories[0].tags:
        raise ProcessingError("decode", PREVIEW)
    pages = [
        page
        for page in directories
        if not page.subfiletype & (REDUCED | TRANSPARENCY_MASK) and page.photometric != MASK
    ]
    if not pages:
        raise ProcessingError("decode", PREVIEW)
    if any(page.photometric in (CFA, LINEAR_RAW) for page in pages):
        raise ProcessingError("decode", SENSOR_SAMPLES)
    return pages


def read_page_at(file: tifffile.TiffFile, number: int, offset: int) -> tifffile.TiffPage:
    """Returns the page whose directory is at an offset. Raises tifffile.TiffFileError."""
    import tifffile

    file.filehandle.seek(offset)
    return tifffile.TiffPage(file, number)


def read_page_headers(path: Path, max_pixels: int) -> list[PageHeader]:
    """Returns the headers of all pages, from the directories alone.

    Raises ProcessingError for a page of more than `max_pixels`.
    """
    with open_tiff(path, []) as file:
        pages = list_pages(file)
        for page in pages:
            if not (isinstance(page.imagewidth, int) and isinstance(page.imagelength, int)):
                raise ProcessingError("decode", "damaged: its width or height is no single number")
            check_size(page.imagewidth, page.imagelength, max_pixels)
        return [_read_page_header(page) for page in pages]


def _read_page_header(page: tifffile.TiffPage) -> PageHeader:
    width, height, samples = int(page.imagewidth), int(page.imagelength), page.samplesperpixel
    bits = page.bitspersample
    sample_bytes = page.dtype.itemsize if page.dtype is not None else 4
    result_bytes = 2 if isinstance(bits, int) and bits > 8 else 1
    decoded = width * height * samples * sample_bytes
    compressed = 2 * sum(page.databytecounts) if page.compression != 1 else 0
    scaled = width * height * (samples + 2) * result_bytes  # and luma and alpha
    result = width * height * RESULT_BYTES * result_bytes
    return PageHeader(
        *(width, height),
        memory=max(compressed + decoded + scaled, result),
        result_size=width * height * 4 * result_bytes,
        offset=page.offset,
        order=page.parent.byteorder,
    )
