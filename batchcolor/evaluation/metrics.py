"""How far a coloured picture is from its truth: pure functions on stacks of pictures.

A stack is `(N, H, W, 3)`, uint8 RGB: N pictures of one size. Every function gives `(N,)` float64,
one number a picture. Work goes in strips of rows, so that a scan of many megapixels needs no
more memory than a few small pictures; the strips change no result.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from skimage import color, metrics

Stack = NDArray[np.uint8]
Numbers = NDArray[np.float64]

METRICS = ("rgb_mse", "ab_mse", "psnr_db", "ssim", "delta_e_2000", "colorfulness")
"""The columns of `measured`, in order."""
_color: Any = color
_metrics: Any = metrics
"""scikit-image says nothing of types."""
PSNR_CAP = 100.0
"""dB of a perfect picture, whose PSNR would be infinite and would spoil every mean."""
SIGMA = 1.5
REACH = 5
"""Pixels from the centre to the edge of SSIM's window: 3.5 sigma, an 11 x 11 window."""
STRIP_PIXELS = 1 << 19
"""Worked on at once; Lab and CIEDE2000 hold some twenty numbers of 8 bytes a pixel."""


def measured(truth: Stack, output: Stack) -> Numbers:
    """All of `METRICS` of each output against its truth: `(N, 6)`."""
    mse = rgb_mse(truth, output)
    ab, delta_e = measure_lab_errors(truth, output)
    columns = [mse, ab, psnr_db(mse), ssim(truth, output), delta_e, colorfulness(output)]
    table: Numbers = np.stack(columns, axis=1)
    return table


def rgb_mse(truth: Stack, output: Stack) -> Numbers:
    """Mean of (R'-R)^2 over pixels and channels, values 0..1; 0 is perfect, 1 the worst."""
    total = np.zeros(len(truth))
    for rows in _strips(truth):
        apart = output[:, rows].astype(np.int32) - truth[:, rows]
        total += np.square(apart).sum(axis=(1, 2, 3), dtype=np.int64)
    mean: Numbers = total / (255.0**2 * truth[0].size)
    return mean


def psnr_db(mse: Numbers) -> Numbers:
    """10 log10(1 / MSE) in dB, the higher the better; at most `PSNR_CAP`."""
    decibel: Numbers = -10 * np.log10(np.maximum(mse, 10 ** (-PSNR_CAP / 10)))
    return decibel


def measure_lab_errors(truth: Stack, output: Stack) -> tuple[Numbers, Numbers]:
    """Mean of ((a'-a)/128)^2 over both chroma channels, and mean CIEDE2000; 0 is perfect.

    CIELab with D65 and the 2 degree observer. A dE00 of 1 is about what a trained eye sees.
    Source: CIE 15:2004; Sharma, Wu, Dalal, Color Research and Application 30 (2005).
    """
    chroma, delta_e = np.zeros(len(truth)), np.zeros(len(truth))
    for rows in _strips(truth):
        true, made = (
            _color.rgb2lab(rgb[:, rows].astype(np.float64) / 255) for rgb in (truth, output)
        )
        chroma += np.square((made[..., 1:] - true[..., 1:]) / 128).sum(axis=(1, 2, 3))
        delta_e += _color.deltaE_ciede2000(true, made).sum(axis=(1, 2))
    pixels = truth.shape[1] * truth.shape[2]
    return chroma / (2 * pixels), delta_e / pixels


def ssim(truth: Stack, output: Stack) -> Numbers:
    """Structural similarity, mean over pixels and channels; 1 is perfect, it can be below 0.

    Gaussian window, sigma 1.5, 11 x 11, without the edge where the window would leave the
    picture. A picture with a side below 11 is mirrored at that edge, so that each of its pixels
    is the centre of one window.
    Source: Wang, Bovik, Sheikh, Simoncelli, IEEE Trans. Image Processing 13 (2004).
    """
    window = 2 * REACH + 1
    pad = [REACH if side < window else 0 for side in truth.shape[1:3]]
    if any(pad):
        around = ((0, 0), (pad[0], pad[0]), (pad[1], pad[1]), (0, 0))
        truth, output = (np.pad(rgb, around, mode="symmetric") for rgb in (truth, output))
    count, height, width, _ = truth.shape
    total = np.zeros(count)
    for rows in _strips(truth, height - 2 * REACH):
        # Pictures below each other are one tall picture to the library: what it finds less than
        # REACH from a seam, where windows see two pictures, is the edge that is excluded anyway.
        part = slice(rows.start, rows.stop + 2 * REACH)
        tall = [np.ascontiguousarray(rgb[:, part]).reshape(-1, width, 3) for rgb in (truth, output)]
        _, everywhere = _metrics.structural_similarity(
            *tall,
            full=True,
            data_range=255,
            channel_axis=-1,
            gaussian_weights=True,
            sigma=SIGMA,
            use_sample_covariance=False,
        )
        inside = everywhere.reshape(count, -1, width, 3)[:, REACH:-REACH, REACH:-REACH]
        total += inside.sum(axis=(1, 2, 3))
    mean: Numbers = total / ((height - 2 * REACH) * (width - 2 * REACH) * 3)
    return mean


def colorfulness(rgb: Stack) -> Numbers:
    """sqrt(s_rg^2 + s_yb^2) + 0.3 sqrt(m_rg^2 + m_yb^2), rg = R-G, yb = (R+G)/2 - B, on 0..255.

    0 is grey; 33 is moderately, 59 quite, 82 highly colourful to the observers of its authors.
    Source: Hasler, Suesstrunk, "Measuring colourfulness in natural images", SPIE 5007 (2003).
    """
    sums, squares = np.zeros((2, len(rgb))), np.zeros((2, len(rgb)))
    for rows in _strips(rgb):
        red, green, blue = np.moveaxis(rgb[:, rows].astype(np.float64), 3, 0)
        for index, axis in enumerate((red - green, (red + green) / 2 - blue)):
            sums[index] += axis.sum(axis=(1, 2))
            squares[index] += np.square(axis).sum(axis=(1, 2))
    mean = sums / (rgb.shape[1] * rgb.shape[2])
    # Sums of halves are exact in float64, so this difference loses nothing worth naming.
    variance = np.maximum(squares / (rgb.shape[1] * rgb.shape[2]) - mean**2, 0)
    value: Numbers = np.sqrt(variance.sum(axis=0)) + 0.3 * np.sqrt((mean**2).sum(axis=0))
    return value


def _strips(stack: Stack, height: int | None = None) -> Iterator[slice]:
    """Rows of the pictures (all, or the first `height`), about `STRIP_PIXELS` at once."""
    height = stack.shape[1] if height is None else height
    step = max(1, STRIP_PIXELS // (len(stack) * stack.shape[2]))
    for top in range(0, height, step):
        yield slice(top, min(top + step, height))
