"""Delta's palette of quantized chroma, and the CIEDE2000 differences between its colours.

The differences are stored in `delta_ciede2000.npy`, so that running Delta does not need
scikit-image. After a change of `PALETTE_RINGS`, write that file again with
`python -m batchcolor.models.delta_palette`.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import torch

from batchcolor.color import ycbcr_to_rgb

PALETTE_RINGS = (
    *((0.0, 1), (0.02, 6), (0.045, 10), (0.075, 14), (0.11, 16)),
    *((0.15, 18), (0.2, 20), (0.27, 20), (0.36, 16)),
)
"""Distance from grey in the CbCr plane, and number of hues at that distance. The rings are denser
near grey, where most chroma values of photographs lie."""

CIEDE2000_FILE = Path(__file__).with_name("delta_ciede2000.npy")


def make_palette() -> torch.Tensor:
    """Returns the palette: chroma `(K, 2)`, Cb and Cr in -0.5..0.5, K = 121."""
    colours = [
        (radius * math.cos(angle), radius * math.sin(angle))
        for radius, hues in PALETTE_RINGS
        for angle in (2 * math.pi * k / hues for k in range(hues))
    ]
    return torch.tensor(colours)


def load_pairwise_ciede2000() -> torch.Tensor:
    """Returns the stored CIEDE2000 differences `(K, K)` between the colours of the palette."""
    return torch.from_numpy(np.load(CIEDE2000_FILE, allow_pickle=False))


def compute_pairwise_ciede2000(palette: torch.Tensor) -> torch.Tensor:
    """Computes CIEDE2000 `(K, K)` between chroma values `(K, 2)`, all at luma 0.5.

    Needs scikit-image. Source: G. Sharma, W. Wu, E. Dalal, "The CIEDE2000 color-difference
    formula", Color Research and Application 30(1), 2005.
    """
    from skimage import color

    untyped: Any = color
    planes = ycbcr_to_rgb(torch.full((len(palette),), 0.5), palette[:, 0], palette[:, 1])
    lab = untyped.rgb2lab(torch.stack(planes, dim=1).clamp(0, 1).numpy())
    return torch.from_numpy(untyped.deltaE_ciede2000(lab[:, None], lab[None])).float()


if __name__ == "__main__":
    np.save(CIEDE2000_FILE, compute_pairwise_ciede2000(make_palette()).numpy())
