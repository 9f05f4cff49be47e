"""Each metric against an independent computation, pixel by pixel, from the published formula."""

from __future__ import annotations

import math
import statistics
from typing import Any

import numpy as np
import pytest
from skimage.metrics import peak_signal_noise_ratio

from batchcolor.evaluation import metrics


def pair(height: int = 13, width: int = 17, seed: int = 0) -> tuple[Any, Any]:
    """A reference and an output similar to it, as stacks of one picture."""
    rng = np.random.default_rng(seed)
    reference = rng.integers(0, 256, (1, height, width, 3))
    output = np.clip(reference + rng.integers(-40, 41, reference.shape), 0, 255)
    return reference.astype(np.uint8), output.astype(np.uint8)


def pixels(stack: Any) -> list[tuple[int, int, int]]:
    return [tuple(int(v) for v in pixel) for pixel in stack.reshape(-1, 3)]


def lab(pixel: tuple[int, int, int]) -> tuple[float, float, float]:
    """CIELab, D65, from sRGB (IEC 61966-2-1, CIE 15:2004), in plain arithmetic."""
    linear = [
        v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4
        for v in (p / 255 for p in pixel)
    ]
    rows = (
        (0.412453, 0.357580, 0.180423),
        (0.212671, 0.715160, 0.072169),
        (0.019334, 0.119193, 0.950227),
    )
    xyz = [sum(m * v for m, v in zip(row, linear, strict=True)) for row in rows]
    f = []
    for value, white in zip(xyz, (0.95047, 1.0, 1.08883), strict=True):
        t = value / white
        f.append(t ** (1 / 3) if t > 0.008856 else 7.787 * t + 16 / 116)
    return 116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])


def ciede2000(one: tuple[float, ...], other: tuple[float, ...]) -> float:
    """Sharma, Wu, Dalal (2005), equations 2 to 22, in plain arithmetic."""
    (l1, a1, b1), (l2, a2, b2) = one, other
    mean_c = (math.hypot(a1, b1) + math.hypot(a2, b2)) / 2
    g = 0.5 * (1 - math.sqrt(mean_c**7 / (mean_c**7 + 25**7)))
    a1, a2 = (1 + g) * a1, (1 + g) * a2
    c1, c2 = math.hypot(a1, b1), math.hypot(a2, b2)
    h1 = math.degrees(math.atan2(b1, a1)) % 360 if c1 else 0.0
    h2 = math.degrees(math.atan2(b2, a2)) % 360 if c2 else 0.0
    dh = 0.0
    if c1 * c2:
        dh = (h2 - h1 + 180) % 360 - 180
        dh = 180.0 if dh == -180 and h2 > h1 else dh
    big_dh = 2 * math.sqrt(c1 * c2) * math.sin(math.radians(dh / 2))
    mean_l, mean_c = (l1 + l2) / 2, (c1 + c2) / 2
    mean_h = h1 + h2
    if c1 * c2:
        if abs(h1 - h2) <= 180:
            mean_h = (h1 + h2) / 2
        else:
            mean_h = (h1 + h2 + (360 if h1 + h2 < 360 else -360)) / 2

    def cosine(degrees: float) -> float:
        return math.cos(math.radians(degrees))

    t = 1 - 0.17 * cosine(mean_h - 30) + 0.24 * cosine(2 * mean_h)
    t += 0.32 * cosine(3 * mean_h + 6) - 0.20 * cosine(4 * mean_h - 63)
    sl = 1 + 0.015 * (mean_l - 50) ** 2 / math.sqrt(20 + (mean_l - 50) ** 2)
    sc, sh = 1 + 0.045 * mean_c, 1 + 0.015 * mean_c * t
    turn = 60 * math.exp(-(((mean_h - 275) / 25) ** 2))
    rt = -math.sin(math.radians(turn)) * 2 * math.sqrt(mean_c**7 / (mean_c**7 + 25**7))
    parts = ((l2 - l1) / sl, (c2 - c1) / sc, big_dh / sh)
    return math.sqrt(sum(part**2 for part in parts) + rt * parts[1] * parts[2])


@pytest.mark.parametrize(
    ("one", "other", "published"),
    [  # of the table of Sharma, Wu, Dalal (2005)
        ((50.0, 2.6772, -79.7751), (50.0, 0.0, -82.7485), 2.0425),
        ((50.0, 0.0, 0.0), (50.0, -1.0, 2.0), 2.3669),
        ((50.0, 2.49, -0.001), (50.0, -2.49, 0.0011), 7.2195),
        ((50.0, 2.5, 0.0), (73.0, 25.0, -18.0), 27.1492),
        ((2.0776, 0.0795, -1.1350), (0.9033, -0.0636, -0.5514), 0.9082),
    ],
)
def test_the_independent_ciede2000_gives_the_published_figures(one, other, published):
    assert ciede2000(one, other) == pytest.approx(published, abs=1e-4)


