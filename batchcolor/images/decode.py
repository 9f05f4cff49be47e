"""Decodes a still image to luma and alpha, upright, at full resolution and depth."""

from __future__ import annotations

import dataclasses
import io
from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from batchcolor.errors import ProcessingError
from batchcolor.hooks.types import Reader
from batchcolor.images.codec_reader import decode_with_codec, find_codec
from batchcolor.images.color_detection import has_colors
from batchcolor.images.decode_errors import describe_error
from batchcolor.images.decode_options import DEFAULT_OPTIONS, DecodeOptions
from batchcolor.images.formats import JPEG, PNG, TIFF
from batchcolor.images.header import find_reader, open_with_pillow
from batchcolor.images.icc import ColorConversion, plan_conversion
from batchcolor.images.imageio_reader import decode_with_imageio
from batchcolor.images.jpeg_reader import decode_jpeg
from batchcolor.images.metadata.pillow import read_metadata
from batchcolor.images.metadata.read import read_file_metadata
from batchcolor.images.picture import Picture, check_size
from batchcolor.images.pixel_modes import find_color_space, split_luma_and_alpha, turn_upright
from batchcolor.images.plugin_reader import decode_with_reader
from batchcolor.images.png_reader import decode_png
from batchcolor.images.scan import ScannedFile
from batchcolor.images.tiff_reader import decode_tiff


def decode(
    found: ScannedFile,
    max_pixels: int,
    readers: Sequence[Reader] = (),
    options: DecodeOptions = DEFAULT_OPTIONS,
) -> Picture:
    """Returns the picture of a file.

    Raises ProcessingError with a reason, whatever error the decoder raises: for a file that is
    damaged, larger than `max_pixels`, or changed since it was scanned.
    """
    try:
        status = found.path.stat()
        if (status.st_size, status.st_mtime_ns) != (found.size, found.mtime_ns):
            raise ProcessingError("decode", "changed while the job ran; run again to colour it")
        reader = find_reader(found, readers)
        if reader is not None:
            return decode_with_reader(found, reader, max_pixels, options)
        if found.format is not None and found.format.imageio_plugin:
            return decode_with_imageio(found, max_pixels)
        if found.format == TIFF:
            return decode_tiff(found, max_pixels, options=options)
        codec = find_codec(found.format) if found.format is not None else None
        if codec is not None:
            return decode_with_codec(found, codec, max_pixels, options)
        if found.format == PNG:
            return decode_png(found, found.path.read_bytes(), max_pixels, options)
        if found.format == JPEG:
            return decode_jpeg(found, found.path.read_bytes(), max_pixels, options)
        return _decode_with_pillow(found, found.path.read_bytes(), max_pixels, options)
    except ProcessingError:
        raise
    except Exception as error:  # decoders raise any type of error; one picture is not the job
        raise ProcessingError("decode", describe_error(error)) from error


def picture_from_image(image: Image.Image) -> Picture:
    """Returns the picture of a Pillow image in memory, upright, with its metadata.

    Raises ProcessingError for an image that cannot be loaded or converted.
    """
    notes: list[str] = []
    try:
        image.load()
        metadata, orientation = read_metadata(image, notes)
        conversion = _plan(image, metadata.icc, DEFAULT_OPTIONS, notes)
        planes = split_luma_and_alpha(image, notes, conversion)
    except ProcessingError:
        raise
    except Exception as error:  # a file that Pillow opened lazily may be damaged in any way
        raise ProcessingError("decode", describe_error(error)) from error
    luma, alpha = turn_upright(planes, orientation)
    path = Path(getattr(image, "filename", "") or "image")
    metadata = dataclasses.replace(metadata, icc=conversion.target)
    return Picture(path, luma, alpha, PNG, metadata, notes)


def _decode_with_pillow(
    found: ScannedFile, data: bytes, max_pixels: int, options: DecodeOptions
) -> Picture:
    if found.format is None:
        raise ProcessingError("decode", "not a picture in a known format")
    notes = [found.note] if found.note else []
    with open_with_pillow(io.BytesIO(data), found.format) as image:
        check_size(image.width, image.height, max_pixels)
        image.load()  # before EXIF is read: afterwards Pillow ignores damaged pixels
        metadata, orientation = read_file_metadata(data, image, found.format.name, notes)
        if image.format == "TIFF":
            orientation = 1  # Pillow turns the pixels of TIFF upright when it loads them
        conversion = _plan(image, metadata.icc, options, notes)
        planes = split_luma_and_alpha(image, notes, conversion)
        is_colored = has_colors(image)
    luma, alpha = turn_upright(planes, orientation)
    metadata = dataclasses.replace(metadata, icc=conversion.target)
    return Picture(found.path, luma, alpha, found.format, metadata, notes, is_colored)


def _plan(
    image: Image.Image, icc: bytes, options: DecodeOptions, notes: list[str]
) -> ColorConversion:
    """Returns how the samples of an image that is open become luma."""
    return plan_conversion(icc, find_color_space(image, icc), options.profile, notes)
