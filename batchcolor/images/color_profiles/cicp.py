"""ICC profiles of colour spaces that are stated by code points (ITU-T H.273, CICP)."""

from __future__ import annotations

import re

import numpy as np
from numpy.typing import NDArray

from batchcolor.images.color_profiles.rgb_profiles import (
    BT709_PRIMARIES,
    D65,
    P3_PRIMARIES,
    SRGB_CURVE,
    Primaries,
    build_parametric_curve,
    build_rgb_profile,
    build_sampled_curve,
)

D50_FILM, DCI_WHITE = (0.310, 0.316), (0.314, 0.351)
CICP_PRIMARIES = {
    1: BT709_PRIMARIES,
    4: Primaries((0.67, 0.33), (0.21, 0.71), (0.14, 0.08), D50_FILM),
    5: Primaries((0.64, 0.33), (0.29, 0.60), (0.15, 0.06), D65),
    6: Primaries((0.630, 0.340), (0.310, 0.595), (0.155, 0.070), D65),
    7: Primaries((0.630, 0.340), (0.310, 0.595), (0.155, 0.070), D65),
    8: Primaries((0.681, 0.319), (0.243, 0.692), (0.145, 0.049), D50_FILM),
    9: Primaries((0.708, 0.292), (0.170, 0.797), (0.131, 0.046), D65),
    11: Primaries((0.680, 0.320), (0.265, 0.690), (0.150, 0.060), DCI_WHITE),
    12: P3_PRIMARIES,
    22: Primaries((0.630, 0.340), (0.295, 0.605), (0.155, 0.077), D65),
}
"""ColourPrimaries (H.273, table 2)."""
BT1886_GAMMA = 2.4
CICP_CURVES = {
    **dict.fromkeys((1, 6, 14, 15), build_parametric_curve(0, (BT1886_GAMMA,))),
    4: build_parametric_curve(0, (2.2,)),
    5: build_parametric_curve(0, (2.8,)),
    8: build_parametric_curve(0, (1.0,)),
    13: SRGB_CURVE,
}
"""From encoded to displayed values by TransferCharacteristics (H.273, table 3): for BT.709, BT.601
and BT.2020 those of a reference display (ITU-R BT.1886), as browsers show them."""
PQ, HLG = 16, 18
CURVE_SIZE = 4096
REFERENCE_WHITE = 203.0
"""cd/m2 of diffuse white in HDR (ITU-R BT.2408), and of white in a profile."""
PQ_PEAK, HLG_PEAK = 10000.0, 1000.0
"""cd/m2 of the brightest value."""
PQ_M1, PQ_M2, PQ_C1, PQ_C2, PQ_C3 = 0.1593017578125, 78.84375, 0.8359375, 18.8515625, 18.6875
"""Constants of PQ (ITU-R BT.2100, table 4)."""
NAME = re.compile(r"CICP (\d+)/(\d+)")


def build_cicp_profile(primaries: int, transfer: int, *, full_range: bool = True) -> bytes | None:
    """Returns the profile of code points, empty for sRGB, or None for unknown ones."""
    if primaries not in CICP_PRIMARIES:
        return None
    curve = CICP_CURVES.get(transfer) if full_range else None
    if curve is None:
        linear = _linearize(transfer, full_range=full_range)
        if linear is None:
            return None
        curve = build_sampled_curve(linear)
    if primaries == 1 and curve == SRGB_CURVE:
        return b""
    return build_rgb_profile(f"CICP {primaries}/{transfer}", CICP_PRIMARIES[primaries], curve)


def find_code_points(icc: bytes) -> tuple[int, int] | None:
    """Returns primaries and transfer of a profile that `build_cicp_profile` has built."""
    match = NAME.search(icc.decode("utf-16-be", "ignore")) or NAME.search(
        icc[1:].decode("utf-16-be", "ignore")
    )
    if match is None:
        return None
    primaries, transfer = int(match[1]), int(match[2])
    return (primaries, transfer) if icc == build_cicp_profile(primaries, transfer) else None


def _linearize(transfer: int, *, full_range: bool) -> NDArray[np.float64] | None:
    """Returns the displayed values 0..1 of encoded ones; brighter ones of HDR are compressed."""
    encoded = np.linspace(0, 1, CURVE_SIZE)
    if not full_range:
        encoded = np.clip((encoded * 255 - 16) / 219, 0, 1)
    if transfer == PQ:
        return _compress_highlights(encoded, PQ_PEAK)
    if transfer == HLG:  # ITU-R BT.2100, table 5; system gamma 1.2 of a display of 1000 cd/m2
        a, b, c = 0.17883277, 0.28466892, 0.55991073
        scene = np.where(encoded <= 0.5, encoded**2 / 3, (np.exp((encoded - c) / a) + b) / 12)
        return _compress_highlights(_encode_pq(scene**1.2 * HLG_PEAK), HLG_PEAK)
    if transfer == 13:
        return np.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4)
    gamma = {**dict.fromkeys((1, 6, 14, 15), BT1886_GAMMA), 4: 2.2, 5: 2.8, 8: 1.0}.get(transfer)
    return None if gamma is None else encoded**gamma


def _encode_pq(luminance: NDArray[np.float64] | float) -> NDArray[np.float64]:
    """Returns PQ values 0..1 of cd/m2."""
    power = (np.asarray(luminance) / PQ_PEAK) ** PQ_M1
    return np.asarray(((PQ_C1 + PQ_C2 * power) / (1 + PQ_C3 * power)) ** PQ_M2)


def _compress_highlights(encoded: NDArray[np.float64], peak: float) -> NDArray[np.float64]:
    """Returns linear values 0..1 of PQ for a display whose white is `REFERENCE_WHITE`.

    `peak` becomes white. Source: ITU-R BT.2390, section 5.4.1 (EETF).
    """
    whole = float(_encode_pq(peak))
    value = np.minimum(encoded / whole, 1)
    limit = float(_encode_pq(REFERENCE_WHITE)) / whole
    knee = 1.5 * limit - 0.5
    t = np.clip((value - knee) / (1 - knee), 0, 1)
    spline = (2 * t**3 - 3 * t**2 + 1) * knee
    spline += (t**3 - 2 * t**2 + t) * (1 - knee) + (3 * t**2 - 2 * t**3) * limit
    root = (np.where(value < knee, value, spline) * whole) ** (1 / PQ_M2)
    base = np.maximum(root - PQ_C1, 0) / (PQ_C2 - PQ_C3 * root)
    return np.asarray(base ** (1 / PQ_M1) * PQ_PEAK / REFERENCE_WHITE)
