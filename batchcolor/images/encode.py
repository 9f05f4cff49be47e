"""Joining chroma to the picture's own luma, and writing planes into a format."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Any

import numpy as np
import simplejpeg
from numpy.typing import NDArray
from PIL import Image

from batchcolor.color import gamut_scale, ycbcr_to_rgb
from batchcolor.images.formats import BMP, JPEG, PNG, TIFF, WEBP, Format
from batchcolor.images.jpeg_segments import with_metadata
from batchcolor.images.metadata import SOFTWARE, Metadata, descriptive_tags
from batchcolor.images.picture import Picture, Plane
from batchcolor.images.png_chunks import with_chunks

ROWS = 64
"""Rows joined at once: a strip stays in the processor's cache, and memory stays small."""
JPEG_QUALITY = 96
"""simplejpeg takes the accurate DCT from here on; below, luma would lose 0.4 of a step."""
WEBP_QUALITY = 95
DEFAULT_QUALITY = {JPEG.name: JPEG_QUALITY, WEBP.name: WEBP_QUALITY}
"""What `--quality` is by default, by format; the other formats are lossless."""


@dataclass
class Planes:
    """A coloured picture ready for its encoder.

    For JPEG: luma `(H, W)`, cb and cr `(ceil(H/2), ceil(W/2))`, uint8, BT.601 full range, 128 is
    none. Else: rgb `(H, W, 3)` or, with alpha, `(H, W, 4)`, uint8 or uint16.
    """

    format: Format
    luma: Plane | None = None
    cb: NDArray[np.uint8] | None = None
    cr: NDArray[np.uint8] | None = None
    rgb: Plane | None = None


def join(picture: Picture, chroma: NDArray[np.float32], strength: float, target: Format) -> Planes:
    """The picture's own luma with this small chroma `(2, s, s)` (Cb, Cr in -0.5..0.5).

    Chroma is upsampled bilinearly, times `strength`, and gives way where it would leave RGB, so
    luma is never changed. What the target cannot hold (16 bits, alpha) is noted.
    """
    field = chroma * np.float32(strength)
    luma, alpha = picture.luma, picture.alpha
    if picture.depth == 16 and not target.deep:
        luma = _eight_bits(luma)
        alpha = None if alpha is None else _eight_bits(alpha)
        picture.notes.append(f"16 bits became 8: {target.name} holds no more")
    if alpha is not None and not target.alpha:
        alpha = None
        picture.notes.append(f"transparency dropped: {target.name} holds none")
    if target == JPEG:
        return _join_subsampled(luma.astype(np.uint8, copy=False), field)
    return Planes(target, rgb=_join_rgb(luma, alpha, field))


