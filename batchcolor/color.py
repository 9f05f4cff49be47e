"""Pure functions that convert between RGB, YCbCr and CIELab.

Pictures and colorizers use YCbCr with the BT.601 matrix at full range, as JPEG does (ITU-T T.871,
section 7): Y in 0..1, Cb and Cr in -0.5..0.5, gamma-encoded as stored. `lab_to_cbcr` converts the
output of networks that predict CIELab (D65, sRGB primaries).

Functions of type `ArrayT` take numpy arrays and torch tensors; the annotations of the others tell
which of the two they take.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import torch

# Coefficients of ITU-R BT.601; ITU-T T.871 (JFIF) rounds the derived factors as in the comments.
KR, KG, KB = 0.299, 0.587, 0.114
RED_CR = 2 * (1 - KR)  # 1.402
BLUE_CB = 2 * (1 - KB)  # 1.772
GREEN_CB = -BLUE_CB * KB / KG  # -0.344136
GREEN_CR = -RED_CR * KR / KG  # -0.714136


@dataclass(frozen=True)
class Matrix:
    """The matrix coefficients of a stream: the weights of R and B in luma (ITU-T H.273, table 4).

    The weight of G is the rest to 1.
    """

    name: str
    red: float
    blue: float

    @property
    def chroma_factors(self) -> tuple[tuple[float, float], ...]:
        """Factors of Cb and Cr in R - Y, G - Y and B - Y."""
        red_cr, blue_cb = 2 * (1 - self.red), 2 * (1 - self.blue)
        green = 1 - self.red - self.blue
        return (
            (0.0, red_cr),
            (-blue_cb * self.blue / green, -red_cr * self.red / green),
            (blue_cb, 0.0),
        )


BT601 = Matrix("BT.601", KR, KB)
BT709 = Matrix("BT.709", 0.2126, 0.0722)
BT2020 = Matrix("BT.2020", 0.2627, 0.0593)

MIN_HEADROOM = np.float32(1e-6)
"""Prevents a division by zero where luma is black or white."""

ArrayT = TypeVar("ArrayT", bound=Any)
"""A numpy array or a torch tensor; results have the type of the arguments."""


def rgb_to_ycbcr(red: ArrayT, green: ArrayT, blue: ArrayT) -> tuple[ArrayT, ArrayT, ArrayT]:
    """Converts R, G, B in 0..1 to Y in 0..1 and Cb, Cr in -0.5..0.5; any shape (ITU-T T.871)."""
    luma: Any = KR * red + KG * green + KB * blue
    return luma, (blue - luma) / BLUE_CB, (red - luma) / RED_CR


def ycbcr_to_rgb(luma: ArrayT, cb: ArrayT, cr: ArrayT) -> tuple[ArrayT, ArrayT, ArrayT]:
    """Converts Y in 0..1 and Cb, Cr in -0.5..0.5 to R, G, B; any shape (ITU-T T.871).

    Colours outside RGB are not clipped.
    """
    return luma + RED_CR * cr, luma + GREEN_CB * cb + GREEN_CR * cr, luma + BLUE_CB * cb


def rgb_mse(chroma: torch.Tensor, reference: torch.Tensor) -> torch.Tensor:
    """Returns the mean squared error of R, G and B in 0..1 that predicted chroma causes.

    Chroma and reference are tensors `(N, 2, S, S)` of Cb, Cr. Luma is the same in both, so the
    error of each channel is linear in the error of chroma (BT.601). Values are not clipped to
    0..1, which would reduce the error. The published losses of Alpha and Beta are read as this
    error.
    """
    error = chroma.float() - reference.float()
    cb, cr = error[:, 0], error[:, 1]
    green = GREEN_CB * cb + GREEN_CR * cr
    return ((RED_CR * cr) ** 2 + green**2 + (BLUE_CB * cb) ** 2).mean() / 3


def rgb_to_luma(rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Returns 8-bit luma `(H, W)` of 8-bit RGB `(H, W, 3)`.

    It is bit-identical to Pillow's `convert("L")`. Source: Pillow, `L24` in
    libImaging/Convert.c (BT.601 weights in 16-bit fixed point).
    """
    wide = rgb.astype(np.uint32)
    luma = wide[..., 0] * 19595 + wide[..., 1] * 38470 + wide[..., 2] * 7471 + 0x8000
    return (luma >> 16).astype(np.uint8)


def convert_chroma_matrix(chroma: NDArray[np.float32], matrix: Matrix) -> NDArray[np.float32]:
    """Converts BT.601 chroma `(2, ...)` to chroma of another matrix; Cb, Cr in about -0.5..0.5.

    The differences between R, G and B are kept. Luma is that of the picture with both matrices
    and does not occur in the conversion, which therefore is linear and valid at any luma.
    """
    red, green, blue = (cb * chroma[0] + cr * chroma[1] for cb, cr in BT601.chroma_factors)
    mean = matrix.red * red + (1 - matrix.red - matrix.blue) * green + matrix.blue * blue
    cb = (blue - mean) / (2 * (1 - matrix.blue))
    cr = (red - mean) / (2 * (1 - matrix.red))
    return np.stack([cb, cr]).astype(np.float32)


