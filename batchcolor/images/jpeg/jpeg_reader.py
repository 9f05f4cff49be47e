"""Decodes JPEG of every process, and files whose pixels are complete in spite of damage."""

from __future__ import annotations

import dataclasses
import io

from PIL import Image

from batchcolor.errors import LIMITS, ProcessingError
from batchcolor.images.color_profiles.icc import plan_conversion
from batchcolor.images.decode_errors import describe_salvage
from batchcolor.images.decode_options import DecodeOptions
from batchcolor.images.jpeg.jpeg_luma import decode_jpeg_luma
from batchcolor.images.jpeg.jpeg_processes import (
    check_process,
    decode_rare_process,
    is_common_jpeg,
    open_as_baseline,
)
from batchcolor.images.jpeg.jpeg_repair import (
    add_end,
    find_adobe_segment,
    has_all_scans,
    remove_bytes_between_segments,
    repair_jpeg,
    repair_segments,
)
from batchcolor.images.jpeg.luma_coefficients import CODED_AGAIN, copy_luma
from batchcolor.images.jpeg_stream.grey_jpeg import decode_luma, read_grey_jpeg
from batchcolor.images.jpeg_stream.jpeg_frame import JpegFrame, parse_frame_header
from batchcolor.images.jpeg_stream.jpeg_structure import JpegStructureError
from batchcolor.images.metadata.read import read_file_metadata
from batchcolor.images.picture import Picture, check_size
from batchcolor.images.pixel_modes import find_color_space, turn_upright
from batchcolor.images.scan import ScannedFile


def decode_jpeg(
    found: ScannedFile, data: bytes, max_pixels: int, options: DecodeOptions
) -> Picture:
    """Returns the picture of a JPEG, upright.

    Damage that leaves the pixels complete is noted. Raises ProcessingError for other damage,
    unless `options.salvage`, and for more than `max_pixels`.
    """
    try:
        return _decode(found, data, max_pixels, options)
    except Exception as error:  # decoders raise any type of error
        if isinstance(error, ProcessingError) and error.step == LIMITS:
            raise
        notes: list[str] = []
        repaired = repair_jpeg(data, notes)
        if repaired is not None and notes:
            picture = _decode(found, repaired, max_pixels, options)
            if picture.grey_jpeg is not None and picture.grey_jpeg.is_file:
                picture.grey_jpeg = None  # the source as it is cannot be copied
        elif options.salvage:
            rest = remove_bytes_between_segments(repair_segments(data, notes), notes)
            rest = add_end(rest)
            picture = _salvage(found, rest, max_pixels, options, error)
        else:
            raise
        picture.notes += notes
        return picture


def _salvage(
    found: ScannedFile, data: bytes, max_pixels: int, options: DecodeOptions, error: Exception
) -> Picture:
    """Returns the picture as far as it decodes. Raises `error` where it does not at all."""
    try:
        picture = _decode(found, data, max_pixels, options, is_strict=False)
    except Exception:
        raise error from None
    picture.notes.append(describe_salvage(error))
    return picture


def _decode(
    found: ScannedFile,
    data: bytes,
    max_pixels: int,
    options: DecodeOptions,
    *,
    is_strict: bool = True,
) -> Picture:
    """Returns the picture; with `is_strict`, raises for every warning of the decoder."""
    assert found.format is not None
    frame = parse_frame_header(io.BytesIO(data))
    check_process(frame)
    if not is_common_jpeg(data, frame):
        picture = decode_rare_process(found, data, frame, max_pixels, options, is_strict=is_strict)
        if options.luma == "exact":
            picture.notes.append(f"{CODED_AGAIN}{frame.precision}-bit {frame.process}")
        return picture
    notes = [found.note] if found.note else []
    header, is_refused = _open(data, frame)
    with header as image:
        check_size(image.width, image.height, max_pixels)
        metadata, orientation = read_file_metadata(data, image, found.format.name, notes)
        space = find_color_space(image, metadata.icc if is_strict else b"")
        conversion = plan_conversion(metadata.icc, space, options.profile, notes)
        is_kept = is_strict and not (is_refused or conversion.is_needed)
        grey_jpeg = None
        if is_kept and frame.components == 1:
            grey_jpeg = read_grey_jpeg(data, orientation, conversion.target)
        jpeg_luma = decode_luma(grey_jpeg) if grey_jpeg is not None else None
        is_colored = False
        if jpeg_luma is None:
            grey_jpeg = None
            jpeg_luma, is_colored = decode_jpeg_luma(data, image, conversion, is_strict=is_strict)
    is_exact = options.luma == "exact" and (options.recolors or not is_colored)
    if is_exact and grey_jpeg is None:
        try:
            if is_refused or not is_strict:
                raise JpegStructureError("it is damaged")
            if conversion.is_needed:
                raise JpegStructureError("its colour profile is converted")
            grey_jpeg = copy_luma(data, frame, jpeg_luma, orientation)
        except JpegStructureError as error:
            notes.append(f"{CODED_AGAIN}{error}")
    if is_strict and frame.is_progressive and not has_all_scans(data):
        notes.append("its last scans are missing: it has less detail than it had")
    luma, _ = turn_upright((jpeg_luma, None), orientation)
    metadata = dataclasses.replace(metadata, icc=conversion.target)
    return Picture(
        *(found.path, luma, None, found.format, metadata, notes, is_colored), grey_jpeg=grey_jpeg
    )


def _open(data: bytes, frame: JpegFrame) -> tuple[Image.Image, bool]:
    """Returns the header as Pillow opens it, and whether it refuses one of the segments.

    Then the header has only that of Adobe.
    """
    try:
        return Image.open(io.BytesIO(data)), False
    except Exception:  # of any type, for a segment that libjpeg ignores
        adobe = find_adobe_segment(data, frame)
        begin = b"\xff\xd8" + (adobe[0] if adobe else b"")
        return open_as_baseline(data, frame, begin=begin), True
