"""Small luma out of a frame, small chroma into it: planes of YUV, never RGB.

A frame's own luma plane is not touched. Colorizers speak BT.601 at full range; what goes in is
spread to the full range, what comes back is brought to the stream's matrix, range, chroma size
and depth, so that no cast appears where the two differ.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from av.video.frame import VideoFrame
from numpy.typing import NDArray
from PIL import Image

from batchcolor.color import Matrix, convert_chroma_matrix
from batchcolor.images.picture import resize_luma
from batchcolor.video.source_info import SourceInfo

MIN_SHIFT = np.float32(1e-4)
"""Chroma below which no luma is too dark or too bright for it."""


def plane_view(frame: VideoFrame, index: int) -> NDArray[Any]:
    """A plane's samples `(height, width)`, uint8 or uint16, as a view: no copy is made."""
    plane = frame.planes[index]
    deep = frame.format.components[0].bits > 8
    kind = np.dtype("<u2") if deep else np.dtype(np.uint8)
    buffer: Any = plane
    rows: NDArray[Any] = np.frombuffer(buffer, kind).reshape(
        plane.height, plane.line_size // kind.itemsize
    )
    return rows[:, : plane.width]


def frame_luma(frame: VideoFrame, film: SourceInfo, side: int) -> NDArray[np.float32]:
    """What a colorizer sees: the upright frame squeezed to `(side, side)`, 0..1 at full range."""
    luma = plane_view(frame, 0)
    if luma.dtype != np.uint8:
        luma = (luma >> (film.bits - 8)).astype(np.uint8)
    square = resize_luma(luma, side)
    if not film.full_range:
        square = np.clip((square * 255 - 16) / np.float32(219), 0, 1)
    return np.ascontiguousarray(np.rot90(square, film.rotation // 90))


def write_chroma(
    frame: VideoFrame, chroma: NDArray[np.float32], film: SourceInfo, strength: float
) -> VideoFrame:
    """The frame with this small chroma `(2, s, s)` (Cb, Cr in -0.5..0.5, BT.601) and its own luma.

    Chroma gives way, along the line to grey, where R, G or B would leave their range. Planes are
    written in place where the decoder does not need the frame any more, else in a copy.
    """
    frame.make_writable()
    upright = np.rot90(chroma, -(film.rotation // 90), axes=(1, 2))
    field = convert_chroma_matrix(upright * np.float32(strength), film.matrix)
    size = (frame.planes[1].width, frame.planes[1].height)
    scale = _gamut_scale(plane_view(frame, 0), field, film, size)
    high = np.float32((1 << film.bits) - 1)
    span = high if film.full_range else np.float32(224 << (film.bits - 8))
    middle = np.float32((128 << (film.bits - 8)) + 0.5)  # and half a step, as what follows cuts
    for index, part in enumerate(field, start=1):
        wide = _upsample(part, size)
        wide *= scale
        wide *= span
        wide += middle
        np.clip(wide, 0, high, out=wide)
        plane_view(frame, index)[...] = wide
    return frame


def side_by_side(frame: VideoFrame, film: SourceInfo) -> VideoFrame:
    """A frame beside itself without colour, which is at the left of what is seen: frames are
    stored as they are before the film's rotation."""
    turns = film.rotation // 90
    turned = turns % 2
    both = VideoFrame(frame.width * (2 - turned), frame.height * (1 + turned), frame.format.name)
    for index in range(len(frame.planes)):
        samples, room = plane_view(frame, index), plane_view(both, index)
        grey = np.full_like(samples, 128 << (film.bits - 8)) if index in (1, 2) else samples
        first, last = (grey, samples) if turns < 2 else (samples, grey)
        height, width = samples.shape
        room[:height, :width] = first
        room[room.shape[0] - height :, room.shape[1] - width :] = last
    both.pts, both.time_base, both.duration = frame.pts, frame.time_base, frame.duration
    return both


def _upsample(field: NDArray[np.float32], size: tuple[int, int]) -> NDArray[np.float32]:
    """A small field at `size` (width, height), linear between the centres of its samples."""
    image = Image.fromarray(np.ascontiguousarray(field))
    return np.array(image.resize(size, Image.Resampling.BILINEAR), np.float32)


def _gamut_scale(
    luma: NDArray[Any], field: NDArray[np.float32], film: SourceInfo, size: tuple[int, int]
) -> NDArray[np.float32]:
    """The factor 0..1 of chroma, at chroma's size, that keeps R, G and B within 0..1."""
    y = _luma_at_chroma_size(luma, film, size)
    up, down = _rgb_extremes(field, film.matrix)
    scale = (1 - y) / np.maximum(_upsample(up, size), MIN_SHIFT)
    np.minimum(scale, y / np.maximum(_upsample(down, size), MIN_SHIFT), out=scale)
    return np.minimum(scale, np.float32(1), out=scale)


def _luma_at_chroma_size(
    luma: NDArray[Any], film: SourceInfo, size: tuple[int, int]
) -> NDArray[np.float32]:
    """Luma at chroma's size, 0..1 at full range; averaged where chroma is smaller."""
    if luma.dtype != np.uint8:
        luma = (luma >> (film.bits - 8)).astype(np.uint8)
    image = Image.fromarray(luma)
    factor = (-(-luma.shape[1] // size[0]), -(-luma.shape[0] // size[1]))
    y = np.asarray(image.reduce(factor) if factor != (1, 1) else image, np.float32)
    black, span = (0, 255) if film.full_range else (16, 219)
    y = (y - np.float32(black)) / np.float32(span)
    return np.clip(y, 0, 1, out=y)


def _rgb_extremes(field: NDArray[np.float32], matrix: Matrix) -> NDArray[np.float32]:
    """How far the highest of R, G, B is above luma, and the lowest below it; `(2, s, s)`."""
    shifts = np.stack([cb * field[0] + cr * field[1] for cb, cr in matrix.shifts])
    return np.stack([shifts.max(axis=0), -shifts.min(axis=0)]).astype(np.float32)
