"""Packed RGB squares to luma and true chroma, cropped and flipped, on the device."""

from __future__ import annotations

import math

import torch
from torch.nn import functional

from batchcolor.color import rgb_to_ycbcr
from batchcolor.hooks.types import Recipe
from batchcolor.training.degrade import aged

STEP = 32
"""What `scale_jitter` steps by, in pixels: encoders halve a picture five times."""


def split(rgb: torch.Tensor, size: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Luma `(N, 1, size, size)` and chroma `(N, 2, size, size)` of uint8 `(N, side, side, 3)`.

    Whole pictures, area-averaged to `size`: what validation measures.
    """
    pictures = rgb.permute(0, 3, 1, 2).float() / 255
    if pictures.shape[-1] != size:
        pictures = functional.interpolate(pictures, size=(size, size), mode="area")
    return _planes(pictures)


def augmented(rgb: torch.Tensor, recipe: Recipe) -> tuple[torch.Tensor, torch.Tensor]:
    """As `split`, each picture mirrored by chance, then moved, or cropped and turned; then aged,
    and some with a square hidden. With the recipe's `scale_jitter` the planes of a step are of
    one of several sizes, so that a network knows things at more than one.

    Uses torch's global generator, on the pictures' device.
    """
    luma, chroma = _planes(_seen_anew(rgb, recipe), recipe.degrade)
    return (_erased(luma, recipe.erase) if recipe.erase else luma), chroma


def _seen_anew(rgb: torch.Tensor, recipe: Recipe) -> torch.Tensor:
    """Pictures `(N, 3, size, size)` in 0..1, mirrored, moved, cropped, turned."""
    pictures = rgb.permute(0, 3, 1, 2).float() / 255
    mirrored = torch.rand(len(pictures), device=rgb.device) < 0.5
    if not resampled(recipe) and pictures.shape[-1] == recipe.size:
        pictures = torch.where(mirrored[:, None, None, None], pictures.flip(3), pictures)
        return _moved(pictures, recipe.shift) if recipe.shift else pictures
    return _cropped(pictures, mirrored, recipe)


def resampled(recipe: Recipe) -> bool:
    """Whether pictures are cropped or turned, and so worth packing larger than `recipe.size`."""
    return recipe.random_crop < 1 or recipe.rotation > 0 or recipe.scale_jitter > 0


def crop_side(recipe: Recipe) -> int:
    """Side of this step's crops: `size`, or by chance a multiple of 32 px that `scale_jitter`
    allows, each as often."""
    least = math.ceil(recipe.size * (1 - recipe.scale_jitter) / STEP)
    most = math.floor(recipe.size * (1 + recipe.scale_jitter) / STEP)
    if not recipe.scale_jitter or most < max(1, least):
        return recipe.size
    return STEP * int(torch.randint(max(1, least), most + 1, ()))


def _cropped(pictures: torch.Tensor, mirrored: torch.Tensor, recipe: Recipe) -> torch.Tensor:
    """At least `random_crop` of the area, turned by up to `rotation` degrees, at `crop_side`.

    The two sides of a crop are drawn apart, so pictures are also stretched a little, as the
    square that a colorizer sees of a photograph always is.
    """
    count, device = len(pictures), pictures.device
    least = math.sqrt(recipe.random_crop)
    sides = least + (1 - least) * torch.rand(count, 2, device=device)
    offsets = (1 - sides) * (2 * torch.rand(count, 2, device=device) - 1)
    angle = math.radians(recipe.rotation) * (2 * torch.rand(count, device=device) - 1)
    cosine, sine = torch.cos(angle), torch.sin(angle)
    across, down = sides[:, 0] * torch.where(mirrored, -1.0, 1.0), sides[:, 1]
    theta = torch.zeros(count, 2, 3, device=device)
    theta[:, 0, 0], theta[:, 0, 1] = across * cosine, -down * sine
    theta[:, 1, 0], theta[:, 1, 1] = across * sine, down * cosine
    theta[:, :, 2] = offsets
    side = crop_side(recipe)
    grid = functional.affine_grid(theta, [count, 3, side, side], align_corners=False)
    return functional.grid_sample(pictures, grid, padding_mode="reflection", align_corners=False)


def _moved(pictures: torch.Tensor, shift: int) -> torch.Tensor:
    """Moved by up to `shift` whole pixels, the edge mirrored: nothing is blurred, as it would
    be by resampling pictures that are small already."""
    size, device = pictures.shape[-1], pictures.device
    padded = functional.pad(pictures, [shift] * 4, mode="reflect")
    by = torch.randint(0, 2 * shift + 1, (2, len(pictures), 1), device=device)
    place = torch.arange(size, device=device)
    picture = torch.arange(len(pictures), device=device)[:, None, None]
    down, across = by[0] + place, by[1] + place  # (N, size) each
    return padded[picture, :, down[:, :, None], across[:, None, :]].permute(0, 3, 1, 2)


def _erased(luma: torch.Tensor, share: float) -> torch.Tensor:
    """A square of a quarter to half of the side, anywhere, becomes the picture's mean luma in so
    many of the pictures: what is there must be known from around it (DeVries and Taylor 2017)."""
    count, _, size, _ = luma.shape
    device = luma.device
    side = torch.randint(size // 4, size // 2 + 1, (count, 1), device=device)
    middle = torch.rand(2, count, 1, device=device) * size
    place = torch.arange(size, device=device)
    rows, columns = ((place - axis).abs() * 2 < side for axis in middle)
    chosen = torch.rand(count, 1, 1, device=device) < share
    hidden = (rows[:, :, None] & columns[:, None, :] & chosen)[:, None]
    return torch.where(hidden, luma.mean((2, 3), keepdim=True), luma)


def _planes(pictures: torch.Tensor, degrade: float = 0.0) -> tuple[torch.Tensor, torch.Tensor]:
    luma, cb, cr = rgb_to_ycbcr(pictures[:, :1], pictures[:, 1:2], pictures[:, 2:])
    if degrade:
        luma = aged(pictures, degrade)
    return luma, torch.cat([cb, cr], dim=1)
