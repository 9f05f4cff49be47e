"""Decodes a still image to luma and alpha, upright, at full resolution and depth."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import simplejpeg
from numpy.typing import NDArray
from PIL import Image

from batchcolor.color import rgb16_to_luma
from batchcolor.errors import ProcessingError
from batchcolor.hooks.types import Reader
from batchcolor.images.codec_reader import decode_with_codec, find_codec
from batchcolor.images.color_detection import has_colors
from batchcolor.images.decode_errors import describe_error
from batchcolor.images.formats import JPEG, PNG, TIFF
from batchcolor.images.header import find_reader, open_with_pillow, read_bits_per_sample
from batchcolor.images.imageio_reader import decode_with_imageio
from batchcolor.images.jpeg_frame import parse_frame_header
from batchcolor.images.jpeg_processes import check_process, decode_rare_process
from batchcolor.images.metadata.pillow import read_metadata
from batchcolor.images.metadata.read import read_file_metadata
from batchcolor.images.picture import Picture, Plane, check_size
from batchcolor.images.pixel_modes import split_luma_and_alpha, turn_upright
from batchcolor.images.plugin_reader import decode_with_reader
from batchcolor.images.scan import ScannedFile
from batchcolor.images.tiff_reader import decode_tiff

NEAR_WHITE, NEAR_BLACK = 235, 20
"""8-bit RGB samples beyond these may have been clipped when YCbCr became RGB."""
MIN_SATURATION = 24
"""Difference of the largest and smallest RGB sample from which a pixel counts as coloured."""
MAX_CLIPPED_SHARE = 0.002


def decode(found: ScannedFile, max_pixels: int, readers: Sequence[Reader] = ()) -> Picture:
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
            return decode_with_reader(found, reader, max_pixels)
        if found.format is not None and found.format.imageio_plugin:
            return decode_with_imageio(found, max_pixels)
        if found.format == TIFF:
            return decode_tiff(found, max_pixels)
        codec = find_codec(found.format) if found.format is not None else None
        if codec is not None:
            return decode_with_codec(found, codec, max_pixels)
        return _decode_with_pillow(found, found.path.read_bytes(), max_pixels)
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
        planes = split_luma_and_alpha(image, notes)
    except ProcessingError:
        raise
    except Exception as error:  # a file that Pillow opened lazily may be damaged in any way
        raise ProcessingError("decode", describe_error(error)) from error
    luma, alpha = turn_upright(planes, orientation)
    path = Path(getattr(image, "filename", "") or "image")
    return Picture(path, luma, alpha, PNG, metadata, notes)


def _decode_with_pillow(found: ScannedFile, data: bytes, max_pixels: int) -> Picture:
    if found.format is None:
        raise ProcessingError("decode", "not a picture in a known format")
    if found.format == JPEG:
        frame = parse_frame_header(io.BytesIO(data))
        check_process(frame)
        if not frame.is_8_bit_dct:
            return decode_rare_process(found, data, frame, max_pixels)
    notes = [found.note] if found.note else []
    with open_with_pillow(io.BytesIO(data), found.format) as image:
        check_size(image.width, image.height, max_pixels)
        if found.format != JPEG:
            image.load()  # before EXIF is read: afterwards Pillow ignores damaged pixels
        metadata, orientation = read_file_metadata(data, image, found.format.name, notes)
        if image.format == "TIFF":
            orientation = 1  # Pillow turns the pixels of TIFF upright when it loads them
        jpeg_luma = _decode_jpeg_luma(data, image) if found.format == JPEG else None
        planes: tuple[Plane, Plane | None]
        if jpeg_luma is not None:
            planes, is_colored = (jpeg_luma[0], None), jpeg_luma[1]
        else:
            planes = _decode_luma_and_alpha(image, data, found.path, notes)
            is_colored = has_colors(image)
    luma, alpha = turn_upright(planes, orientation)
    return Picture(found.path, luma, alpha, found.format, metadata, notes, is_colored)


def _decode_jpeg_luma(data: bytes, image: Image.Image) -> tuple[NDArray[np.uint8], bool] | None:
    """Decodes the luma of a grey or YCbCr JPEG; returns None for RGB, CMYK and YCCK.

    The second value is whether the picture is in colour. The luma is the Y plane, unless more
    than `MAX_CLIPPED_SHARE` of the pixels are saturated colours: there viewers clip RGB, and Y
    differs from the luma of the RGB that they show. A decoding at one eighth of the size decides.
    """
    if image.mode == "L":
        return _decode_y_plane(data), False
    if image.mode != "RGB" or image.info.get("adobe_transform", 1) != 1:
        return None
    min_size = {"min_width": max(1, image.width // 8), "min_height": max(1, image.height // 8)}
    small = simplejpeg.decode_jpeg(data, "RGB", **min_size, fastdct=True, strict=False)
    high, low = small.max(axis=2).astype(np.int16), small.min(axis=2).astype(np.int16)
    is_clipped = ((high > NEAR_WHITE) | (low < NEAR_BLACK)) & (high - low > MIN_SATURATION)
    if is_clipped.mean() < MAX_CLIPPED_SHARE:
        return _decode_y_plane(data), has_colors(small)
    rgb = simplejpeg.decode_jpeg(data, "RGB", strict=True)
    return np.asarray(Image.fromarray(rgb).convert("L")), has_colors(small)


def _decode_y_plane(data: bytes) -> NDArray[np.uint8]:
    luma: NDArray[np.uint8] = simplejpeg.decode_jpeg(data, "GRAY", strict=True)[..., 0]
    return luma


def _decode_luma_and_alpha(
    image: Image.Image, data: bytes, path: Path, notes: list[str]
) -> tuple[Plane, Plane | None]:
    """Returns luma and alpha of any mode that Pillow opens; keeps 16 bits per sample."""
    if read_bits_per_sample(image, path) == 16 and not image.mode.startswith("I;16"):
        planes = _decode_16_bit_png(data)
        if planes is not None:
            return planes
    return split_luma_and_alpha(image, notes)


def _decode_16_bit_png(data: bytes) -> tuple[Plane, Plane | None] | None:
    """Decodes 16-bit PNG that Pillow reduces to 8 bits: colour, and grey with alpha."""
    import imagecodecs

    pixels = imagecodecs.png_decode(data)
    if pixels.dtype != np.uint16:
        return None
    if pixels.ndim == 2:
        return pixels, None
    alpha = pixels[..., -1] if pixels.shape[2] in (2, 4) else None
    luma = pixels[..., 0] if pixels.shape[2] <= 2 else rgb16_to_luma(pixels[..., :3])
    return np.ascontiguousarray(luma), None if alpha is None else np.ascontiguousarray(alpha)
