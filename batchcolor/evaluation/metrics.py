"""Metrics of coloured pictures against their references: pure functions on stacks of pictures.

A stack is `(N, H, W, 3)`, uint8 RGB: N pictures of one size. Every metric returns `(N,)` float64,
one number for each picture. Strips of rows are processed one after another to limit memory: a scan
of many megapixels needs as much as a few small pictures. The strips do not change any result.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from skimage import color, metrics

from batchcolor.evaluation.specks import speck_area

RgbStack = NDArray[np.uint8]
FloatArray = NDArray[np.float64]

METRICS = ("rgb_mse", "ab_mse", "psnr_db", "ssim", "delta_e_2000", "colorfulness", "specks")
"""The columns of `measure_all`, in order."""
_color: Any = color
_metrics: Any = metrics
"""scikit-image has no type annotations."""
PSNR_CAP = 100.0
"""In dB, for a perfect picture: its PSNR is infinite, and so would be every mean."""
SIGMA = 1.5
WINDOW_RADIUS = 5
"""Pixels from the centre to the edge of the window of SSIM: 3.5 sigma, 11 x 11 pixels."""
STRIP_PIXELS = 1 << 19
"""Pixels of a strip; Lab and CIEDE2000 need some twenty numbers of 8 bytes for each pixel."""


def measure_all(reference: RgbStack, output: RgbStack) -> FloatArray:
    """Returns all of `METRICS` of each output against its reference: `(N, 7)`."""
    mse = rgb_mse(reference, output)
    ab, delta_e = measure_lab_errors(reference, output)
    columns = [mse, ab, psnr_db(mse), ssim(reference, output), delta_e, colorfulness(output)]
    table: FloatArray = np.stack([*columns, speck_area(reference, output)], axis=1)
    return table


def rgb_mse(reference: RgbStack, output: RgbStack) -> FloatArray:
    """Mean of (R'-R)^2 over pixels and channels, with R in 0..1; 0 is perfect, 1 is the worst."""
    total = np.zeros(len(reference))
    for rows in _iterate_strips(reference):
        difference = output[:, rows].astype(np.int32) - reference[:, rows]
        total += np.square(difference).sum(axis=(1, 2, 3), dtype=np.int64)
    mean: FloatArray = total / (255.0**2 * reference[0].size)
    return mean


def psnr_db(mse: FloatArray) -> FloatArray:
    """10 log10(1 / MSE) in dB; higher is better, at most `PSNR_CAP`."""
    decibel: FloatArray = -10 * np.log10(np.maximum(mse, 10 ** (-PSNR_CAP / 10)))
    return decibel


def measure_lab_errors(reference: RgbStack, output: RgbStack) -> tuple[FloatArray, FloatArray]:
    """Returns the mean of ((a'-a)/128)^2 over both chroma channels, and the mean CIEDE2000.

    0 is perfect. CIELab with D65 and the 2 degree observer. A dE00 of 1 is about the threshold of
    a trained observer.
    Source: CIE 15:2004; Sharma, Wu, Dalal, Color Research and Application 30 (2005).
    """
    chroma, delta_e = np.zeros(len(reference)), np.zeros(len(reference))
    for rows in _iterate_strips(reference):
        true_lab, output_lab = (
            _color.rgb2lab(rgb[:, rows].astype(np.float64) / 255) for rgb in (reference, output)
        )
        chroma += np.square((output_lab[..., 1:] - true_lab[..., 1:]) / 128).sum(axis=(1, 2, 3))
        delta_e += _color.deltaE_ciede2000(true_lab, output_lab).sum(axis=(1, 2))
    pixels = reference.shape[1] * reference.shape[2]
    return chroma / (2 * pixels), delta_e / pixels


def ssim(reference: RgbStack, output: RgbStack) -> FloatArray:
    """Structural similarity, mean over pixels and channels; 1 is perfect, the minimum is -1.

    Gaussian window of 11 x 11 pixels, sigma 1.5. Pixels at the edge, where the window would leave
    the picture, are not counted. A side below 11 pixels is padded by its mirror image, so that
    each pixel is the centre of one window.
    Source: Wang, Bovik, Sheikh, Simoncelli, IEEE Trans. Image Processing 13 (2004).
    """
    window = 2 * WINDOW_RADIUS + 1
    pad = [WINDOW_RADIUS if side < window else 0 for side in reference.shape[1:3]]
    if any(pad):
        widths = ((0, 0), (pad[0], pad[0]), (pad[1], pad[1]), (0, 0))
        reference, output = (np.pad(rgb, widths, mode="symmetric") for rgb in (reference, output))
    count, height, width, _ = reference.shape
    total = np.zeros(count)
    for rows in _iterate_strips(reference, height - 2 * WINDOW_RADIUS):
        # The pictures are passed as one tall picture. Windows that cover two pictures are centred
        # less than WINDOW_RADIUS from the seam, in the edge that is not counted anyway.
        part = slice(rows.start, rows.stop + 2 * WINDOW_RADIUS)
        tall = [
            np.ascontiguousarray(rgb[:, part]).reshape(-1, width, 3) for rgb in (reference, output)
        ]
        _, ssim_map = _metrics.structural_similarity(
            *tall,
            full=True,
            data_range=255,
            channel_axis=-1,
            gaussian_weights=True,
            sigma=SIGMA,
            use_sample_covariance=False,
        )
        inside = ssim_map.reshape(count, -1, width, 3)[
            :, WINDOW_RADIUS:-WINDOW_RADIUS, WINDOW_RADIUS:-WINDOW_RADIUS
        ]
        total += inside.sum(axis=(1, 2, 3))
    mean: FloatArray = total / ((height - 2 * WINDOW_RADIUS) * (width - 2 * WINDOW_RADIUS) * 3)
    return mean


def colorfulness(rgb: RgbStack) -> FloatArray:
    """sqrt(s_rg^2 + s_yb^2) + 0.3 sqrt(m_rg^2 + m_yb^2), rg = R-G, yb = (R+G)/2 - B, on 0..255.

    0 is grey; observers of the study called 33 moderately, 59 quite, 82 highly colourful.
    Source: Hasler, Suesstrunk, "Measuring colourfulness in natural images", SPIE 5007 (2003).
    """
    sums, squares = np.zeros((2, len(rgb))), np.zeros((2, len(rgb)))
    for rows in _iterate_strips(rgb):
        red, green, blue = np.moveaxis(rgb[:, rows].astype(np.float64), 3, 0)
        for index, axis in enumerate((red - green, (red + green) / 2 - blue)):
            sums[index] += axis.sum(axis=(1, 2))
            squares[index] += np.square(axis).sum(axis=(1, 2))
    mean = sums / (rgb.shape[1] * rgb.shape[2])
    # Sums of halves are exact in float64, so the subtraction does not lose precision.
    variance = np.maximum(squares / (rgb.shape[1] * rgb.shape[2]) - mean**2, 0)
    value: FloatArray = np.sqrt(variance.sum(axis=0)) + 0.3 * np.sqrt((mean**2).sum(axis=0))
    return value


def _iterate_strips(stack: RgbStack, height: int | None = None) -> Iterator[slice]:
    """Yields slices of rows (all, or the first `height`) with about `STRIP_PIXELS` pixels each."""
    height = stack.shape[1] if height is None else height
    step = max(1, STRIP_PIXELS // (len(stack) * stack.shape[2]))
    for top in range(0, height, step):
        yield slice(top, min(top + step, height))
