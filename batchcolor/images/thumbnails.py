"""Replaces the thumbnails in the metadata of a picture by coloured ones."""

from __future__ import annotations

import base64
import io
import re
from dataclasses import replace

import numpy as np
from PIL import Image

from batchcolor.images.join import JoinedImage
from batchcolor.images.metadata import exif
from batchcolor.images.metadata.model import Metadata
from batchcolor.images.metadata.photoshop import (
    OLD_THUMBNAIL,
    THUMBNAIL,
    add_resource,
    build_thumbnail,
    read_resources,
    remove_resources,
)
from batchcolor.images.picture import reduce_to_8_bits

DEFAULT_SIDE = 160
"""Longer side of the thumbnails of DCF, in pixels."""
MAX_SIDE, MAX_BYTES = 512, 40000
"""A thumbnail shares one JPEG segment of 64 KiB with the other EXIF."""
QUALITIES = (85, 70, 50, 30)
XMP_THUMBNAIL = re.compile(rb"""(xmpGImg:image(?:>|\s*=\s*["']))[^<"']+""")


def color_thumbnails(metadata: Metadata, image: JoinedImage) -> Metadata:
    """Returns the metadata with every thumbnail of EXIF, Photoshop and XMP made of `image`.

    A new thumbnail has about the size of the old one. Metadata without thumbnails is unchanged.
    """
    has_exif = bool(metadata.exif) and exif.has_thumbnail(metadata.exif)
    resources = read_resources(metadata.photoshop)
    old = {OLD_THUMBNAIL, THUMBNAIL} & resources.keys()
    has_xmp = XMP_THUMBNAIL.search(metadata.xmp) is not None
    if not (has_exif or old or has_xmp):
        return metadata
    side = _measure_side(exif.read_thumbnail(metadata.exif)) if has_exif else DEFAULT_SIDE
    small = _shrink(image, side)
    jpeg = _encode(small)
    photoshop, xmp = metadata.photoshop, metadata.xmp
    if old:
        content = build_thumbnail(jpeg, small.width, small.height)
        photoshop = add_resource(remove_resources(photoshop, old), THUMBNAIL, content)
    if has_xmp:
        xmp = XMP_THUMBNAIL.sub(rb"\g<1>" + base64.b64encode(jpeg), xmp)
    block = exif.replace_thumbnail(metadata.exif, jpeg) if has_exif else metadata.exif
    return replace(metadata, exif=block, photoshop=photoshop, xmp=xmp)


def _measure_side(thumbnail: bytes) -> int:
    """Returns the longer side of a JPEG in pixels; a default for one that cannot be opened."""
    try:
        with Image.open(io.BytesIO(thumbnail)) as image:
            return min(MAX_SIDE, max(image.size))
    except Exception:  # a damaged thumbnail raises any type of error; it is replaced
        return DEFAULT_SIDE


def _shrink(image: JoinedImage, side: int) -> Image.Image:
    """Returns the picture with `side` pixels along its longer side, RGB."""
    if image.rgb is not None:
        step = max(1, min(image.rgb.shape[:2]) // (4 * side))
        rgb = image.rgb[::step, ::step, :3]
        rgb8 = rgb if rgb.dtype == np.uint8 else reduce_to_8_bits(rgb)
        planes = [Image.fromarray(np.ascontiguousarray(rgb8))]
        height, width = image.rgb.shape[:2]
    else:
        assert image.luma is not None
        planes = [Image.fromarray(p) for p in (image.luma, image.cb, image.cr) if p is not None]
        height, width = image.luma.shape
    scale = min(1.0, side / max(width, height))
    size = max(1, round(width * scale)), max(1, round(height * scale))
    small = [p.resize(size, Image.Resampling.BILINEAR, reducing_gap=3.0) for p in planes]
    return small[0] if len(small) == 1 else Image.merge("YCbCr", small).convert("RGB")


def _encode(image: Image.Image) -> bytes:
    """Returns a JPEG of at most `MAX_BYTES`, or of the lowest quality."""
    data = b""
    for quality in QUALITIES:
        file = io.BytesIO()
        image.save(file, "JPEG", quality=quality)
        data = file.getvalue()
        if len(data) <= MAX_BYTES:
            break
    return data
