"""Reads small luma from YUV frames and writes small chroma into them, without conversion to RGB.

The luma plane of a frame is not changed. Colorizers use BT.601 at full range: luma is scaled to
full range for them, and their chroma is converted to the matrix, range, chroma size and bit depth
of the frame, so that colours do not shift where the two differ.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from av.video.frame import VideoFrame
from numpy.typing import NDArray
from PIL import Image

from batchcolor.color import Matrix, convert_chroma_matrix
from batchcolor.images.picture import resize_luma
from batchcolor.video.fields import copy_field_order
from batchcolor.video.frame_format import FrameFormat
from batchcolor.video.hdr import look_up, make_gain_table, make_tone_table
from batchcolor.video.upsample import Upsampled

STRIP_ROWS = 64
"""Rows of chroma that are computed at once: their arrays stay in the cache."""
MIN_SHIFT = np.float32(1e-4)
"""Smallest chroma that is limited to the RGB gamut; avoids a division by zero."""


def view_plane(frame: VideoFrame, index: int) -> NDArray[Any]:
    """Returns the samples of a plane, `(height, width)`, uint8 or uint16, as a view."""
    plane = frame.planes[index]
    deep = frame.format.components[0].bits > 8
    kind = np.dtype("<u2") if deep else np.dtype(np.uint8)
    buffer: Any = plane
    rows: NDArray[Any] = np.frombuffer(buffer, kind).reshape(
        plane.height, plane.line_size // kind.itemsize
    )
    return rows[:, : plane.width]


def read_luma(frame: VideoFrame, frame_format: FrameFormat, side: int) -> NDArray[np.float32]:
    """Returns the input of a colorizer: upright luma `(side, side)`, 0..1 at full range.

    High dynamic range is tone-mapped.
    """
    luma = view_plane(frame, 0)
    high_range = frame_format.dynamic_range
    if high_range is not None:
        bits, is_full_range = frame_format.bits, frame_format.is_full_range
        table = make_tone_table(high_range, bits, is_full_range=is_full_range)
        square = resize_luma(table.take(luma, mode="clip"), side)
        return np.ascontiguousarray(np.rot90(square, frame_format.rotation // 90))
    if luma.dtype != np.uint8:
        luma = (luma >> (frame_format.bits - 8)).astype(np.uint8)
    square = resize_luma(luma, side)
    if not frame_format.is_full_range:
        square = np.clip((square * 255 - 16) / np.float32(219), 0, 1)
    return np.ascontiguousarray(np.rot90(square, frame_format.rotation // 90))


def write_chroma(
    frame: VideoFrame, chroma: NDArray[np.float32], frame_format: FrameFormat, strength: float
) -> VideoFrame:
    """Writes chroma `(2, s, s)` (Cb, Cr in -0.5..0.5, BT.601) into a frame; luma is not changed.

    Chroma is scaled down where R, G or B would leave their range. Planes are written in place if
    the decoder no longer needs the frame, else in a copy.
    """
    frame.make_writable()
    bits = frame_format.bits
    stored = np.rot90(chroma, -(frame_format.rotation // 90), axes=(1, 2)) * np.float32(strength)
    gains = None
    if frame_format.dynamic_range is None:
        field = convert_chroma_matrix(stored, frame_format.matrix)
    else:
        gains = make_gain_table(frame_format.dynamic_range)
        field = _convert_chroma_to_high_range(frame, stored, frame_format, gains)
    size = (frame.planes[1].width, frame.planes[1].height)
    luma = _reduce_luma(view_plane(frame, 0), frame_format, size)
    extremes = _compute_rgb_extremes(field, frame_format.matrix)
    shifts = [Upsampled(extreme, size) for extreme in extremes]
    high = np.float32((1 << bits) - 1)
    span = high if frame_format.is_full_range else np.float32(224 << (bits - 8))
    middle = np.float32((128 << (bits - 8)) + 0.5)  # half a step, as the assignment truncates
    planes = [(view_plane(frame, i), Upsampled(field[i - 1], size)) for i in (1, 2)]
    for start in range(0, size[1], STRIP_ROWS):
        rows = slice(start, start + STRIP_ROWS)
        up, down = (shift.read_rows(rows) for shift in shifts)
        y = _to_full_range(luma[rows], frame_format)
        gain = None if gains is None else look_up(gains, y)
        if gain is not None:
            up *= gain
            down *= gain
        scale = _compute_gamut_scale(y, up, down)
        if gain is not None:
            scale *= gain
        for plane, part in planes:
            wide = part.read_rows(rows)
            wide *= scale
            wide *= span
            wide += middle
            np.clip(wide, 0, high, out=wide)
            plane[rows] = wide
    return frame


def _convert_chroma_to_high_range(
    frame: VideoFrame,
    chroma: NDArray[np.float32],
    frame_format: FrameFormat,
    gains: NDArray[np.float32],
) -> NDArray[np.float32]:
    """Returns the chroma `(2, s, s)` of a PQ or HLG frame, as stored, divided by `gains`.

    What chroma of the tone-mapped picture becomes depends on luma: with the gains of weak colours
    at the luma of each pixel, the quotient varies as slowly as `chroma` does.
    """
    high_range = frame_format.dynamic_range
    assert high_range is not None
    luma = view_plane(frame, 0)
    if luma.dtype != np.uint8:
        luma = (luma >> (frame_format.bits - 8)).astype(np.uint8)
    size = chroma.shape[2], chroma.shape[1]
    small = np.asarray(Image.fromarray(luma).resize(size, Image.Resampling.BOX))
    signal = _to_full_range(small, frame_format)
    converted = high_range.convert_chroma(
        chroma.astype(np.float64), signal.astype(np.float64), frame_format.matrix
    )
    quotient: NDArray[np.float32] = (converted / look_up(gains, signal)).astype(np.float32)
    return quotient


def join_side_by_side(frame: VideoFrame, frame_format: FrameFormat) -> VideoFrame:
    """Returns a grey copy of a frame beside the frame; the grey copy is at the left after rotation.

    Frames are stored unrotated, so at 90 and 270 degrees the copies are stacked vertically.
    """
    turns = frame_format.rotation // 90
    turned = turns % 2
    both = VideoFrame(frame.width * (2 - turned), frame.height * (1 + turned), frame.format.name)
    for index in range(len(frame.planes)):
        samples, room = view_plane(frame, index), view_plane(both, index)
        neutral = 128 << (frame_format.bits - 8)
        grey = np.full_like(samples, neutral) if index in (1, 2) else samples
        first, last = (grey, samples) if turns < 2 else (samples, grey)
        height, width = samples.shape
        room[:height, :width] = first
        room[room.shape[0] - height :, room.shape[1] - width :] = last
    both.pts, both.time_base, both.duration = frame.pts, frame.time_base, frame.duration
    return copy_field_order(frame, both)


def _compute_gamut_scale(
    y: NDArray[np.float32], up: NDArray[np.float32], down: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Returns factors 0..1 for chroma that keep R, G and B within 0..1; overwrites its arguments.

    `up` and `down` are how far chroma moves R, G and B from luma `y`, 0..1.
    """
    scale = 1 - y
    scale /= np.maximum(up, MIN_SHIFT, out=up)
    y /= np.maximum(down, MIN_SHIFT, out=down)
    np.minimum(scale, y, out=scale)
    return np.minimum(scale, np.float32(1), out=scale)


