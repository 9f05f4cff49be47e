"""Chroma in a stream's own matrix, range, size and depth: what RGB it shows."""

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from batchcolor.color import BT601, BT709, BT2020, ycbcr_to_rgb
from batchcolor.video.planes import frame_luma, plane_view, write_chroma
from batchcolor.video.source_info import SourceInfo

FILM = SourceInfo(
    *(Path("film.mkv"), 0, 64, 48, "yuv420p", 8, False, BT601, Fraction(25), Fraction(1, 25))
)
CHROMA = (0.08, -0.06)


def field(cb, cr):
    return np.array([cb, cr], np.float32).reshape(2, 1, 1)


def frame_of(film, luma):
    """A frame of one grey, `luma` in 0..1 at full range."""
    frame = av.VideoFrame(film.width, film.height, film.pixel_format)
    step = 1 << (film.bits - 8)
    black, span = (0, 255 * step + step - 1) if film.full_range else (16 * step, 219 * step)
    plane_view(frame, 0)[...] = round(black + luma * span)
    for index in (1, 2):
        plane_view(frame, index)[...] = 128 * step
    return frame


def rgb_of(frame, film):
    """R, G, B of the middle of the frame by the stream's own matrix (ITU-T H.273)."""
    step = 1 << (film.bits - 8)
    y, cb, cr = (
        float(plane_view(frame, i)[frame.planes[i].height // 2, frame.planes[i].width // 2])
        for i in range(3)
    )
    high = 256 * step - 1
    y = y / high if film.full_range else (y / step - 16) / 219
    cb, cr = ((c / step - 128) / (255 if film.full_range else 224) for c in (cb, cr))
    red, blue = film.matrix.red, film.matrix.blue
    r, b = y + 2 * (1 - red) * cr, y + 2 * (1 - blue) * cb
    return np.array([r, (y - red * r - blue * b) / (1 - red - blue), b])


VARIANTS = [
    replace(
        FILM, matrix=matrix, full_range=full, pixel_format=pixels, bits=10 if "10" in pixels else 8
    )
    for matrix in (BT601, BT709, BT2020)
    for full in (False, True)
    for pixels in ("yuv420p", "yuv422p", "yuv444p", "yuv420p10le")
]


@pytest.mark.parametrize(
    "film",
    VARIANTS,
    ids=lambda f: f"{f.matrix.name} {'full' if f.full_range else 'limited'} {f.pixel_format}",
)
def test_the_colours_are_the_models_whatever_matrix_range_and_depth(film):
    expected = np.array(ycbcr_to_rgb(0.5, *CHROMA))
    shown = rgb_of(write_chroma(frame_of(film, 0.5), field(*CHROMA), film, 1.0), film)
    # Differences of R, G and B are the model's; luma is the picture's own in either matrix.
    assert np.abs((shown - shown[1]) - (expected - expected[1])).max() < 0.012


@pytest.mark.parametrize("film", VARIANTS[:2], ids=["limited", "full"])
@pytest.mark.parametrize("luma", [0.0, 0.25, 1.0])
def test_a_colorizer_sees_luma_at_full_range(film, luma):
    seen = frame_luma(frame_of(film, luma), film, 8)
    assert seen.shape == (8, 8)
    assert seen.dtype == np.float32
    assert np.abs(seen - luma).max() < 0.003


@pytest.mark.parametrize("luma", [0.0, 0.02, 0.98, 1.0])
def test_chroma_gives_way_where_rgb_would_leave_its_range(luma):
    film = replace(FILM, matrix=BT709)
    shown = rgb_of(write_chroma(frame_of(film, luma), field(0.3, -0.25), film, 1.0), film)
    assert shown.min() > -0.02
    assert shown.max() < 1.02


def test_luma_is_not_touched():
    film = FILM
    frame = frame_of(film, 0.5)
    luma = np.random.default_rng(0).integers(0, 256, (48, 64), dtype=np.uint8)
    plane_view(frame, 0)[...] = luma
    write_chroma(frame, field(*CHROMA), film, 1.0)
    assert (plane_view(frame, 0) == luma).all()


def test_strength_0_is_grey():
    frame = write_chroma(frame_of(FILM, 0.5), field(*CHROMA), FILM, 0.0)
    assert (plane_view(frame, 1) == 128).all()
    assert (plane_view(frame, 2) == 128).all()


@pytest.mark.parametrize("degrees", [0, 90, 180, 270])
def test_a_colorizer_sees_turned_film_upright_and_its_colour_turns_back(degrees):
    film = replace(FILM, rotation=degrees)
    stored = np.full((48, 64), 60, np.uint8)
    stored[:12] = 200  # bright along the stored upper edge
    frame = frame_of(film, 0.5)
    plane_view(frame, 0)[...] = stored
    seen = frame_luma(frame, film, 16)
    bright = {0: seen[0], 90: seen[:, 0], 180: seen[-1], 270: seen[:, -1]}[degrees]
    assert bright.mean() > seen.mean() + 0.2
    blue_where_bright = np.zeros((2, 16, 16), np.float32)
    blue_where_bright[0] = np.where(seen > 0.5, 0.1, 0)
    coloured = plane_view(write_chroma(frame, blue_where_bright, film, 1.0), 1).astype(int)
    assert coloured[2].mean() > 128 + 15
    assert abs(coloured[-4].mean() - 128) < 2