def test_de00_and_ab_error_equal_the_formulas():
    reference, output = pair()
    chroma, delta_e = metrics.measure_lab_errors(reference, output)
    both = [(lab(t), lab(o)) for t, o in zip(pixels(reference), pixels(output), strict=True)]
    assert delta_e[0] == pytest.approx(statistics.mean(ciede2000(*it) for it in both), rel=2e-4)
    squares = [((o[i] - t[i]) / 128) ** 2 for t, o in both for i in (1, 2)]
    assert chroma[0] == pytest.approx(statistics.mean(squares), rel=2e-4)


def test_rgb_mse_and_psnr_equal_the_formulas():
    reference, output = pair()
    squares = [
        ((o - t) / 255) ** 2
        for one, other in zip(pixels(reference), pixels(output), strict=True)
        for t, o in zip(one, other, strict=True)
    ]
    mse = metrics.rgb_mse(reference, output)
    assert mse[0] == pytest.approx(statistics.mean(squares), rel=1e-12)
    expected = peak_signal_noise_ratio(reference[0], output[0], data_range=255)
    assert metrics.psnr_db(mse)[0] == pytest.approx(expected, rel=1e-12)


def test_a_perfect_picture_has_a_finite_psnr_and_an_ssim_of_one():
    reference, _ = pair()
    numbers = dict(zip(metrics.METRICS, metrics.measure_all(reference, reference)[0], strict=True))
    assert numbers["psnr_db"] == metrics.PSNR_CAP
    assert numbers["ssim"] == pytest.approx(1, abs=1e-12)
    assert (numbers["rgb_mse"], numbers["delta_e_2000"]) == (0, 0)


def test_ssim_equals_the_formula_of_the_paper_in_every_window():
    reference, output = pair()
    reach, sigma = 5, 1.5
    line = np.exp(-(np.arange(-reach, reach + 1) ** 2) / (2 * sigma**2))
    weights = np.outer(line, line) / np.outer(line, line).sum()
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    values = []
    for y in range(reach, reference.shape[1] - reach):
        for x in range(reach, reference.shape[2] - reach):
            window = slice(y - reach, y + reach + 1), slice(x - reach, x + reach + 1)
            for band in range(3):
                one, other = (s[0][(*window, band)].astype(float) for s in (reference, output))
                m1, m2 = (weights * one).sum(), (weights * other).sum()
                v1, v2 = (weights * (one - m1) ** 2).sum(), (weights * (other - m2) ** 2).sum()
                both = (weights * (one - m1) * (other - m2)).sum()
                top = (2 * m1 * m2 + c1) * (2 * both + c2)
                values.append(top / ((m1**2 + m2**2 + c1) * (v1 + v2 + c2)))
    assert metrics.ssim(reference, output)[0] == pytest.approx(statistics.mean(values), rel=1e-9)


def test_colorfulness_equals_the_formula_of_hasler_and_suesstrunk():
    reference, _ = pair()
    rg = [r - g for r, g, _ in pixels(reference)]
    yb = [(r + g) / 2 - b for r, g, b in pixels(reference)]
    spread = math.hypot(statistics.pstdev(rg), statistics.pstdev(yb))
    mean = math.hypot(statistics.mean(rg), statistics.mean(yb))
    assert metrics.colorfulness(reference)[0] == pytest.approx(spread + 0.3 * mean, rel=1e-9)
    assert metrics.colorfulness(np.full((1, 9, 9, 3), 77, np.uint8))[0] == 0


def test_pictures_of_a_stack_are_measured_as_alone_for_any_height_of_strips(monkeypatch):
    pairs = [pair(seed=seed) for seed in range(3)]
    reference, output = (np.concatenate([p[i] for p in pairs]) for i in range(2))
    together = metrics.measure_all(reference, output)
    for index, (one, other) in enumerate(pairs):
        assert np.allclose(together[index], metrics.measure_all(one, other)[0], rtol=1e-9)
    monkeypatch.setattr(metrics, "STRIP_PIXELS", 60)
    assert np.allclose(metrics.measure_all(reference, output), together, rtol=1e-9)


@pytest.mark.parametrize("shape", [(1, 1), (2, 40), (8, 8)])
def test_pictures_smaller_than_the_window_are_measured(shape):
    reference, output = pair(*shape)
    assert np.isfinite(metrics.measure_all(reference, output)).all()
