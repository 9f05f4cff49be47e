"""Luma, chroma, gamut and Lab: pure functions, nothing else.

Two colour spaces meet here. Pictures and colorizers speak YCbCr with the BT.601 matrix at
full range, as JPEG does (ITU-T T.871, section 7): Y in 0..1, Cb and Cr in -0.5..0.5, all
gamma-encoded as stored. Networks that think in CIELab (D65, sRGB primaries) are converted
by `lab_to_cbcr`.

The arithmetic functions take numpy arrays and torch tensors alike; those that need more
than arithmetic say which of the two they take.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import torch

# ITU-R BT.601, written as ITU-T T.871 (JFIF) rounds them.
KR, KG, KB = 0.299, 0.587, 0.114
RED_CR = 2 * (1 - KR)  # 1.402
BLUE_CB = 2 * (1 - KB)  # 1.772
GREEN_CB = -BLUE_CB * KB / KG  # -0.344136
GREEN_CR = -RED_CR * KR / KG  # -0.714136


@dataclass(frozen=True)
class Matrix:
    """How a stream mixes luma from R, G, B: the weights of red and blue (ITU-T H.273, table 4)."""

    name: str
    red: float
    blue: float

    @property
    def shifts(self) -> tuple[tuple[float, float], ...]:
        """What R, G, B are above luma, as factors of Cb and Cr."""
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

Field = TypeVar("Field", bound=Any)
"""A numpy array or a torch tensor, with the same kind going in and coming out."""


def rgb_to_ycbcr(red: Field, green: Field, blue: Field) -> tuple[Field, Field, Field]:
    """Y in 0..1 and Cb, Cr in -0.5..0.5 from R, G, B in 0..1; any shape (ITU-T T.871)."""
    luma: Any = KR * red + KG * green + KB * blue
    return luma, (blue - luma) / BLUE_CB, (red - luma) / RED_CR


def ycbcr_to_rgb(luma: Field, cb: Field, cr: Field) -> tuple[Field, Field, Field]:
    """R, G, B from Y in 0..1 and Cb, Cr in -0.5..0.5; not clipped; any shape (ITU-T T.871)."""
    return luma + RED_CR * cr, luma + GREEN_CB * cb + GREEN_CR * cr, luma + BLUE_CB * cb


def rgb_mse(chroma: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
    """Mean squared error of R, G and B in 0..1 that this chroma causes at the true luma.

    Chroma tensors `(N, 2, S, S)`. The plain reading of the published losses. As luma is shared,
    the error of each channel is linear in the error of chroma (BT.601); clipping to 0..1 is
    omitted, so it never flatters.
    """
    error = chroma.float() - truth.float()
    cb, cr = error[:, 0], error[:, 1]
    green = GREEN_CB * cb + GREEN_CR * cr
    return ((RED_CR * cr) ** 2 + green**2 + (BLUE_CB * cb) ** 2).mean() / 3


def rgb_to_luma(rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """8-bit luma `(H, W)` of 8-bit RGB `(H, W, 3)`, to the bit what Pillow's `convert("L")` gives.

    Source: Pillow, `L24` in libImaging/Convert.c (BT.601 weights in 16-bit fixed point).
    """
    wide = rgb.astype(np.uint32)
    luma = wide[..., 0] * 19595 + wide[..., 1] * 38470 + wide[..., 2] * 7471 + 0x8000
    return (luma >> 16).astype(np.uint8)


def convert_chroma_matrix(chroma: NDArray[np.float32], matrix: Matrix) -> NDArray[np.float32]:
    """BT.601 chroma `(2, ...)` as chroma of another matrix, at any luma; Cb, Cr in about -0.5..0.5.

    The differences between R, G and B stay what they are, and luma, which is the picture's own
    in either matrix, does not enter: so the step is linear, and is done on the small field.
    """
    red, green, blue = (cb * chroma[0] + cr * chroma[1] for cb, cr in BT601.shifts)
    mean = matrix.red * red + (1 - matrix.red - matrix.blue) * green + matrix.blue * blue
    cb = (blue - mean) / (2 * (1 - matrix.blue))
    cr = (red - mean) / (2 * (1 - matrix.red))
    return np.stack([cb, cr]).astype(np.float32)


def gamut_scale(
    luma: NDArray[np.float32], cb: NDArray[np.float32], cr: NDArray[np.float32]
) -> NDArray[np.float32]:
    """The largest factor in 0..1 that keeps Y + factor * chroma inside RGB 0..1; any shape.

    Chroma gives way along a line to grey of the same luma, so that hue and luma stay.
    """
    scale = np.ones_like(luma)
    for shift in (RED_CR * cr, GREEN_CB * cb + GREEN_CR * cr, BLUE_CB * cb):
        room = np.where(shift > 0, 1 - luma, luma)
        np.minimum(scale, room / np.maximum(np.abs(shift), 1e-6), out=scale)
    return scale


def lab_to_cbcr(lightness: torch.Tensor, ab: torch.Tensor) -> torch.Tensor:
    """Chroma `(N, 2, S, S)` (Cb, Cr in -0.5..0.5) from CIELab; torch tensors only.

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
    """L* in 0..100 of the grey whose sRGB value is `luma` in 0..1; any shape; torch only.

    What a Lab network is fed. Source: IEC 61966-2-1, CIE 15:2004.
    """
    import torch

    clipped = luma.clamp(0, 1)
    linear = torch.where(clipped <= 0.04045, clipped / 12.92, ((clipped + 0.055) / 1.055) ** 2.4)
    f = torch.where(
        linear > (6 / 29) ** 3, linear ** (1 / 3), linear / (3 * (6 / 29) ** 2) + 4 / 29
    )
    return 116 * f - 16


def rgb16_to_luma(rgb: NDArray[np.uint16]) -> NDArray[np.uint16]:
    """16-bit luma `(H, W)` of 16-bit RGB `(H, W, 3)`, rounded (BT.601 weights)."""
    luma = rgb.astype(np.float32) @ np.array([KR, KG, KB], np.float32)
    return (luma + 0.5).astype(np.uint16)