def _reduce_luma(
    luma: NDArray[Any], frame_format: FrameFormat, size: tuple[int, int]
) -> NDArray[Any]:
    """Returns luma at chroma's size; averaged, with 8 bits, if chroma is subsampled."""
    if luma.shape == size[::-1]:
        return luma
    if luma.dtype != np.uint8:
        luma = (luma >> (frame_format.bits - 8)).astype(np.uint8)
    factor = (-(-luma.shape[1] // size[0]), -(-luma.shape[0] // size[1]))
    if factor != (2, 2) or luma.shape[0] % 2 or luma.shape[1] % 2:
        return np.asarray(Image.fromarray(luma).reduce(factor))
    sums = _add_row_pairs(luma, is_interlaced=frame_format.is_interlaced)
    means: NDArray[np.uint16] = sums[:, ::2] + sums[:, 1::2]
    means += np.uint16(2)
    means >>= np.uint16(2)
    return means.astype(np.uint8)


def _add_row_pairs(luma: NDArray[np.uint8], *, is_interlaced: bool) -> NDArray[np.uint16]:
    """Returns the sums of the two rows that share a row of 4:2:0 chroma.

    In interlaced frames they are rows of one field: even rows of chroma are the top field's
    (ISO/IEC 13818-2, figure 6-2).
    """
    if not is_interlaced or luma.shape[0] % 4:
        sums = luma[::2].astype(np.uint16)
        sums += luma[1::2]
        return sums
    sums = np.empty((luma.shape[0] // 2, luma.shape[1]), np.uint16)
    for field in (0, 1):
        rows = sums[field::2]
        np.add(luma[field::4], luma[field + 2 :: 4], out=rows, dtype=np.uint16)
    return sums


def _to_full_range(luma: NDArray[Any], frame_format: FrameFormat) -> NDArray[np.float32]:
    """Returns luma of `_reduce_luma` as 0..1 at full range, in an array of its own."""
    bits = 8 if luma.dtype == np.uint8 else frame_format.bits
    black, span = 0, (1 << bits) - 1
    if not frame_format.is_full_range:
        black, span = 16 << (bits - 8), 219 << (bits - 8)
    y = luma.astype(np.float32)
    y -= np.float32(black)
    y /= np.float32(span)
    return np.clip(y, 0, 1, out=y)


def _compute_rgb_extremes(field: NDArray[np.float32], matrix: Matrix) -> NDArray[np.float32]:
    """Returns how far the largest of R, G, B is above luma and the smallest below; `(2, s, s)`."""
    shifts = np.stack([cb * field[0] + cr * field[1] for cb, cr in matrix.chroma_factors])
    return np.stack([shifts.max(axis=0), -shifts.min(axis=0)]).astype(np.float32)
