"""Decodes PNG: checks its chunks, honours its colour space, keeps 16 bits and transparency."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from PIL import Image

from batchcolor.errors import LIMITS, ProcessingError
from batchcolor.images.color_detection import has_colors
from batchcolor.images.color_profiles.icc import ColorConversion, plan_conversion
from batchcolor.images.decode_errors import describe_salvage
from batchcolor.images.decode_options import DecodeOptions
from batchcolor.images.metadata.read import read_file_metadata
from batchcolor.images.picture import Picture, Plane, check_size, note_dropped_frames
from batchcolor.images.pixel_modes import find_color_space, split_luma_and_alpha, turn_upright
from batchcolor.images.png.png_chunks import (
    INDEXED,
    PALETTE,
    keep_pixel_chunks,
    parse_png_header,
    repair_png,
    walk_chunks,
)
from batchcolor.images.png.png_color import read_png_color, replace_color_blocks, select_output
from batchcolor.images.png.png_salvage import salvage_png
from batchcolor.images.scan import ScannedFile


def decode_png(found: ScannedFile, data: bytes, max_pixels: int, options: DecodeOptions) -> Picture:
    """Returns the picture of a PNG, upright.

    Raises ProcessingError for damaged pixels, unless `options.salvage`, and for more than
    `max_pixels`, and whatever the decoders raise.
    """
    try:
        return _decode(found, data, max_pixels, options)
    except Exception as error:
        if not options.salvage or (isinstance(error, ProcessingError) and error.step == LIMITS):
            raise
        rest = salvage_png(data)
        if rest is None:
            raise
        picture = _decode(found, rest, max_pixels, options)
        picture.notes.append(describe_salvage(error))
        return picture


def _decode(found: ScannedFile, data: bytes, max_pixels: int, options: DecodeOptions) -> Picture:
    assert found.format is not None
    header = parse_png_header(data)
    check_size(header.width, header.height, max_pixels)
    notes = [found.note] if found.note else []
    data = repair_png(data, notes)
    if header.color_type == INDEXED and not any(c.kind == PALETTE for c in walk_chunks(data)):
        raise ProcessingError("decode", "damaged: its palette is missing")
    pixels = keep_pixel_chunks(data)
    with Image.open(io.BytesIO(pixels)) as image:
        note_dropped_frames(getattr(image, "n_frames", 1), notes)
        image.load()
        metadata, orientation = read_file_metadata(data, image, found.format.name, notes)
        color = read_png_color(data, metadata, notes)
        space = find_color_space(image, color.profile)
        output = select_output(color, options.profile)
        conversion = plan_conversion(color.profile, space, output, notes)
        if header.bits == 16 and (image.mode != "I;16" or "transparency" in image.info):
            planes = _decode_16_bit(pixels, conversion)
        else:
            planes = split_luma_and_alpha(image, notes, conversion)
        is_colored = has_colors(image)
    luma, alpha = turn_upright(planes, orientation)
    metadata = replace_color_blocks(metadata, color, conversion.target)
    return Picture(found.path, luma, alpha, found.format, metadata, notes, is_colored)


def _decode_16_bit(data: bytes, conversion: ColorConversion) -> tuple[Plane, Plane | None]:
    """Decodes what Pillow reduces to 8 bits: colour, and grey with alpha or a transparent level."""
    import imagecodecs

    pixels: Any = imagecodecs.png_decode(data)
    alpha: Plane | None = None
    if pixels.ndim == 3 and pixels.shape[2] in (2, 4):
        alpha, pixels = np.ascontiguousarray(pixels[..., -1]), pixels[..., :-1]
    return conversion.to_luma(np.ascontiguousarray(pixels)), alpha