def compute_gamut_scale(
    darkest: NDArray[np.float32],
    brightest: NDArray[np.float32],
    cb: NDArray[np.float32],
    cr: NDArray[np.float32],
) -> NDArray[np.float32]:
    """Returns the largest factor in 0..1 on chroma that keeps the colour inside RGB; any shape.

    `darkest` and `brightest` are the bounds of the luma with that chroma, Y in 0..1; Cb and Cr are
    in -0.5..0.5. Scaling both by one factor keeps luma and hue and reduces saturation. All three
    channels have the same luma, so the largest and the smallest of their offsets decide.
    """
    above, below = compute_rgb_offsets(cb, cr)
    above /= np.maximum(1 - brightest, MIN_HEADROOM)
    below /= np.maximum(darkest, MIN_HEADROOM)
    scale: NDArray[np.float32] = np.maximum(above, below, out=above)
    np.maximum(scale, 1, out=scale)
    np.reciprocal(scale, out=scale)
    return scale


def compute_rgb_offsets(
    cb: NDArray[np.float32], cr: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Returns how far R, G and B lie above and below luma at most: any shape, the unit of Cb, Cr.

    Neither is negative.
    """
    red, green, blue = RED_CR * cr, GREEN_CB * cb + GREEN_CR * cr, BLUE_CB * cb
    above = np.maximum(np.maximum(red, green), blue)
    below = np.minimum(np.minimum(red, green, out=red), blue, out=red)
    return above, np.negative(below, out=below)


def nearest_chroma_in_gamut(
    luma: NDArray[np.float32], chroma: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Returns the nearest chroma inside RGB at the given luma, by distance in the CbCr plane.

    `luma` is `(P,)` in 0..1, `chroma` is `(2, P)`; chroma that is inside is returned as it is. At
    one luma the colours of RGB are a convex polygon, bounded by lines where a channel is 0 or 1.
    The nearest point lies on one of these lines or where two of them cross.
    """
    factors = np.array([(0.0, RED_CR), (GREEN_CB, GREEN_CR), (BLUE_CB, 0.0)])
    normals = np.concatenate([factors, -factors])  # (6, 2): normal . chroma <= limit
    level = np.clip(luma.astype(np.float64), 0, 1)
    limits = np.concatenate([np.tile(1 - level, (3, 1)), np.tile(level, (3, 1))])  # (6, P)
    point = chroma.astype(np.float64)
    candidates = [point]
    for normal, limit in zip(normals, limits, strict=True):
        excess = (normal @ point - limit) / (normal @ normal)
        candidates.append(point - normal[:, None] * excess)
    for first in range(6):
        for second in range(first + 1, 6):
            pair = normals[[first, second]]
            if abs(np.linalg.det(pair)) > 1e-9:
                candidates.append(np.linalg.solve(pair, limits[[first, second]]))
    stacked = np.stack(candidates)  # (C, 2, P)
    slack = np.einsum("kd,cdp->ckp", normals, stacked) - limits
    distance = np.where((slack <= 1e-6).all(axis=1), ((stacked - point) ** 2).sum(axis=1), np.inf)
    nearest = distance.argmin(axis=0)
    return stacked[nearest, :, np.arange(len(level))].T.astype(np.float32)


def lab_to_cbcr(lightness: torch.Tensor, ab: torch.Tensor) -> torch.Tensor:
    """Converts CIELab to chroma `(N, 2, S, S)` (Cb, Cr in -0.5..0.5).

    `lightness` is L* `(N, 1, S, S)` in 0..100, `ab` is a*, b* `(N, 2, S, S)` in about
    -110..110; D65, sRGB. Colours outside sRGB are clipped.
    Source: CIE 15:2004 (Lab), IEC 61966-2-1 (sRGB).
    """
    import torch

    fy = (lightness[:, :1] + 16) / 116
    fx = fy + ab[:, :1] / 500
    fz = fy - ab[:, 1:] / 200
    f = torch.cat([fx, fy, fz], dim=1)
    white = f.new_tensor([0.95047, 1.0, 1.08883]).view(1, 3, 1, 1)
    xyz = torch.where(f > 6 / 29, f**3, 3 * (6 / 29) ** 2 * (f - 4 / 29)) * white
    matrix = f.new_tensor(
        [
            [3.2404542, -1.5371385, -0.4985314],
            [-0.9692660, 1.8760108, 0.0415560],
            [0.0556434, -0.2040259, 1.0572252],
        ]
    )
    linear = torch.einsum("ij,njhw->nihw", matrix, xyz).clamp(0, 1)
    rgb = torch.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    _, cb, cr = rgb_to_ycbcr(rgb[:, :1], rgb[:, 1:2], rgb[:, 2:])
    return torch.cat([cb, cr], dim=1)


def luma_to_lightness(luma: torch.Tensor) -> torch.Tensor:
    """Returns L* in 0..100 of the grey whose sRGB value is `luma` in 0..1; any shape.

    It is the input of networks that predict CIELab. Source: IEC 61966-2-1, CIE 15:2004.
    """
    import torch

    clipped = luma.clamp(0, 1)
    linear = torch.where(clipped <= 0.04045, clipped / 12.92, ((clipped + 0.055) / 1.055) ** 2.4)
    f = torch.where(
        linear > (6 / 29) ** 3, linear ** (1 / 3), linear / (3 * (6 / 29) ** 2) + 4 / 29
    )
    return 116 * f - 16


def rgb16_to_luma(rgb: NDArray[np.uint16]) -> NDArray[np.uint16]:
    """Returns 16-bit luma `(H, W)` of 16-bit RGB `(H, W, 3)`, rounded (BT.601 weights)."""
    luma = rgb.astype(np.float32) @ np.array([KR, KG, KB], np.float32)
    return (luma + 0.5).astype(np.uint16)
