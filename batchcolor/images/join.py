"""Joins the small chroma of a colorizer to the full-resolution luma of its picture."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from batchcolor.color import compute_gamut_scale, compute_rgb_offsets, ycbcr_to_rgb
from batchcolor.images.formats import JPEG, Format
from batchcolor.images.jpeg_stream.grey_jpeg import GreyJpeg
from batchcolor.images.metadata.jpeg import TRAILER_DROPPED
from batchcolor.images.metadata.model import Metadata
from batchcolor.images.picture import Picture, Plane, reduce_to_8_bits
from batchcolor.images.pixel_modes import turn_as_stored

MAX_LEVEL = np.float32(127)
"""The largest chroma of JPEG, in levels; the smallest one is -128."""
MIN_OFFSET = np.float32(1e-3)
"""Levels from which on an offset of R, G or B limits chroma; it prevents a division by zero."""
COARSE_SIZE = 8_000_000
"""Pixels from which chroma is limited for blocks of 4 x 4 pixels instead of 2 x 2."""
STRIP_HEIGHT = 32
"""Rows joined at once, so that temporary arrays are small and stay in the processor's cache."""


@dataclass
class JoinedImage:
    """A colorized picture in the form that the encoder of `format` takes.

    For JPEG: `luma` `(H, W)`, `cb` and `cr` `(ceil(H/2), ceil(W/2))`, uint8, BT.601 full range
    with neutral chroma at 128. For other formats: `rgb` `(H, W, 3)`, or `(H, W, 4)` with alpha,
    uint8 or uint16. Pixels are upright, except that with `grey_jpeg` they are as it stores them.
    """

    format: Format
    luma: Plane | None = None
    cb: NDArray[np.uint8] | None = None
    cr: NDArray[np.uint8] | None = None
    rgb: Plane | None = None
    is_lossless: bool = False
    """Whether the source is lossless, in a format that can also be lossy."""
    grey_jpeg: GreyJpeg | None = None
    """The source, where its coded luma is copied."""
    bits: int = 0
    """As `Picture.bits`."""
    metadata: Metadata = field(default_factory=Metadata)
    """The metadata of the source, for pixels in this orientation."""


def join(
    picture: Picture, chroma: NDArray[np.float32], strength: float, target: Format
) -> JoinedImage:
    """Joins chroma `(2, s, s)` (Cb, Cr in -0.5..0.5) to the luma of a picture.

    Chroma is multiplied by `strength`, upsampled bilinearly and reduced where the colour would
    leave RGB, so the luma is unchanged. Adds a note to the picture for 16 bits and alpha that
    the target format cannot hold. Whether coded luma is copied is decided here: for grey JPEG to
    JPEG.
    """
    scaled_chroma = chroma * np.float32(strength)
    if picture.grey_jpeg is not None and target == JPEG:
        if picture.grey_jpeg.is_file:  # they are copied
            picture.notes = [n for n in picture.notes if not n.endswith(TRAILER_DROPPED)]
        return _join_to_grey_jpeg(picture.luma, picture.grey_jpeg, scaled_chroma)
    luma, alpha = picture.luma, picture.alpha
    if picture.depth == 16 and not target.supports_16_bits:
        luma = reduce_to_8_bits(luma)
        alpha = None if alpha is None else reduce_to_8_bits(alpha)
        picture.notes.append(f"16 bits reduced to 8: {target.name} does not support 16")
    if alpha is not None and not target.supports_alpha:
        alpha = None
        picture.notes.append(f"transparency dropped: {target.name} does not support it")
    if target == JPEG:
        cb, cr = _join_to_yuv420(luma.astype(np.uint8, copy=False), scaled_chroma)
        return JoinedImage(JPEG, luma=luma, cb=cb, cr=cr, metadata=picture.metadata)
    rgb = _join_to_rgb(luma, alpha, scaled_chroma)
    return JoinedImage(
        target,
        rgb=rgb,
        is_lossless=picture.is_lossless,
        bits=picture.bits,
        metadata=picture.metadata,
    )


def _join_to_grey_jpeg(luma: Plane, source: GreyJpeg, chroma: NDArray[np.float32]) -> JoinedImage:
    """Returns the planes in the orientation in which the source stores its pixels."""
    stored = turn_as_stored(luma.astype(np.uint8, copy=False), source.orientation)
    turned = [turn_as_stored(plane, source.orientation) for plane in chroma]
    cb, cr = _join_to_yuv420(stored, np.stack(turned))
    return JoinedImage(JPEG, stored, cb, cr, grey_jpeg=source, metadata=source.metadata)


def _join_to_rgb(luma: Plane, alpha: Plane | None, chroma: NDArray[np.float32]) -> Plane:
    """Returns RGB `(H, W, 3)`, or `(H, W, 4)` with alpha, of the type of `luma`."""
    height, width = luma.shape
    max_value = np.float32(np.iinfo(luma.dtype).max)
    full_width = _upsample_linear(chroma, width, axis=2)  # (2, s, W)
    rgb = np.empty((height, width, 3 if alpha is None else 4), luma.dtype)
    if alpha is not None:
        rgb[..., 3] = alpha
    for top in range(0, height, STRIP_HEIGHT):
        rows = slice(top, min(top + STRIP_HEIGHT, height))
        y = luma[rows].astype(np.float32) / max_value
        cb, cr = _upsample_linear(full_width, height, axis=1, part=rows)
        scale = compute_gamut_scale(y, y, cb, cr)
        for channel, plane in enumerate(ycbcr_to_rgb(y, cb * scale, cr * scale)):
            plane *= max_value
            plane += 0.5
            np.clip(plane, 0, max_value, out=plane)
            rgb[rows, :, channel] = plane
    return rgb


