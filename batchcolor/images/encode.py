"""Encodes a colorized image, with its metadata, to the bytes of a file."""

from __future__ import annotations

import io
import struct
from typing import Any

import numpy as np
import simplejpeg
from numpy.typing import NDArray
from PIL import Image

from batchcolor.images.formats import AVIF, BMP, HEIF, JPEG, JPEG_XL, PNG, TIFF, WEBP, Format
from batchcolor.images.join import JoinedImage
from batchcolor.images.jpeg_stream.jpeg_splice import splice
from batchcolor.images.metadata.convert import convert
from batchcolor.images.metadata.jpeg import write_jpeg
from batchcolor.images.metadata.model import Metadata
from batchcolor.images.metadata.png import write_png
from batchcolor.images.metadata.tiff import is_big_endian, write_tiff
from batchcolor.images.metadata.webp import write_webp
from batchcolor.images.modern_encoders import (
    AVIF_QUALITY,
    ENCODERS,
    HEIF_QUALITY,
    JPEG_XL_QUALITY,
)
from batchcolor.images.picture import Plane
from batchcolor.images.thumbnails import color_thumbnails

JPEG_QUALITY = 96
"""From here on simplejpeg uses the accurate DCT; the fast one changes luma by 0.4 steps more."""
WEBP_QUALITY = 95
DEFAULT_QUALITY = {
    JPEG.name: JPEG_QUALITY,
    WEBP.name: WEBP_QUALITY,
    AVIF.name: AVIF_QUALITY,
    HEIF.name: HEIF_QUALITY,
    JPEG_XL.name: JPEG_XL_QUALITY,
}
"""The default of `--quality` by format name; the other formats are lossless."""
ENCODER_ERRORS = (OSError, ValueError, RuntimeError, MemoryError, struct.error, SystemError)
"""Errors that encoders raise for a picture or its metadata. Catch them around `encode` alone, so
that an error in batchcolor's own code is not reported as a picture that cannot be encoded."""


def encode(
    image: JoinedImage, metadata: Metadata, quality: int | None, notes: list[str] | None = None
) -> bytes:
    """Returns the content of a file in the format of `image`.

    `quality` is 1..100, or None for `DEFAULT_QUALITY`, and for lossless WebP where the source is;
    formats that are not in it ignore it. With `image.grey_jpeg` it is the quality of chroma.
    `metadata` is that of `image`, with or without marks. Appends to `notes` which metadata the
    format cannot hold.
    """
    notes = [] if notes is None else notes
    if image.grey_jpeg is not None and image.cb is not None and image.cr is not None:
        colored = color_thumbnails(metadata, image)
        quality = quality or JPEG_QUALITY
        return splice(image.grey_jpeg, image.cb, image.cr, quality, colored, notes)
    converted = color_thumbnails(convert(metadata, image.format.name, notes), image)
    encoder = ENCODERS.get(image.format.name)
    if encoder is not None:
        assert image.rgb is not None
        return encoder(image.rgb, converted, quality, notes, image.bits)
    return _insert_metadata(_encode_pixels(image, converted, quality), image, converted, notes)


def _encode_pixels(image: JoinedImage, metadata: Metadata, quality: int | None) -> bytes:
    """Returns a file with no metadata but resolution and, in TIFF, ICC profile."""
    if image.format == JPEG:
        return _encode_jpeg(image, quality or JPEG_QUALITY)
    assert image.rgb is not None
    if image.format == TIFF:
        return _encode_tiff(image.rgb, metadata)
    if image.rgb.dtype == np.uint16:
        return _encode_16_bit_png(image.rgb)
    if image.format == WEBP and image.is_lossless and quality is None:
        return _encode_lossless_webp(image.rgb)
    return _encode_with_pillow(Image.fromarray(image.rgb), image.format, metadata, quality)


def _insert_metadata(
    encoded: bytes, image: JoinedImage, metadata: Metadata, notes: list[str]
) -> bytes:
    """Returns the encoded file with the metadata that its format holds."""
    if image.format == JPEG:
        return write_jpeg(encoded, metadata, notes)
    if image.format == PNG:
        return write_png(encoded, metadata)
    if image.format == TIFF:
        return write_tiff(encoded, metadata)
    if image.format == WEBP and image.rgb is not None:
        return write_webp(encoded, metadata, (image.rgb.shape[1], image.rgb.shape[0]))
    return encoded


def _encode_jpeg(image: JoinedImage, quality: int) -> bytes:
    assert image.luma is not None
    data: bytes = simplejpeg.encode_jpeg_yuv_planes(
        Y=_pad_buffer_to_even_size(image.luma),
        U=image.cb,
        V=image.cr,
        quality=quality,
        fastdct=False,
    )
    return data


def _pad_buffer_to_even_size(luma: Plane) -> NDArray[Any]:
    """Returns the plane as a view into a buffer with an even number of rows and columns.

    libjpeg-turbo reads 4:2:0 luma in pairs. Without the padding it reads past the end of a plane
    with odd sides, and the encoded bytes depend on other content of the memory.
    """
    height, width = luma.shape
    if height % 2 == 0 and width % 2 == 0:
        return np.ascontiguousarray(luma)
    return np.pad(luma, ((0, height % 2), (0, width % 2)), mode="edge")[:height, :width]


def _encode_lossless_webp(rgb: Plane) -> bytes:
    """Returns RGB or RGBA as lossless WebP, with the colours of transparent pixels.

    More effort makes the file 12 % smaller in three times the time.
    """
    file = io.BytesIO()
    Image.fromarray(rgb).save(file, WEBP.name, lossless=True, method=1, quality=0, exact=True)
    return file.getvalue()


def _encode_with_pillow(
    image: Image.Image, target: Format, metadata: Metadata, quality: int | None
) -> bytes:
    options: dict[str, object] = {}
    if metadata.dpi and target == BMP:
        options["dpi"] = metadata.dpi
    if target == PNG:
        options["compress_level"] = 1  # 1.8 times as fast as 6 for 1 % more bytes
    if target == WEBP:
        options.update(quality=quality or WEBP_QUALITY, method=2)
    file = io.BytesIO()
    image.save(file, target.name, **options)
    return file.getvalue()


def _encode_16_bit_png(rgb: Plane) -> bytes:
    """Encodes 16-bit RGB or RGBA as PNG, which Pillow cannot."""
    import imagecodecs

    return bytes(imagecodecs.png_encode(rgb, level=1))


def _encode_tiff(rgb: Plane, metadata: Metadata) -> bytes:
    """Encodes RGB or RGBA of 8 or 16 bits as TIFF.

    Pillow writes no 16-bit RGB, takes 1.6 times as long for 8 bits, and fills the byte after a
    strip of odd length with other content of the memory.
    """
    import tifffile

    file = io.BytesIO()
    tifffile.imwrite(
        file,
        rgb,
        byteorder=">" if is_big_endian(metadata) else "<",
        photometric="rgb",
        compression="zlib",
        extrasamples=["unassalpha"] if rgb.shape[2] == 4 else None,
        resolution=metadata.dpi,
        resolutionunit="INCH" if metadata.dpi else None,
        iccprofile=metadata.icc or None,
        software=False,
        metadata=None,
        maxworkers=1,  # pictures are encoded in several threads already
    )
    return file.getvalue()