def _eight_bits(plane: Plane) -> NDArray[np.uint8]:
    return ((plane.astype(np.uint32) + 128) // 257).astype(np.uint8)


def _join_rgb(luma: Plane, alpha: Plane | None, chroma: NDArray[np.float32]) -> Plane:
    height, width = luma.shape
    high = np.float32(np.iinfo(luma.dtype).max)
    wide = _upsampled(chroma, width, axis=2)  # (2, s, W)
    rgb = np.empty((height, width, 3 if alpha is None else 4), luma.dtype)
    if alpha is not None:
        rgb[..., 3] = alpha
    for top in range(0, height, ROWS):
        rows = slice(top, min(top + ROWS, height))
        y = luma[rows].astype(np.float32) / high
        cb, cr = _upsampled(wide, height, axis=1, part=rows)
        scale = gamut_scale(y, cb, cr)
        for channel, plane in enumerate(ycbcr_to_rgb(y, cb * scale, cr * scale)):
            plane *= high
            plane += 0.5
            np.clip(plane, 0, high, out=plane)
            rgb[rows, :, channel] = plane
    return rgb


def _join_subsampled(luma: NDArray[np.uint8], chroma: NDArray[np.float32]) -> Planes:
    """4:2:0 planes. A chroma sample must suit the darkest and the brightest of its four pixels."""
    height, width = luma.shape
    size = ((height + 1) // 2, (width + 1) // 2)
    wide = _upsampled(chroma, size[1], axis=2)
    planes = np.empty((2, *size), np.uint8)
    for top in range(0, size[0], ROWS):
        rows = slice(top, min(top + ROWS, size[0]))
        strip = luma[2 * rows.start : 2 * rows.stop]
        dark, bright = _extremes(strip)
        cb, cr = _upsampled(wide, size[0], axis=1, part=rows)
        scale = np.minimum(
            gamut_scale(dark.astype(np.float32) / np.float32(255), cb, cr),
            gamut_scale(bright.astype(np.float32) / np.float32(255), cb, cr),
        )
        for index, plane in enumerate((cb, cr)):
            planes[index, rows] = np.clip(plane * scale * 255 + 128.5, 0, 255)
    return Planes(JPEG, luma=luma, cb=planes[0], cr=planes[1])


def _extremes(strip: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Least and greatest of each 2 x 2 block; an odd edge counts with what is there."""
    dark, bright = strip, strip
    for axis in (0, 1):
        even = [slice(None)] * 2
        odd = [slice(None)] * 2
        even[axis], odd[axis] = slice(0, None, 2), slice(1, None, 2)
        low, high = dark[tuple(even)].copy(), bright[tuple(even)].copy()
        paired = [slice(None)] * 2
        paired[axis] = slice(0, dark[tuple(odd)].shape[axis])
        np.minimum(low[tuple(paired)], dark[tuple(odd)], out=low[tuple(paired)])
        np.maximum(high[tuple(paired)], bright[tuple(odd)], out=high[tuple(paired)])
        dark, bright = low, high
    return dark, bright


def _upsampled(
    field: NDArray[np.float32], size: int, *, axis: int, part: slice | None = None
) -> NDArray[np.float32]:
    """`field` brought to `size` along one axis, linearly between centres; `part` of it only."""
    count = field.shape[axis]
    part = part or slice(0, size)
    centre = (np.arange(part.start, part.stop) + 0.5) * (count / size) - 0.5
    centre = np.clip(centre, 0, count - 1).astype(np.float32)
    first = centre.astype(np.int64)
    second = np.minimum(first + 1, count - 1)
    weight = (centre - first).astype(np.float32)
    weight = weight.reshape([-1 if d == axis else 1 for d in range(field.ndim)])
    low: NDArray[np.float32] = field.take(first, axis)
    high: NDArray[np.float32] = field.take(second, axis)
    high -= low
    high *= weight
    high += low
    return high


def encode(planes: Planes, metadata: Metadata, quality: int | None) -> bytes:
    """The file's content. `quality` is 1..100 for JPEG and WebP (default: `DEFAULT_QUALITY`)."""
    if planes.format == JPEG:
        data = simplejpeg.encode_jpeg_yuv_planes(
            Y=_evened(planes.luma),
            U=planes.cb,
            V=planes.cr,
            quality=quality or JPEG_QUALITY,
            fastdct=False,
        )
        return with_metadata(data, metadata)
    assert planes.rgb is not None
    if planes.rgb.dtype == np.uint16:
        return _encode_deep(planes.rgb, planes.format, metadata)
    return _encode_pillow(Image.fromarray(planes.rgb), planes.format, metadata, quality)


def _evened(luma: Plane | None) -> NDArray[Any]:
    """Luma as a view into a plane with even sides: libjpeg-turbo reads 4:2:0 in pairs, and would
    read past the end of an odd plane (different bytes each time)."""
    assert luma is not None
    height, width = luma.shape
    if height % 2 == 0 and width % 2 == 0:
        return np.ascontiguousarray(luma)
    return np.pad(luma, ((0, height % 2), (0, width % 2)), mode="edge")[:height, :width]


def _encode_pillow(
    image: Image.Image, target: Format, metadata: Metadata, quality: int | None
) -> bytes:
    options: dict[str, object] = {}
    if metadata.icc and target != BMP:
        options["icc_profile"] = metadata.icc
    if metadata.exif and target in (PNG, WEBP):
        options["exif"] = metadata.exif
    if metadata.exif and target == TIFF:
        options["exif"] = b"Exif\0\0" + metadata.exif
    if metadata.dpi and target != WEBP:
        options["dpi"] = metadata.dpi
    if metadata.xmp and target == WEBP:
        options["xmp"] = metadata.xmp
    if target == PNG:
        options["compress_level"] = 1  # 1.8 times as fast as 6 for 1 % more bytes
        options.update(_png_texts(metadata))
    if target == WEBP:
        options.update(quality=quality or WEBP_QUALITY, method=2)
    if target == TIFF:
        options["compression"] = "tiff_adobe_deflate"
    file = io.BytesIO()
    image.save(file, target.name, **options)
    return file.getvalue()


def _png_texts(metadata: Metadata) -> dict[str, object]:
    from PIL.PngImagePlugin import PngInfo

    texts = PngInfo()
    if metadata.xmp:
        texts.add_itxt("XML:com.adobe.xmp", metadata.xmp.decode("utf-8", "replace"))
    if metadata.comment:
        texts.add_itxt("Comment", metadata.comment.decode("utf-8", "replace"))
    return {"pnginfo": texts}


def _encode_deep(rgb: Plane, target: Format, metadata: Metadata) -> bytes:
    """16-bit PNG and TIFF, which Pillow cannot write."""
    import imagecodecs
    import tifffile

    if target == PNG:
        return with_chunks(bytes(imagecodecs.png_encode(rgb, level=1)), metadata)
    file = io.BytesIO()
    tags = descriptive_tags(metadata)
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
        extratags=[(tag, "s", 0, value, True) for tag, value in tags.items()],
        metadata=None,
    )
    return file.getvalue()