def _join_to_yuv420(
    luma: NDArray[np.uint8], chroma: NDArray[np.float32]
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Returns Cb and Cr of 4:2:0 for JPEG.

    A chroma sample is shared by a block of 2 x 2 pixels, so it is reduced until it stays inside RGB
    for both the darkest and the brightest pixel of the block. Large pictures have blocks of 4 x 4,
    each with four equal samples.
    """
    side = 4 if luma.size >= COARSE_SIZE else 2
    height, width = (-(-length // side) for length in luma.shape)
    full_width = _upsample_linear(chroma, width, axis=2)
    full_width *= np.float32(255)
    np.clip(full_width, -MAX_LEVEL, MAX_LEVEL, out=full_width)
    # The offsets are convex functions of chroma: between two rows they are at most what linear
    # interpolation gives, so they are computed for the rows of the field only.
    limits = (np.maximum(offset, MIN_OFFSET) for offset in compute_rgb_offsets(*full_width))
    field = np.stack([*full_width, *limits])  # (4, s, W)
    steps = np.diff(field, axis=1, append=field[:, -1:])
    first, weight = _find_positions(field.shape[1], slice(0, height), height)
    planes = np.empty((2, height, width), np.uint8)
    one = np.ones((1, width), np.float32)  # the minimum with a scalar is not vectorized
    for top in range(0, height, STRIP_HEIGHT):
        rows = slice(top, min(top + STRIP_HEIGHT, height))
        darkest, brightest = _find_block_extrema(luma[side * rows.start : side * rows.stop], side)
        strip = steps.take(first[rows], 1)
        strip *= weight[rows, None]
        strip += field.take(first[rows], 1)
        samples, (above, below) = strip[:2], strip[2:]
        np.divide(np.uint8(255) - brightest, above, out=above)
        np.divide(darkest, below, out=below)
        scale = np.minimum(above, below, out=above)
        samples *= np.minimum(scale, one, out=scale)
        samples += np.float32(128.5)
        planes[:, rows] = samples
    if side == 2:
        return planes[0], planes[1]
    half = tuple((length + 1) // 2 for length in luma.shape)
    return _double(planes[0], half), _double(planes[1], half)


def _double(plane: NDArray[np.uint8], shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """Returns the plane with each sample twice along both axes, cut to `shape`."""
    height, width = plane.shape
    doubled = np.empty((height, 2, width), np.uint16)
    doubled[:] = (plane * np.uint16(257))[:, None]  # both bytes of a word are the sample
    samples = doubled.view(np.uint8).reshape(2 * height, 2 * width)
    return np.ascontiguousarray(samples[: shape[0], : shape[1]])


def _find_block_extrema(
    luma: NDArray[np.uint8], side: int
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Returns minimum and maximum of each block of 2 x 2 or 4 x 4; those at an edge are smaller."""
    height, width = luma.shape
    if height % side or width % side:
        luma = np.pad(luma, ((0, -height % side), (0, -width % side)), mode="edge")
    return _reduce_blocks(luma, side, np.minimum), _reduce_blocks(luma, side, np.maximum)


def _reduce_blocks(luma: NDArray[np.uint8], side: int, reduce: np.ufunc) -> NDArray[np.uint8]:
    """Reduces rows, and then neighbours in a row as the two bytes of 16-bit words, which is
    vectorized, unlike steps."""
    reduced: NDArray[np.uint8] = reduce(luma[::side], luma[1::side])
    for row in range(2, side):
        reduce(reduced, luma[row::side], out=reduced)
    while side > 1:
        words = reduced.view(np.uint16)
        reduced = reduce(words & np.uint16(255), words >> np.uint16(8)).astype(np.uint8)
        side //= 2
    return reduced


def _upsample_linear(
    values: NDArray[np.float32], size: int, *, axis: int, part: slice | None = None
) -> NDArray[np.float32]:
    """Resamples one axis to `size` by linear interpolation between sample centres.

    With `part`, returns only that range of the `size` samples.
    """
    count = values.shape[axis]
    first, weight = _find_positions(count, part or slice(0, size), size)
    second = np.minimum(first + 1, count - 1)
    weight = weight.reshape([-1 if d == axis else 1 for d in range(values.ndim)])
    low: NDArray[np.float32] = values.take(first, axis)
    high: NDArray[np.float32] = values.take(second, axis)
    high -= low
    high *= weight
    high += low
    return high


def _find_positions(
    count: int, part: slice, size: int
) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
    """Returns, for a range of `size` samples, the one of `count` before each, and the weight of
    the one behind it. Both sizes cover the same length."""
    centre = (np.arange(part.start, part.stop) + 0.5) * (count / size) - 0.5
    centre = np.clip(centre, 0, count - 1).astype(np.float32)
    first = centre.astype(np.intp)
    return first, (centre - first).astype(np.float32)
