"""Luma read from frames, and chroma written into them, in each matrix, range, size and depth."""

from dataclasses import replace

import av
import numpy as np
import pytest

from batchcolor.color import BT601, BT709, BT2020, ycbcr_to_rgb
from batchcolor.video.frame_format import (
    FULL_RANGE,
    LIMITED_RANGE,
    ColorTags,
    FieldOrder,
    Fields,
    FrameFormat,
)
from batchcolor.video.planes import read_luma, view_plane, write_chroma

FRAME_FORMAT = FrameFormat(64, 48, "yuv420p", BT601, ColorTags(range=LIMITED_RANGE))
CHROMA = (0.08, -0.06)


def field(cb, cr):
    return np.array([cb, cr], np.float32).reshape(2, 1, 1)


def frame_of(frame_format, luma):
    """Returns a uniformly grey frame; `luma` is 0..1 at full range."""
    frame = av.VideoFrame(frame_format.width, frame_format.height, frame_format.pixel_format)
    step = 1 << (frame_format.bits - 8)
    black, span = (
        (0, 255 * step + step - 1) if frame_format.is_full_range else (16 * step, 219 * step)
    )
    view_plane(frame, 0)[...] = round(black + luma * span)
    for index in (1, 2):
        view_plane(frame, index)[...] = 128 * step
    return frame


def rgb_of(frame, frame_format):
    """Converts the middle of a frame to R, G, B by the matrix of its format (ITU-T H.273)."""
    step = 1 << (frame_format.bits - 8)
    y, cb, cr = (
        float(view_plane(frame, i)[frame.planes[i].height // 2, frame.planes[i].width // 2])
        for i in range(3)
    )
    high = 256 * step - 1
    y = y / high if frame_format.is_full_range else (y / step - 16) / 219
    cb, cr = ((c / step - 128) / (255 if frame_format.is_full_range else 224) for c in (cb, cr))
    red, blue = frame_format.matrix.red, frame_format.matrix.blue
    r, b = y + 2 * (1 - red) * cr, y + 2 * (1 - blue) * cb
    return np.array([r, (y - red * r - blue * b) / (1 - red - blue), b])


VARIANTS = [
    replace(FRAME_FORMAT, matrix=matrix, tags=ColorTags(range=span), pixel_format=pixels)
    for matrix in (BT601, BT709, BT2020)
    for span in (LIMITED_RANGE, FULL_RANGE)
    for pixels in ("yuv420p", "yuv422p", "yuv444p", "yuv420p10le")
]


@pytest.mark.parametrize(
    "frame_format",
    VARIANTS,
    ids=lambda f: f"{f.matrix.name} {'full' if f.is_full_range else 'limited'} {f.pixel_format}",
)
def test_colours_do_not_depend_on_matrix_range_and_depth(frame_format):
    expected = np.array(ycbcr_to_rgb(0.5, *CHROMA))
    shown = rgb_of(
        write_chroma(frame_of(frame_format, 0.5), field(*CHROMA), frame_format, 1.0), frame_format
    )
    # Only differences of R, G and B are compared, because luma differs between matrices.
    assert np.abs((shown - shown[1]) - (expected - expected[1])).max() < 0.012


@pytest.mark.parametrize("frame_format", VARIANTS[:2], ids=["limited", "full"])
@pytest.mark.parametrize("luma", [0.0, 0.25, 1.0])
def test_luma_is_read_at_full_range(frame_format, luma):
    square = read_luma(frame_of(frame_format, luma), frame_format, 8)
    assert square.shape == (8, 8)
    assert square.dtype == np.float32
    assert np.abs(square - luma).max() < 0.003


@pytest.mark.parametrize("luma", [0.0, 0.02, 0.98, 1.0])
def test_chroma_is_limited_to_the_rgb_gamut(luma):
    frame_format = replace(FRAME_FORMAT, matrix=BT709)
    shown = rgb_of(
        write_chroma(frame_of(frame_format, luma), field(0.3, -0.25), frame_format, 1.0),
        frame_format,
    )
    assert shown.min() > -0.02
    assert shown.max() < 1.02


def test_luma_is_not_changed():
    frame_format = FRAME_FORMAT
    frame = frame_of(frame_format, 0.5)
    luma = np.random.default_rng(0).integers(0, 256, (48, 64), dtype=np.uint8)
    view_plane(frame, 0)[...] = luma
    write_chroma(frame, field(*CHROMA), frame_format, 1.0)
    assert (view_plane(frame, 0) == luma).all()


def test_strength_0_is_grey():
    frame = write_chroma(frame_of(FRAME_FORMAT, 0.5), field(*CHROMA), FRAME_FORMAT, 0.0)
    assert (view_plane(frame, 1) == 128).all()
    assert (view_plane(frame, 2) == 128).all()


@pytest.mark.parametrize("degrees", [0, 90, 180, 270])
def test_luma_is_read_upright_and_chroma_is_rotated_back(degrees):
    frame_format = replace(FRAME_FORMAT, rotation=degrees)
    stored = np.full((48, 64), 60, np.uint8)
    stored[:12] = 200  # bright along the stored upper edge
    frame = frame_of(frame_format, 0.5)
    view_plane(frame, 0)[...] = stored
    square = read_luma(frame, frame_format, 16)
    bright = {0: square[0], 90: square[:, 0], 180: square[-1], 270: square[:, -1]}[degrees]
    assert bright.mean() > square.mean() + 0.2
    blue_where_bright = np.zeros((2, 16, 16), np.float32)
    blue_where_bright[0] = np.where(square > 0.5, 0.1, 0)
    coloured = view_plane(write_chroma(frame, blue_where_bright, frame_format, 1.0), 1).astype(int)
    assert coloured[2].mean() > 128 + 15
    assert abs(coloured[-4].mean() - 128) < 2


def test_chroma_of_interlaced_frames_is_limited_by_the_luma_of_its_own_field():
    frame = av.VideoFrame(64, 64, "yuv420p")
    y = view_plane(frame, 0)
    y[::2], y[1::2] = 126, 16  # the bottom field is black, so it has room for no colour
    fields = Fields(FieldOrder.TOP_FIRST)
    frame_format = FrameFormat(64, 64, "yuv420p", BT601, ColorTags(1), fields=fields)
    chroma = np.full((2, 8, 8), 0.1, np.float32)
    write_chroma(frame, chroma, frame_format, 1.0)
    for index in (1, 2):
        rows = view_plane(frame, index)
        assert (rows[1::2] == 128).all()
        assert (rows[::2] >= 128 + 22).all()
