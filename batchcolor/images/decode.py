"""Decodes a still image to luma and alpha, upright, at full resolution and depth."""

from __future__ import annotations

import dataclasses
import io
from collections.abc import Callable, Sequence
from pathlib import Path

from PIL import Image

from batchcolor.errors import LIMITS, ProcessingError
from batchcolor.hooks.types import Reader
from batchcolor.images.color_detection import has_colors
from batchcolor.images.color_profiles.icc import ColorConversion, plan_conversion
from batchcolor.images.decode_errors import describe_error, describe_salvage
from batchcolor.images.decode_options import DEFAULT_OPTIONS, DecodeOptions
from batchcolor.images.formats import AVIF, HEIF, JPEG, PNG, QOI, TIFF, WEBP
from batchcolor.images.header import find_reader, open_with_pillow, read_size
from batchcolor.images.heif_items import describe_further_images, merge_associations
from batchcolor.images.jpeg.jpeg_reader import decode_jpeg
from batchcolor.images.metadata.pillow import read_metadata
from batchcolor.images.metadata.read import read_file_metadata
from batchcolor.images.picture import Picture, check_size, note_dropped_frames
from batchcolor.images.pixel_modes import find_color_space, split_luma_and_alpha, turn_upright
from batchcolor.images.plugin_reader import decode_with_reader
from batchcolor.images.png.png_reader import decode_png
from batchcolor.images.readers.codec_reader import decode_with_codec, find_codec
from batchcolor.images.readers.heif_depth import (
    decode_deep_heif,
    note_hdr,
    read_heif_bits,
    read_heif_profile,
)
from batchcolor.images.readers.imageio_reader import decode_with_imageio
from batchcolor.images.readers.padded_salvage import pad_with_zeros
from batchcolor.images.readers.webp_file import is_lossless_webp
from batchcolor.images.scan import ScannedFile
from batchcolor.images.tiff.tiff_reader import decode_tiff

QOI_END = bytes(7) + b"\1"
"""Bytes after the pixels of a QOI file (qoiformat.org)."""


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
        if options.embeds_profile:
            return _decode(found, max_pixels, readers, options)
        picture = _decode(found, max_pixels, readers, dataclasses.replace(options, profile="srgb"))
        picture.metadata = dataclasses.replace(picture.metadata, icc=b"")
        return picture
    except ProcessingError:
        raise
    except Exception as error:  # decoders raise any type of error; one picture is not the job
        raise ProcessingError("decode", describe_error(error)) from error


def _decode(
    found: ScannedFile, max_pixels: int, readers: Sequence[Reader], options: DecodeOptions
) -> Picture:
    """Selects the decoder by the format."""
    reader = find_reader(found, readers)
    if reader is not None:
        return decode_with_reader(found, reader, max_pixels, options)
    if found.format is not None and found.format.imageio_plugin:
        return decode_with_imageio(found, max_pixels, options)
    if found.format == TIFF:
        return decode_tiff(found, max_pixels, options=options)
    if found.format == PNG:
        return decode_png(found, found.path.read_bytes(), max_pixels, options)
    if found.format == JPEG:
        return decode_jpeg(found, found.path.read_bytes(), max_pixels, options)
    return _decode_other(found, max_pixels, options)


def make_picture(image: Image.Image) -> Picture:
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


def _decode_other(found: ScannedFile, max_pixels: int, options: DecodeOptions) -> Picture:
    """Returns the picture of a format whose damage no reader here looks into."""
    decode_once = _decode_with_pillow
    if found.format is not None and find_codec(found.format) is not None:
        decode_once = decode_with_codec
    try:
        return decode_once(found, max_pixels, options)
    except Exception as error:  # decoders raise any type of error
        if not options.salvage or (isinstance(error, ProcessingError) and error.step == LIMITS):
            raise
        return _salvage(found, max_pixels, options, decode_once, error)


def _salvage(
    found: ScannedFile,
    max_pixels: int,
    options: DecodeOptions,
    decode_once: Callable[[ScannedFile, int, DecodeOptions], Picture],
    error: Exception,
) -> Picture:
    """Returns the picture of a file that is completed with zeros. Raises `error` where it fails."""
    try:
        width, height = read_size(found)
        with pad_with_zeros(found, width * height) as padded:
            picture = decode_once(padded, max_pixels, options)
    except Exception:
        raise error from None
    picture.path = found.path
    picture.notes.append(describe_salvage(error))
    return picture


def _decode_with_pillow(found: ScannedFile, max_pixels: int, options: DecodeOptions) -> Picture:
    if found.format is None:
        raise ProcessingError("decode", "not a picture in a known format")
    data = found.path.read_bytes()
    data = merge_associations(data) if found.format == AVIF else data
    notes = [found.note] if found.note else []
    with open_with_pillow(io.BytesIO(data), found.format) as image:
        check_size(image.width, image.height, max_pixels)
        word = "primary" if found.format == HEIF else "first"
        frames = getattr(image, "n_frames", 1)
        note_dropped_frames(frames, notes, word)
        bits = read_heif_bits(data, found.format)
        if bits > 8 and found.format == AVIF and frames > 1:  # Pillow decodes one of its frames
            notes.append(f"{bits} bits reduced to 8: it is an animation")
            bits = 8
        if bits == 8:
            image.load()  # before EXIF is read: afterwards Pillow ignores damaged pixels
        metadata, orientation = read_file_metadata(data, image, found.format.name, notes)
        if image.format == "TIFF":
            orientation = 1  # Pillow turns the pixels of TIFF upright when it loads them
        if found.format in (AVIF, HEIF):
            notes += [f"{name} dropped" for name in describe_further_images(data)]
            icc = metadata.icc or read_heif_profile(data, found.format)
            metadata = dataclasses.replace(metadata, icc=icc)
        conversion = _plan(image, metadata.icc, options, notes)
        if bits > 8:
            note_hdr(data, notes)
            pixels, alpha = decode_deep_heif(data, found.format, bits)
            planes = conversion.to_luma(pixels), alpha
            is_colored = has_colors(pixels)
        else:
            planes = split_luma_and_alpha(image, notes, conversion)
            is_colored = has_colors(image)
    if found.format == QOI and QOI_END not in data:
        notes.append("its end marker is missing, but its pixels are complete")
    luma, alpha = turn_upright(planes, orientation)
    metadata = dataclasses.replace(metadata, icc=conversion.target)
    picture = Picture(found.path, luma, alpha, found.format, metadata, notes, is_colored)
    picture.is_lossless = found.format == WEBP and is_lossless_webp(data)
    picture.bits = bits if bits > 8 else 0
    return picture


def _plan(
    image: Image.Image, icc: bytes, options: DecodeOptions, notes: list[str]
) -> ColorConversion:
    """Returns how the samples of an image that is open become luma."""
    return plan_conversion(icc, find_color_space(image, icc), options.profile, notes)
