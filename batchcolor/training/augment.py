"""Packed RGB squares to luma and true chroma, cropped and flipped, on the device."""

from __future__ import annotations

import math

import torch
from torch.nn import functional

from batchcolor.color import rgb_to_ycbcr


def split(rgb: torch.Tensor, size: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Luma `(N, 1, size, size)` and chroma `(N, 2, size, size)` of uint8 `(N, side, side, 3)`.

    Whole pictures, area-averaged to `size`: what validation measures.
    """
    pictures = rgb.permute(0, 3, 1, 2).float() / 255
    if pictures.shape[-1] != size:
        pictures = functional.interpolate(pictures, size=(size, size), mode="area")
    return _planes(pictures)


def augmented(rgb: torch.Tensor, size: int, least_area: float) -> tuple[torch.Tensor, torch.Tensor]:
    """As `split`, each picture mirrored by chance and cropped to at least `least_area` of it.

    The two sides of a crop are drawn apart, so pictures are also stretched a little, as the
    square that a colorizer sees of a photograph always is. Uses torch's global generator.
    """
    pictures = rgb.permute(0, 3, 1, 2).float() / 255
    mirrored = torch.rand(len(pictures), device=rgb.device) < 0.5
    if least_area >= 1 and pictures.shape[-1] == size:
        return _planes(torch.where(mirrored[:, None, None, None], pictures.flip(3), pictures))
    least = math.sqrt(least_area)
    sides = least + (1 - least) * torch.rand(len(pictures), 2, device=rgb.device)
    offsets = (1 - sides) * (2 * torch.rand(len(pictures), 2, device=rgb.device) - 1)
    theta = torch.zeros(len(pictures), 2, 3, device=rgb.device)
    theta[:, 0, 0] = sides[:, 0] * torch.where(mirrored, -1.0, 1.0)
    theta[:, 1, 1] = sides[:, 1]
    theta[:, :, 2] = offsets
    grid = functional.affine_grid(theta, [len(pictures), 3, size, size], align_corners=False)
    return _planes(
        functional.grid_sample(pictures, grid, padding_mode="reflection", align_corners=False)
    )


def _planes(pictures: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    luma, cb, cr = rgb_to_ycbcr(pictures[:, :1], pictures[:, 1:2], pictures[:, 2:])
    return luma, torch.cat([cb, cr], dim=1)
