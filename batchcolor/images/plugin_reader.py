"""Reads a picture through a plugin's reader, and checks what the reader returns."""

from __future__ import annotations

from typing import Any

import numpy as np
from PIL import Image

from batchcolor.errors import ProcessingError
from batchcolor.hooks.types import Reader, ReadImage
from batchcolor.images.color_detection import has_colors
from batchcolor.images.color_profiles.icc import convert_pixels
from batchcolor.images.decode_options import DEFAULT_OPTIONS, DecodeOptions
from batchcolor.images.metadata.model import Metadata
from batchcolor.images.metadata.pillow import read_metadata
from batchcolor.images.picture import Picture, check_size
from batchcolor.images.scan import ScannedFile


def decode_with_reader(
    found: ScannedFile, reader: Reader, max_pixels: int, options: DecodeOptions = DEFAULT_OPTIONS
) -> Picture:
    """Returns the picture that a plugin's reader decodes.

    Raises ProcessingError for pixels or alpha of another type or shape than the contract's, and
    for more than `max_pixels`.
    """
    returned: Any = reader.decode(found.path)
    read = returned if isinstance(returned, ReadImage) else ReadImage(np.asarray(returned))
    pixels: Any = np.asarray(read.pixels)
    is_grey_or_rgb = pixels.ndim == 2 or (pixels.ndim == 3 and pixels.shape[2] in (1, 3))
    if pixels.dtype not in (np.uint8, np.uint16) or not is_grey_or_rgb or not pixels.size:
        raise ProcessingError(
            "decode",
            f"reader {reader.name} returned {pixels.dtype} {pixels.shape}, not grey or RGB",
        )
    check_size(pixels.shape[1], pixels.shape[0], max_pixels)
    alpha: Any = None if read.alpha is None else np.asarray(read.alpha)
    if alpha is not None and (alpha.shape != pixels.shape[:2] or alpha.dtype != pixels.dtype):
        raise ProcessingError(
            "decode",
            f"reader {reader.name} returned alpha {alpha.dtype} {alpha.shape} "
            f"for pixels {pixels.dtype} {pixels.shape}",
        )
    assert found.format is not None
    notes = [found.note] if found.note else []
    metadata = _check_metadata(read, notes)
    is_colored = has_colors(pixels)
    luma, metadata = convert_pixels(pixels, metadata, options.profile, notes)
    return Picture(found.path, luma, alpha, found.format, metadata, notes, is_colored)


def _check_metadata(read: ReadImage, notes: list[str]) -> Metadata:
    """Returns the reader's metadata, checked like that of a file that Pillow opens."""
    carrier = Image.new("RGB", (1, 1))
    blocks = {
        "exif": read.exif and b"Exif\0\0" + read.exif.removeprefix(b"Exif\0\0"),
        "icc_profile": read.icc_profile,
        "xmp": read.xmp,
        "dpi": read.dpi,
    }
    carrier.info.update({name: block for name, block in blocks.items() if block})
    checked, _ = read_metadata(carrier, notes)
    return checked
