"""Reads the header of a picture: size, pages, bits per sample, and the memory that it needs."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

from PIL import Image, UnidentifiedImageError

from batchcolor.errors import LIMITS, ProcessingError
from batchcolor.hooks.types import Reader
from batchcolor.images.decode_errors import describe_error
from batchcolor.images.formats import AVIF, BUILT_IN_FORMATS, HEIF, JPEG, PNG, TIFF, WEBP, Format
from batchcolor.images.heif_items import merge_associations
from batchcolor.images.jpeg.jpeg_repair import repair_segments
from batchcolor.images.jpeg_stream.jpeg_frame import (
    JpegFrame,
    parse_frame_header,
    read_frame_header,
)
from batchcolor.images.picture import check_size
from batchcolor.images.png.png_chunks import read_png_header
from batchcolor.images.readers import imageio_reader
from batchcolor.images.readers.codec_reader import find_codec
from batchcolor.images.readers.heif_depth import read_file_bits
from batchcolor.images.scan import VANISHED, ScannedFile
from batchcolor.images.tiff.tiff_file import PageHeader, read_page_headers

# batchcolor compares sizes with --max-pixels before pixels are decoded; Pillow's own limit is
# lower than the size of large scans.
Image.MAX_IMAGE_PIXELS = None

BYTES_PER_PIXEL = 12
"""Peak of decoded samples, luma, joined image and encoded file, for 8 bits per sample."""
ANIMATED_FORMATS = (PNG, WEBP, AVIF)
"""Formats whose further pictures are the frames of an animation."""
READER_BYTES_PER_FILE_BYTE = 20
"""The assumption for plugins' readers, which have no function that reads the header."""


def estimate_memory(
    found: ScannedFile,
    max_pixels: int,
    readers: Sequence[Reader] = (),
    *,
    allow_multiple: bool = False,
) -> int:
    """Returns the bytes that a picture needs at its peak, from its header alone.

    Raises ProcessingError for a file that is empty, unknown or damaged, for more than
    `max_pixels`, and for several frames, unless `allow_multiple`. Of a TIFF with pages the first
    one counts.
    """
    if found.size == VANISHED:
        raise ProcessingError("scan", "vanished while the job ran")
    if found.size == 0:
        raise ProcessingError("decode", "the file is empty")
    if found.format is None:
        raise ProcessingError("decode", _describe_unknown_file(found.path))
    if find_reader(found, readers) is not None:
        return found.size * READER_BYTES_PER_FILE_BYTE
    try:
        if found.format == TIFF:
            return read_page_headers(found.path, max_pixels)[0].memory
        width, height, pages, is_deep = _read_header(found.path, found.format)
    except ProcessingError:
        raise
    except Exception as error:  # decoders raise any type of error; one picture is not the job
        raise ProcessingError("decode", describe_error(error)) from error
    check_size(width, height, max_pixels)
    if not allow_multiple:
        _check_single(found.format, pages)
    return found.size + width * height * BYTES_PER_PIXEL * (2 if is_deep else 1)


def read_pages(found: ScannedFile, max_pixels: int) -> list[PageHeader]:
    """Returns the headers of the pages of a TIFF; nothing for other formats.

    Raises ProcessingError for a damaged file and for a page of more than `max_pixels`.
    """
    if found.format != TIFF:
        return []
    try:
        return read_page_headers(found.path, max_pixels)
    except ProcessingError:
        raise
    except Exception as error:  # tifffile raises many types of errors for damaged directories
        raise ProcessingError("decode", describe_error(error)) from error


def _check_single(kind: Format, pages: int) -> None:
    if pages < 2 or kind == HEIF:  # its primary picture is the photograph; the others are noted
        return
    what = "is an animation: it" if kind in ANIMATED_FORMATS else "it"
    what = f"{what} has {pages} pages or frames, and of {kind.name.upper()} only one is coloured"
    advice = "--pages first colours the first"
    if kind in ANIMATED_FORMATS:
        advice += "; a GIF or a film is coloured whole"
    raise ProcessingError(LIMITS, f"{what} ({advice})")  # it depends on the options


def find_reader(found: ScannedFile, readers: Sequence[Reader]) -> Reader | None:
    """Returns the plugin's reader that identified the file, or None."""
    if found.format is None or found.format in BUILT_IN_FORMATS:
        return None
    return next((reader for reader in readers if reader.name == found.format.name), None)


def open_with_pillow(source: Path | io.BytesIO, kind: Format) -> Image.Image:
    """Opens a picture without decoding its pixels."""
    if kind == HEIF:
        import pillow_heif

        pillow_heif.register_heif_opener()
    try:
        return Image.open(source)
    except UnidentifiedImageError:
        if kind != AVIF or not isinstance(source, Path):
            raise
        return Image.open(io.BytesIO(merge_associations(source.read_bytes())))


def _read_header(path: Path, kind: Format) -> tuple[int, int, int, bool]:
    """Returns width, height, number of pages, and whether samples have more than 8 bits."""
    if kind == JPEG:
        frame = _read_frame_header(path)
        return frame.width, frame.height, 1, frame.precision > 8
    if kind == PNG:
        png = read_png_header(path)
        return png.width, png.height, png.frames, png.bits == 16
    codec = find_codec(kind)
    if codec is not None:
        header = codec.read_header(path)
        return header.width, header.height, header.pages, header.is_deep
    if kind.imageio_plugin:
        return *imageio_reader.read_header(path, kind), True
    with open_with_pillow(path, kind) as image:
        width, height = image.size
        is_deep = image.mode.startswith(("I", "F")) or read_file_bits(path, kind) > 8
        pages = getattr(image, "n_frames", 1)
    return width, height, pages, is_deep


def read_size(found: ScannedFile) -> tuple[int, int]:
    """Returns width and height. Raises whatever the reader of the header raises."""
    assert found.format is not None
    width, height, *_ = _read_header(found.path, found.format)
    return width, height


def _read_frame_header(path: Path) -> JpegFrame:
    """Returns the frame header of a JPEG, also where a damaged segment precedes it."""
    try:
        return read_frame_header(path)
    except ProcessingError:
        return parse_frame_header(io.BytesIO(repair_segments(path.read_bytes(), [])))


def _describe_unknown_file(path: Path) -> str:
    try:
        with path.open("rb") as file:
            file.read(1)
    except OSError as error:
        return f"cannot be read ({error.strerror})"
    return "not a picture in a known format"
