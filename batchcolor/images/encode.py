"""Encodes a colorized image, with its metadata, to the bytes of a file."""

from __future__ import annotations

import io
import struct
from typing import Any

import numpy as np
import simplejpeg
from numpy.typing import NDArray
from PIL import Image

from batchcolor.images.formats import BMP, JPEG, PNG, TIFF, WEBP, Format
from batchcolor.images.join import JoinedImage
from batchcolor.images.metadata.jpeg import insert_metadata_segments
from batchcolor.images.metadata.model import Metadata
from batchcolor.images.metadata.pillow import SOFTWARE, read_descriptive_tags
from batchcolor.images.metadata.png import insert_metadata_chunks
from batchcolor.images.picture import Plane

JPEG_QUALITY = 96
"""From here on simplejpeg uses the accurate DCT; the fast one changes luma by 0.4 steps more."""
WEBP_QUALITY = 95
DEFAULT_QUALITY = {JPEG.name: JPEG_QUALITY, WEBP.name: WEBP_QUALITY}
"""The default of `--quality` by format name; the other formats are lossless."""
XMP_TAG = 700
"""TIFF tag of the XMP packet (XMP specification, part 3)."""
ENCODER_ERRORS = (OSError, ValueError, RuntimeError, MemoryError, struct.error, SystemError)
"""Errors that encoders raise for a picture or its metadata. Catch them around `encode` alone, so
that an error in batchcolor's own code is not reported as a picture that cannot be encoded."""


def encode(
    image: JoinedImage, metadata: Metadata, quality: int | None, notes: list[str] | None = None
) -> bytes:
    """Returns the content of a file in the format of `image`.

    Appends to `notes` which metadata the format cannot hold.

    `quality` is 1..100 for JPEG and WebP, or None for `DEFAULT_QUALITY`; other formats ignore it.
    """
    if image.format == JPEG:
        return insert_metadata_segments(_encode_jpeg(image, quality or JPEG_QUALITY), metadata)
    assert image.rgb is not None
    if image.rgb.dtype == np.uint16:
        return _encode_16_bit(image.rgb, image.format, metadata)
    return _encode_with_pillow(Image.fromarray(image.rgb), image.format, metadata, quality)


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


def _encode_with_pillow(
    image: Image.Image, target: Format, metadata: Metadata, quality: int | None
) -> bytes:
    options: dict[str, object] = {}
    if metadata.icc and target != BMP:
        options["icc_profile"] = metadata.icc
    if metadata.exif and target in (PNG, WEBP):
        options["exif"] = metadata.exif
    if target == TIFF:
        options["exif"] = tags = Image.Exif()
        if metadata.exif:
            tags.load(b"Exif\0\0" + metadata.exif)
        if metadata.xmp:
            tags[XMP_TAG] = metadata.xmp
    if metadata.dpi and target != WEBP:
        options["dpi"] = metadata.dpi
    if metadata.xmp and target == WEBP:
        options["xmp"] = metadata.xmp
    if target == PNG:
        options["compress_level"] = 1  # 1.8 times as fast as 6 for 1 % more bytes
        options.update(_png_text_options(metadata))
    if target == WEBP:
        options.update(quality=quality or WEBP_QUALITY, method=2)
    if target == TIFF:
        options["compression"] = "tiff_adobe_deflate"
    file = io.BytesIO()
    image.save(file, target.name, **options)
    return file.getvalue()


def _png_text_options(metadata: Metadata) -> dict[str, object]:
    """Returns the option of Pillow's PNG encoder that writes XMP and comment as iTXt chunks."""
    from PIL.PngImagePlugin import PngInfo

    texts = PngInfo()
    if metadata.xmp:
        texts.add_itxt("XML:com.adobe.xmp", metadata.xmp.decode("utf-8", "replace"))
    for comment in metadata.comments:
        texts.add_itxt("Comment", comment.decode("utf-8", "replace"))
    return {"pnginfo": texts}


def _encode_16_bit(rgb: Plane, target: Format, metadata: Metadata) -> bytes:
    """Encodes 16-bit RGB or RGBA as PNG or TIFF, which Pillow cannot."""
    import imagecodecs
    import tifffile

    if target == PNG:
        return insert_metadata_chunks(bytes(imagecodecs.png_encode(rgb, level=1)), metadata)
    file = io.BytesIO()
    tags = read_descriptive_tags(metadata)
    tifffile.imwrite(
        file,
        rgb,
        photometric="rgb",
        compression="zlib",
        extrasamples=["unassalpha"] if rgb.shape[2] == 4 else None,
        resolution=metadata.dpi,
        resolutionunit="INCH" if metadata.dpi else None,
        iccprofile=metadata.icc or None,
        software=tags.pop(SOFTWARE, False),
        extratags=[
            *((tag, "s", 0, value, True) for tag, value in tags.items()),
            *([(XMP_TAG, "B", len(metadata.xmp), metadata.xmp, True)] if metadata.xmp else []),
        ],
        metadata=None,
    )
    return file.getvalue()
